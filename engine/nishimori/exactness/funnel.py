"""Neal's funnel observed with noise, in the coordinates in which its prior is N(0, I).

v ~ N(0, 9), x_i ~ N(0, e^v), y_i = x_i + sqrt(noise_variance) N(0, 1); coordinates w = v / 3, z_i = e^{-v/2} x_i. Given
v all is Gaussian: y_i ~ N(0, e^v + noise_variance), so that one integral over v gives every moment. Source of the
funnel: Neal 2003, Ann. Statist. 31, 705, section 8.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nishimori.exactness.laws import Place
from nishimori.exactness.moments import Case, standard_normals
from nishimori.exactness.quadrature import Array, GridLaw
from nishimori.models.density import DensityTarget
from nishimori.models.layout import Position
from nishimori.models.randomness import Randomness
from nishimori.samplers.base import State
from nishimori_kernels.rng.streams import Stream

OBSERVED = (-2.2, -1.3, -0.9, -0.4, 0.1, 0.3, 0.8, 1.5, 2.5)
NOISE_VARIANCE = 1.0
SCALE = 3.0
QUANTITIES = ("mean of v", "variance of v", "mean of x", "variance of x")


@dataclass(frozen=True, eq=False)
class FunnelPosterior:
    """Given `observed` [observations]; `v` is the posterior of v."""

    observed: Array
    noise_variance: float
    v: GridLaw

    @classmethod
    def of(cls, observed: Array, noise_variance: float) -> "FunnelPosterior":
        v = np.linspace(-14 * SCALE, 14 * SCALE, 20001)
        spread = np.exp(v)[:, None] + noise_variance
        log_evidence = -0.5 * (np.log(spread) + observed**2 / spread).sum(-1)
        return cls(observed, noise_variance, GridLaw.of(v, log_evidence - v**2 / (2 * SCALE**2)))

    def x_given(self, v: Array) -> tuple[Array, Array]:
        """Means and variances of x given `v` [...], [..., observations] each."""
        gain = 1 / (1 + self.noise_variance * np.exp(-v[..., None]))
        return gain * self.observed, gain * self.noise_variance * np.ones_like(self.observed)

    def v_moments(self) -> tuple[float, float]:
        """Mean and variance of v."""
        mean = float(self.v.mean(self.v.points))
        return mean, float(self.v.mean((self.v.points - mean) ** 2))

    def x_moments(self) -> tuple[Array, Array]:
        """Means and variances of x, [observations] each."""
        mean_given, variance_given = self.x_given(self.v.points)
        mean = self.v.mean(mean_given)
        return mean, self.v.mean(variance_given + (mean_given - mean) ** 2)


def funnel(place: Place) -> Case:
    """The posterior of (w, z_1, z_2, ...). Chains start at exact draws.

    Quantities: v in standard deviations of its law, moved to mean 1, its squared deviation, the projection of x on
    its mean, and squared deviations of x.
    """
    law = FunnelPosterior.of(np.array(OBSERVED), NOISE_VARIANCE)
    dim = 1 + len(OBSERVED)
    target = DensityTarget(_log_density, dim, True, precision=place.precision, device=place.device)
    v_mean, v_variance = law.v_moments()
    mean, variance = (torch.from_numpy(values).to(target.device) for values in law.x_moments())

    def start(randomness: Randomness) -> Position:
        position = standard_normals(target, randomness)
        (rows,) = position.blocks
        v = law.v.quantile(randomness.uniforms(Stream.PRIOR_START, 1).numpy())
        given = (torch.from_numpy(values).to(target.device) for values in (v, *law.x_given(v)))
        v, x_mean, x_variance = given
        x = x_mean + x_variance.sqrt() * rows[..., 1:].double()
        rows[..., 0].copy_(v / SCALE)
        rows[..., 1:].copy_(x * torch.exp(-v / 2).unsqueeze(-1))
        return position

    def observe(state: State) -> Tensor:
        v, x = _funnel_of(state.position.blocks[0].double())
        deviation = (v - v_mean) / v_variance**0.5
        projection = (x @ mean) / mean.square().sum()
        spread = (x - mean).square().sum(-1) / variance.sum()
        return torch.stack([1 + deviation, deviation.square(), projection, spread])

    return Case(target, QUANTITIES, observe, start)


def _funnel_of(theta: Tensor) -> tuple[Tensor, Tensor]:
    """v [...] and x [..., observations] of coordinates [..., 1 + observations]."""
    v = SCALE * theta[..., 0]
    return v, torch.exp(v / 2).unsqueeze(-1) * theta[..., 1:]


def _log_density(theta: Tensor) -> Tensor:
    wide = theta.double()
    _, x = _funnel_of(wide)
    misfit = (x - torch.tensor(OBSERVED, dtype=x.dtype, device=x.device)).square().sum(-1)
    return -wide.square().sum(-1) / 2 - misfit / (2 * NOISE_VARIANCE)
