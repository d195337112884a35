"""Laws about samplers without a Metropolis test: their bias falls as the square of the step.

The target is ten independent copies of the density exp(-x^2 / 2 - cos 2x): anharmonic, of bounded curvature, with
averages known by quadrature. Biases are measured at several steps: that of <cos 2x>, the anharmonic part of the
energy, and that of <p^2>, where the sampler has a momentum of variance 1. (BAOAB gets positions so nearly right that
the power of the step shows in the momenta first.)
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from scipy.optimize import curve_fit
from scipy.special import ndtr
from torch import Tensor

from nishimori.chains.loop import Schedule
from nishimori.exactness.laws import Comparison, Outcome, Place
from nishimori.exactness.moments import Case, chain_averages, compare, fixed_kernel, standard_normals
from nishimori.exactness.quadrature import Array, GridLaw
from nishimori.models.density import DensityTarget
from nishimori.models.layout import Position
from nishimori.models.randomness import Randomness
from nishimori.samplers.base import Sampler, State, momentum_of
from nishimori.samplers.langevin import UnderdampedLangevin
from nishimori.samplers.mclmc import MCLMC

COPIES, WAVE_NUMBER = 10, 2.0
WAVE, MOMENTUM = QUANTITIES = ("<cos 2x>", "<p^2>")
POWER = 2.0
LARGEST_ERROR_OF_POWER = 0.125
"""Relative: a power of 1 or 3 lies four standard errors off."""


def rippled(place: Place) -> Case:
    """The target above. Chains start at exact draws; quantities are <cos 2x>, moved to an exact mean of 1, and
    <p^2>."""
    grid = np.linspace(-12, 12, 8001)
    law = GridLaw.of(grid, -(grid**2) / 2 - np.cos(WAVE_NUMBER * grid))
    exact = float(law.mean(np.cos(WAVE_NUMBER * grid)))
    target = DensityTarget(_log_density, COPIES, True, precision=place.precision, device=place.device)

    def start(randomness: Randomness) -> Position:
        position = standard_normals(target, randomness)
        draws = law.quantile(ndtr(position.flat.double().cpu().numpy()))
        position.flat.copy_(torch.from_numpy(draws))
        return position

    def observe(state: State) -> Tensor:
        wave = torch.cos(WAVE_NUMBER * state.position.blocks[0].double())
        momentum = momentum_of(state).blocks[0].double()
        return torch.stack([1 + wave.mean(-1) - exact, momentum.square().mean(-1)])

    return Case(target, QUANTITIES, observe, start)


def _log_density(theta: Tensor) -> Tensor:
    wide = theta.double()
    return -(wide.square() / 2 + torch.cos(WAVE_NUMBER * wide)).sum(-1)


@dataclass(frozen=True)
class BiasLaw:
    """`sampler` of a step size and a number of steps, at several steps and one length of a transition.

    Compared are the power p of c h^p (1 + r h^2), fitted to the biases of `power_of`, with 2, and, for all
    `quantities`, the value that c0 + c2 h^2 + c4 h^4 has at h = 0 (Richardson) with the exact one.
    """

    name: str
    statement: str
    sampler: Callable[[float, int], Sampler]
    quantities: tuple[str, ...]
    power_of: str
    step_sizes: tuple[float, ...]
    path_length: float
    chains: int
    warmup: int
    draws: int

    def check(self, place: Place) -> Outcome:
        steps = np.array(self.step_sizes)
        measured = [self._at(step, place) for step in self.step_sizes]
        biases = {
            name: np.array([(at[name].z * at[name].relative_error, at[name].relative_error) for at in measured]).T
            for name in self.quantities
        }
        extrapolations = (extrapolated(name, steps, *biases[name]) for name in self.quantities)
        return Outcome((power(self.power_of, steps, *biases[self.power_of]), *extrapolations))

    def _at(self, step: float, place: Place) -> dict[str, Comparison]:
        case = rippled(place)
        randomness = Randomness.of(place.seed, f"{self.name}/{step}", case.target.instances, range(self.chains))
        kernel = fixed_kernel(case.target, self.sampler(step, round(self.path_length / step)), randomness)
        schedule = Schedule(self.warmup, self.draws)
        averages = chain_averages(kernel, kernel.init(case.start(randomness)), schedule, case.observe)
        return {name: compare(name, values) for name, values in zip(case.quantities, averages, strict=True)}


def power(quantity: str, steps: Array, bias: Array, error: Array) -> Comparison:
    """Of the leading term of `bias` in the steps; its relative error must tell 2 from 1 and 3. NaN where none fits."""

    def model(step: Array, factor: float, exponent: float, next_order: float) -> Array:
        return factor * step**exponent * (1 + next_order * step**2)

    start = (bias[-1] / steps[-1] ** POWER, POWER, 0.0)
    try:
        fitted, covariance = curve_fit(model, steps, bias, p0=start, sigma=error, absolute_sigma=True)
    except RuntimeError:
        return Comparison(f"power of the step in {quantity}", math.nan)
    spread = float(covariance[1, 1]) ** 0.5
    return Comparison(
        f"power of the step in {quantity}, {fitted[1]:.2f}",
        (float(fitted[1]) - POWER) / spread,
        spread / POWER,
        largest_relative_error=LARGEST_ERROR_OF_POWER,
    )


def extrapolated(quantity: str, steps: Array, bias: Array, error: Array) -> Comparison:
    """The bias at step zero, by weighted least squares."""
    design = np.stack([np.ones_like(steps), steps**2, steps**4], axis=1) / error[:, None]
    covariance = np.linalg.inv(design.T @ design)
    intercept = (covariance @ design.T @ (bias / error))[0]
    spread = float(covariance[0, 0]) ** 0.5
    return Comparison(f"{quantity} extrapolated to step 0", float(intercept) / spread, spread)


def bias_laws() -> tuple[BiasLaw, ...]:
    statement = "is biased by the square of its step, and by nothing at step zero"
    steps, length = (0.2, 0.28, 0.4, 0.5), 2.0
    langevin = partial(UnderdampedLangevin, friction=1.0, adjusted=False)
    mclmc = partial(MCLMC, adjusted=False)
    return (
        BiasLaw("bias/langevin", statement, langevin, QUANTITIES, MOMENTUM, steps, length, 8000, warmup=4, draws=40),
        BiasLaw("bias/mclmc", statement, mclmc, (WAVE,), WAVE, steps, length, 8000, warmup=4, draws=40),
    )
