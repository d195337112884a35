"""What every sampler owes: proposals that are not finite stay behind, chains do not know of one another, and wrong
arguments are refused with a sentence."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from sampler_settings import ADJUSTED, SAMPLERS, UNADJUSTED
from targets import GaussianTarget, WrappedTarget

import nishimori as nm
from nishimori.models.layout import Position
from nishimori.models.posterior import Posterior
from nishimori.models.randomness import Randomness
from nishimori.models.target import Target
from nishimori.samplers.base import State, gradient_of, momentum_of

INSTANCE, CHAIN = 1, 2


def tanh_posterior(precision: str = "fp64", instances: int = 2) -> Posterior:
    problem = nm.matched_teacher(nm.Network(5, (4, 3)), nm.GaussianChannel(0.1), 7, instances, test_samples=1)
    return nm.Posterior(problem, precision, "cpu")


def parts(state: State) -> list[torch.Tensor]:
    """Everything in a state, [instances, chains, ...]."""
    optional = [part.to_edge() for part in (state.gradient, state.momentum) if part is not None]
    return [state.position.to_edge(), state.energy, *optional]


class Spoiler:
    """Spoils what one chain sees of a target: `kind` "nan", "inf" or "-inf" for its energies, "force" for gradients."""

    def __init__(self, target: Target) -> None:
        self.kind: str | None = None
        self.wrapped = WrappedTarget(target, self._energy, self._gradient_)

    def _energy(self, energy: torch.Tensor) -> torch.Tensor:
        if self.kind in (None, "force"):
            return energy
        energy = energy.clone()
        energy[INSTANCE, CHAIN] = float(self.kind)
        return energy

    def _gradient_(self, gradient: Position) -> None:
        if self.kind == "force":
            for block in gradient.blocks:
                block[INSTANCE, CHAIN] = torch.nan


@pytest.mark.parametrize("precision", ["fp64", "fp32"])
@pytest.mark.parametrize("name", SAMPLERS)
def test_a_non_finite_proposal_stays_behind_and_touches_no_other_chain(name, precision):
    """Some transitions are spoilt for one chain; before, beside and after it all goes on."""
    setting, clean = SAMPLERS[name], tanh_posterior(precision)
    at = {1: "nan", 3: "inf", 4: "-inf"} | ({} if name == "pcn" else {6: "force"})
    spoiler = Spoiler(clean)
    plain, spoilt = setting.kernel(clean, 3, step_size=0.05), setting.kernel(spoiler.wrapped, 3, step_size=0.05)
    states = [plain.init(clean.initial_position(3, "prior", 0))] * 2
    others, moved = torch.ones(2, 3, dtype=torch.bool), []
    others[INSTANCE, CHAIN] = False
    for step in range(10):
        spoiler.kind = at.get(step)
        before = states[1]
        (first, told), (second, told_too) = plain.step(states[0], step), spoilt.step(states[1], step)
        for one, other in zip([*parts(first), told.accepted], [*parts(second), told_too.accepted], strict=True):
            assert torch.equal(one[others], other[others])
        assert all(part.isfinite().all() for part in parts(second))
        assert bool(told_too.divergent[INSTANCE, CHAIN]) == (step in at)
        assert not told_too.divergent[others].any()
        if step in at:
            assert not told_too.accepted[INSTANCE, CHAIN] and told_too.acceptance[INSTANCE, CHAIN] == 0
            for old, new in zip(
                parts(replace(before, momentum=None)), parts(replace(second, momentum=None)), strict=True
            ):
                assert torch.equal(old[INSTANCE, CHAIN], new[INSTANCE, CHAIN])
        states = [first, second]
        moved.append(bool(told_too.accepted[INSTANCE, CHAIN]))
    assert any(moved[7:])


@pytest.mark.parametrize("name", SAMPLERS)
def test_draws_do_not_depend_on_the_number_of_chains(name):
    """Elementwise work on one target: chains 4 and 2 of instance 1 and 2, bit for bit, in two compositions."""
    setting, curvatures = SAMPLERS[name], torch.tensor([0.5, 1.0, 4.0, 2.0, 1.5])
    ends = []
    for chains in ((4, 2), (0, 1, 2, 3, 4)):
        target = GaussianTarget(curvatures, instances=3)
        kernel = setting.kernel(target, chains)
        state = kernel.init(target.initial_position(chains, "prior", 1))
        for step in range(4):
            state, _ = kernel.step(state, step)
        ends.append([part[:, [chains.index(4), chains.index(2)]] for part in parts(state)])
    for one, other in zip(*ends, strict=True):
        assert torch.equal(one, other)
        assert len(one.flatten().unique()) == one.numel(), "chains share their random numbers"


STATIONARY_STEP_SIZE = {"minimum_norm": 1.0, "minimum_norm_rotation": 1.0, "fourth_order": 1.5, "pcn": 0.4}


def exact_draws(target: GaussianTarget, chains: int) -> Position:
    position = target.initial_position(chains, "prior", 0)
    position.flat.view(-1, target.num_parameters).div_(target.curvatures.sqrt())
    return position


@pytest.mark.parametrize("name", ADJUSTED)
def test_the_exponential_of_the_energy_error_averages_to_one(name):
    """<exp(-Delta H)> = 1 in stationarity (Creutz 1988), from exact draws of a Gaussian."""
    target, chains, means = GaussianTarget(torch.linspace(0.5, 4.0, 24)), 2000, []
    kernel = ADJUSTED[name].kernel(target, chains, step_size=STATIONARY_STEP_SIZE.get(name, 0.6))
    state = kernel.init(exact_draws(target, chains))
    for step in range(4):
        state, info = kernel.step(state, step)
        means.append(torch.exp(-info.energy_error))
    chain_means = torch.stack(means).mean(0).flatten()
    z = float((chain_means.mean() - 1) / (chain_means.std() / math.sqrt(chains)))
    assert abs(z) < 4, z
    assert chain_means.std() > 0.01


@pytest.mark.parametrize("name", UNADJUSTED)
def test_unadjusted_samplers_report_the_acceptance_they_would_have(name):
    """From exact draws, the acceptance of the first step obeys erfc(sqrt(<Delta H>) / 2) (Gupta et al. 1990)."""
    target, chains = GaussianTarget(torch.linspace(0.5, 4.0, 200)), 500
    kernel = SAMPLERS[name].sampler.kernel(target, torch.tensor([0.4]), 1, randomness_of(target, chains))
    _, info = kernel.step(kernel.init(exact_draws(target, chains)), 0)
    error, acceptance = info.energy_error, info.acceptance
    exponential = torch.exp(-error)
    assert abs(float((exponential.mean() - 1) / (exponential.std() / math.sqrt(chains)))) < 4
    assert 0.3 < acceptance.mean() < 0.95
    assert abs(float(acceptance.mean()) / math.erfc(math.sqrt(float(error.mean())) / 2) - 1) < 0.05
    assert info.accepted.all()


def randomness_of(target: Target, chains: int) -> Randomness:
    return Randomness.of(0, "", target.instances, range(chains))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nm.MALA(step_size=-0.1), "step_size must be positive"),
        (lambda: nm.MALA(proposal="hmc"), "use one of auto, langevin, pcnl"),
        (lambda: nm.MALA(target_acceptance=0.0), r"must lie in \(0, 1\)"),
        (lambda: nm.PCN(step_size=1.5), r"step_size must lie in \(0, 1\]"),
        (lambda: nm.PCN(step_size=float("nan")), r"step_size must lie in \(0, 1\]"),
        (lambda: nm.UnderdampedLangevin(integrator="euler"), "use one of leapfrog"),
        (lambda: nm.UnderdampedLangevin(adjusted=False, integrator="fourth_order"), "use leapfrog or rotation"),
        (lambda: nm.UnderdampedLangevin(friction=0.0), "friction must be positive"),
        (lambda: nm.UnderdampedLangevin(num_steps=1025), "num_steps must be at most 1024"),
        (lambda: nm.UnderdampedLangevin(num_steps=2, path_length=1.0), "give one of them"),
        (lambda: nm.MCLMC(num_steps=True), "must be a whole number"),
        (lambda: nm.MCLMC(jitter=1.0), r"must lie in \[0, 1\)"),
        (lambda: nm.MCLMC(adjusted=False, num_steps=2000), "num_steps must be at most 1024"),
        (lambda: nm.MCLMC(adjusted=False), "give target_acceptance 0.98, or a step_size"),
    ],
)
def test_impossible_samplers_are_refused(make: Callable[[], object], message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("sampler", "message"),
    [
        (nm.MALA(proposal="pcnl"), "use langevin"),
        (nm.PCN(), "use HMC or MALA"),
        (nm.UnderdampedLangevin(integrator="rotation"), "use leapfrog"),
    ],
)
def test_a_target_without_a_gaussian_prior_is_refused(sampler, message):
    target = GaussianTarget(torch.ones(2))
    target.gaussian_prior = False
    with pytest.raises(ValueError, match=message):
        sampler.kernel(target, torch.ones(1), 1, randomness_of(target, 1))


def test_mclmc_refuses_a_single_parameter_and_too_many_inner_steps():
    target = GaussianTarget(torch.ones(1))
    with pytest.raises(ValueError, match="at least 2 parameters"):
        nm.MCLMC().kernel(target, torch.ones(1), 1, randomness_of(target, 1))
    target = GaussianTarget(torch.ones(2))
    for sampler in (nm.MCLMC(adjusted=False, step_size=0.1), nm.UnderdampedLangevin()):
        with pytest.raises(ValueError, match="a shorter path_length"):
            sampler.kernel(target, torch.ones(1), 1025, randomness_of(target, 1))


def test_a_state_without_gradient_or_momentum_is_refused_where_one_is_needed():
    target = GaussianTarget(torch.ones(2))
    position = target.initial_position(1, "prior", 0)
    state = nm.PCN().kernel(target, torch.ones(1), 1, randomness_of(target, 1)).init(position)
    assert state.gradient is None
    with pytest.raises(ValueError, match="the state holds no gradient; make it with `init`"):
        gradient_of(state)
    with pytest.raises(ValueError, match="the state holds no momentum; make it with `init`"):
        momentum_of(state)
