"""Convex learning in the Gaussian covariate model."""

from nishimori.systems.covariate_model.system import CovariateModel

__all__ = ["CovariateModel"]
