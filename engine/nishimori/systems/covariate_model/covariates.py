"""Who sees what: the joint covariance of what a teacher and a student see. Importing this never imports torch."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nishimori.description.input_moments import InputMoments, power_law
from nishimori.theory.covariate_model import JointCovariance

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Covariates:
    """Of inputs x with these `moments`, made of latent numbers c: the student sees x, the teacher z = deviations * c
    [k], or x too where there are no `deviations`. `gaussian` says whether they are; if not, the covariance is that of
    their Gaussian equivalent."""

    moments: InputMoments
    gaussian: bool
    deviations: Array | None

    @cached_property
    def covariance(self) -> JointCovariance:
        omega = self.moments.covariance
        if self.deviations is None:
            return JointCovariance(omega, omega, omega)
        return JointCovariance(np.diag(self.deviations**2), self.moments.cross * self.deviations, omega)


def deviations(acts_on: str, latent_dim: int, exponent: float) -> Array | None:
    """Of a teacher's numbers: variances that fall as i^-exponent, of mean 1; None of one that acts on the inputs."""
    return None if acts_on == "inputs" else np.sqrt(power_law(latent_dim, exponent))
