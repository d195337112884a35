"""Who sees what: the joint covariance of what a teacher and a student see. Importing this never imports torch."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nishimori.description.input_moments import InputMoments, power_law
from nishimori.description.inputs import Inputs, is_gaussian
from nishimori.models.named_moments import moments_named
from nishimori.theory.covariate_model import JointCovariance

if TYPE_CHECKING:
    from nishimori.models.inputs import InputGenerator

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Covariates:
    """Of inputs x with these `moments`, made of latent numbers c: the student sees x, the teacher z = deviations * c
    [k], or x too where there are no `deviations`. `gaussian` says whether they are; if not, the covariance is that of
    their Gaussian equivalent, and raises ValueError where there is none."""

    moments: InputMoments
    gaussian: bool
    deviations: Array | None

    @property
    def teacher_dim(self) -> int:
        """k."""
        return self.moments.input_dim if self.deviations is None else self.moments.latent_dim

    @cached_property
    def covariance(self) -> JointCovariance:
        omega = self.moments.covariance
        if self.deviations is None:
            return JointCovariance(omega, omega, omega)
        return JointCovariance(np.diag(self.deviations**2), self.moments.cross * self.deviations, omega)


@lru_cache(maxsize=4)
def covariates(
    inputs: Inputs, input_dim: int, own: "Callable[[int], InputGenerator] | None", acts_on: str, exponent: float
) -> Covariates:
    """Of `inputs`, or of an `own` generator of them; the variances of what a teacher of latents sees fall as
    i^-exponent, of mean 1. Kept, for theory is asked at many places."""
    if own is None:
        moments, gaussian = moments_named(inputs, input_dim), is_gaussian(inputs)
    else:
        from nishimori.models.named_inputs import generator_of

        generator = generator_of(inputs, input_dim, own)
        moments, gaussian = generator.moments, generator.gaussian
    latents = None if acts_on == "inputs" else np.sqrt(power_law(moments.latent_dim, exponent))
    return Covariates(moments, gaussian, latents)
