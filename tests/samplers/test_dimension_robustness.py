"""Acceptance at fixed steps as a network is widened: samplers that keep the prior exactly do not notice, the leapfrog
falls as it does on the prior alone. n = 8, d = 4, noise variance 0.25; chains start at the teacher, an exact draw.

The leapfrog on N(0, I_D). With cos(theta) = 1 - h^2 / 2 and chi^2 = 1 / (1 - h^2 / 4), L steps of size h map each
coordinate and its momentum by ((cos(L theta), chi sin(L theta)), (-sin(L theta) / chi, cos(L theta))), of determinant
one. So 2 Delta H is a quadratic form with eigenvalues lambda - 1 and 1 / lambda - 1 in each coordinate, its mean is

    m = <Delta H>_1 = (lambda + 1 / lambda - 2) / 2 = sin(L theta)^2 h^4 / (32 (1 - h^2 / 4)),

and 2 Delta H = (lambda - 1) A - (1 - 1 / lambda) B, where A and B are chi-squared of D degrees of freedom. In
stationarity the acceptance is 2 P(Delta H < 0) = 2 P(A / B < 1 / lambda), by the F law of D and D degrees of freedom;
for large D that is erfc(sqrt(D m) / 2).

A network's energy error is this one and that of its likelihood, which is all the rotation leaves; they add, nearly
independent. With x an error of the rotation and g ~ N(D m, 2 D m), the leapfrog accepts E min(1, exp(-x - g)). That is
the product of both acceptances where one of them is close to 1, and more than it where neither is.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import pytest
import torch
from scipy import stats
from torch import Tensor

import nishimori as nm
from nishimori.models.layout import Layout, Position, chain_dot
from nishimori.models.randomness import Randomness
from nishimori.models.target import Target
from nishimori.samplers.base import Info, Sampler

DATA_SETS = {16: 1024, 256: 512, 4096: 100}
WIDTHS = tuple(DATA_SETS)
CHAINS = 4
TARGETS = {"plain": nm.Posterior, "collapsed": nm.CollapsedPosterior}

STEP_SIZE, NUM_STEPS = 0.3, 5
PCN_STEP_SIZE, PCN_TRANSITIONS = 0.1, 4


class PriorAlone:
    """N(0, I) in place of another target, with its layout: the same momenta from the same positions."""

    gaussian_prior = True

    def __init__(self, target: Target) -> None:
        self._target, self.num_parameters, self.instances = target, target.num_parameters, target.instances
        self.dtype, self.device = target.dtype, target.device

    def layout(self, chains: int) -> Layout:
        return self._target.layout(chains)

    def energy(self, position: Position) -> Tensor:
        return chain_dot(position, position) / 2

    def gradient(self, position: Position, out: Position | None = None) -> Position:
        out = position.empty_like() if out is None else out
        out.flat.copy_(position.flat)
        return out

    def energy_and_gradient(self, position: Position, out: Position | None = None) -> tuple[Tensor, Position]:
        return self.energy(position), self.gradient(position, out)

    def initial_position(self, chains: int | tuple[int, ...], start: str, seed: int, point: str = "") -> Position:
        return self._target.initial_position(chains, start, seed, point)


def mean_energy_error(step_size: float, num_steps: int) -> float:
    """m of the leapfrog on N(0, 1)."""
    theta = math.acos(1 - step_size**2 / 2)
    return math.sin(num_steps * theta) ** 2 * step_size**4 / (32 * (1 - step_size**2 / 4))


def gaussian_acceptance(dimension: int) -> float:
    """Of the leapfrog on N(0, I), exactly."""
    half = 1 + mean_energy_error(STEP_SIZE, NUM_STEPS)
    inverse = half - math.sqrt(half**2 - 1)
    return 2 * float(stats.f.cdf(inverse, dimension, dimension))


def with_prior_error(error: Tensor, dimension: int) -> Tensor:
    """E min(1, exp(-error - g)) over g ~ N(mu, 2 mu), mu = dimension * m."""
    mu = dimension * mean_energy_error(STEP_SIZE, NUM_STEPS)
    spread = math.sqrt(2 * mu)
    return torch.special.ndtr(-(error + mu) / spread) + torch.exp(-error) * torch.special.ndtr((error - mu) / spread)


@dataclass(frozen=True)
class Measured:
    """Acceptances by data set, [instances]."""

    dimension: int
    rotation: Tensor
    pcn: Tensor
    leapfrog: Tensor
    """Of the leapfrog, less that on the prior alone with the same momenta, plus what that is exactly."""
    prior: Tensor
    """Of the leapfrog on the prior alone."""
    added: Tensor
    """Of the leapfrog, if its error were that of the rotation and an independent one of the prior."""


@cache
def measured(target_name: str, width: int) -> Measured:
    network, channel = nm.Network(4, (width,), "erf_sqrt2"), nm.GaussianChannel(0.25)
    target = TARGETS[target_name](nm.matched_teacher(network, channel, 8, DATA_SETS[width], test_samples=1))
    dimension = target.num_parameters
    leapfrog, rotation = (nm.HMC(name, STEP_SIZE, NUM_STEPS, jitter=0) for name in ("leapfrog", "rotation"))
    (rotated,), (moved,) = transitions(target, rotation, 1), transitions(target, leapfrog, 1)
    (on_prior,) = transitions(PriorAlone(target), leapfrog, 1)
    proposed = [info.acceptance for info in transitions(target, nm.PCN(PCN_STEP_SIZE), PCN_TRANSITIONS)]
    corrected = moved.acceptance - on_prior.acceptance + gaussian_acceptance(dimension)
    added = with_prior_error(rotated.energy_error, dimension)
    return Measured(
        dimension,
        rotation=rotated.acceptance.mean(1),
        pcn=torch.stack(proposed).mean((0, 2)),
        leapfrog=corrected.mean(1),
        prior=on_prior.acceptance.mean(1),
        added=added.mean(1),
    )


def transitions(target: Target, sampler: Sampler, count: int) -> Iterator[Info]:
    randomness = Randomness.of(1, "", target.instances, range(CHAINS))
    step_size = torch.full((len(target.instances),), sampler.step_size or 0.0)
    kernel = sampler.kernel(target, step_size, sampler.num_steps or 1, randomness)
    state = kernel.init(target.initial_position(CHAINS, "teacher", 0))
    for step in range(count):
        state, info = kernel.step(state, step)
        yield info


def error_of(values: Tensor) -> float:
    return float(values.std()) / math.sqrt(len(values))


@pytest.mark.parametrize("width", WIDTHS)
def test_the_closed_form_is_that_of_the_leapfrog(width):
    case = measured("collapsed", width)
    exact = gaussian_acceptance(case.dimension)
    assert abs(float(case.prior.mean()) - exact) < 4 * error_of(case.prior)
    limit = math.erfc(math.sqrt(case.dimension * mean_energy_error(STEP_SIZE, NUM_STEPS)) / 2)
    assert limit == pytest.approx(exact, abs=1 / case.dimension)


@pytest.mark.parametrize("sampler", ["rotation", "pcn"])
@pytest.mark.parametrize("target", TARGETS)
def test_samplers_that_keep_the_prior_do_not_notice_the_width(target, sampler):
    """PCN on the collapsed posterior rises to 1, for that posterior tends to the prior: by 0.02 at step size 0.1."""
    acceptance = [float(getattr(measured(target, width), sampler).mean()) for width in WIDTHS]
    assert max(acceptance) - min(acceptance) < 0.03, acceptance


@pytest.mark.parametrize("width", WIDTHS)
def test_rotation_accepts_nearly_all_on_the_collapsed_posterior(width):
    assert float(measured("collapsed", width).rotation.mean()) > 0.99


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("target", TARGETS)
def test_the_leapfrog_falls_as_on_the_prior(target, width):
    case = measured(target, width)
    assert float((case.leapfrog - case.added).mean()) == pytest.approx(0, abs=0.02)
    if target == "collapsed":
        product = gaussian_acceptance(case.dimension) * case.rotation
        assert float((case.leapfrog - product).mean()) == pytest.approx(0, abs=0.02)


def test_energy_errors_add_and_acceptances_do_not_multiply():
    """On the plain posterior the likelihood's error is as large as the prior's, and the product is too small."""
    case = measured("plain", 256)
    excess = case.leapfrog - gaussian_acceptance(case.dimension) * case.rotation
    assert float(excess.mean()) - 4 * error_of(excess) > 0.02


def test_the_collapsed_leapfrog_has_all_but_stopped_at_width_4096():
    assert float(measured("collapsed", 4096).leapfrog.mean()) < 0.2
