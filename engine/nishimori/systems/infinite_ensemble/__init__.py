"""Ensembles of wide networks trained by gradient flow, beside their infinitely wide limit and the posterior."""

from nishimori.systems.infinite_ensemble.system import InfiniteEnsemble

__all__ = ["InfiniteEnsemble"]
