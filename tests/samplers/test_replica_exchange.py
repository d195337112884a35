"""Replica exchange: the weights of modes that nothing else crosses, the law of every level, and planted bugs.

Chains use independent random numbers, so the spread of chain averages is the error of their mean.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pytest
import torch
from targets import GaussianTarget, WrappedTarget
from torch import Tensor

from nishimori.chains.loop import Schedule, chain_loop
from nishimori.models.layout import Layout, Position
from nishimori.models.randomness import Randomness
from nishimori.models.target import Target
from nishimori.models.tempered import TemperedTarget
from nishimori.samplers import base, replica_exchange
from nishimori.samplers.base import Info, Kernel, Sampler, State, Streams
from nishimori.samplers.hmc import HMC, HMCKernel
from nishimori.samplers.replica_exchange import ReplicaExchange, ReplicaExchangeKernel, ReplicaInfo, ReplicaState

LADDER = (1.0, 0.5, 0.25, 0.12)


def density(target: Target) -> WrappedTarget:
    """Another target, of which nothing says that it has a Gaussian prior."""
    wrapped = WrappedTarget(target)
    wrapped.gaussian_prior = False
    return wrapped


class Mixture:
    """weight N(+offset e_0, I) + (1 - weight) N(-offset e_0, I) in `num_parameters` dimensions."""

    gaussian_prior = False
    dtype = torch.float64
    device = torch.device("cpu")
    instances: tuple[int, ...] = (0,)

    def __init__(self, weight: float, offset: float, num_parameters: int) -> None:
        self.num_parameters, self.offset = num_parameters, offset
        self.log_odds = math.log(weight / (1 - weight))

    def layout(self, chains: int) -> Layout:
        return Layout(1, chains, ((self.num_parameters,),))

    def energy(self, position: Position) -> Tensor:
        return self.energy_and_gradient(position)[0]

    def gradient(self, position: Position, out: Position | None = None) -> Position:
        return self.energy_and_gradient(position, out)[1]

    def energy_and_gradient(self, position: Position, out: Position | None = None) -> tuple[Tensor, Position]:
        """Up to a constant, U = |q|^2 / 2 - log cosh(offset q_0 + log_odds / 2)."""
        out = position.empty_like() if out is None else out
        values = position.blocks[0]
        argument = self.offset * values[..., 0] + self.log_odds / 2
        energy = values.square().sum(-1) / 2 - torch.logaddexp(argument, -argument)
        out.blocks[0].copy_(values)
        out.blocks[0][..., 0] -= self.offset * torch.tanh(argument)
        return energy, out

    def initial_position(self, chains: int | tuple[int, ...], start: str, seed: int, point: str = "") -> Position:
        """All in the lesser mode."""
        del start, seed, point
        position = self.layout(chains if isinstance(chains, int) else len(chains)).empty(self.dtype, self.device)
        position.flat.zero_()
        position.blocks[0][..., 0] = -self.offset
        return position


def kernel_of(
    target: Target, sampler: Sampler, step_size: float, num_steps: int, chains: int | Sequence[int], seed: int = 0
) -> Kernel:
    steps = torch.full((len(target.instances),), step_size)
    identities = range(chains) if isinstance(chains, int) else chains
    return sampler.kernel(target, steps, num_steps, Randomness.of(seed, "", target.instances, identities))


def start_of(target: Target, chains: int | tuple[int, ...]) -> Position:
    return target.initial_position(chains, "prior", 0)


def averages(kernel: Kernel, start: Position, schedule: Schedule, observe: Callable[[State], Tensor]) -> Tensor:
    """`observe(state)` averaged over the draws."""
    total = torch.zeros(())
    for transition in chain_loop(kernel, kernel.init(start), schedule):
        if transition.draw is not None:
            total = total + observe(transition.state)
    return total / schedule.draws


def z_score(chain_averages: Tensor, expected: float | Tensor) -> Tensor:
    """Of the mean over chains, the second axis from the left of [instances, chains, ...]; instances are alike."""
    rows = chain_averages.flatten(0, 1)
    return (rows.mean(0) - expected) / (rows.std(0) / math.sqrt(len(rows)))


WEIGHT, OFFSET = 0.7, 6.0
CHAINS = 400


def in_the_greater_mode(state: State) -> Tensor:
    return (state.position.blocks[0][..., 0] > 0).double()


def test_plain_hmc_never_crosses():
    mixture = Mixture(WEIGHT, OFFSET, 8)
    kernel = kernel_of(mixture, HMC(), 0.5, 4, CHAINS)
    fraction = averages(kernel, start_of(mixture, CHAINS), Schedule(0, 400), in_the_greater_mode)
    assert (fraction == 0).all()


EXCHANGE = ReplicaExchange(HMC(), levels=6, hottest=0.04)


def test_replica_exchange_finds_the_weights_of_the_modes():
    """At the target, and at the next level, where exp(-b U) puts weight^b on a mode up to a constant."""
    mixture = Mixture(WEIGHT, OFFSET, 8)
    kernel = kernel_of(mixture, EXCHANGE, 0.5, 4, CHAINS)

    def by_level(state: State) -> Tensor:
        assert isinstance(state, ReplicaState)
        first = state.replicas.position.blocks[0][..., 0]
        return (first > 0).double().unflatten(1, (-1, EXCHANGE.levels))

    fraction = averages(kernel, start_of(mixture, CHAINS), Schedule(250, 500), by_level)
    odds = (WEIGHT / (1 - WEIGHT)) ** torch.tensor(EXCHANGE.ladder)
    assert z_score(fraction, odds / (1 + odds))[:2].abs().max() < 3
    assert fraction[..., 0].std() / math.sqrt(CHAINS) < 0.01 * WEIGHT


def ladder_law(prior: bool) -> tuple[Target, Tensor]:
    """A Gaussian of curvature 3 in four dimensions and its variance by level: of b Phi + q^2 / 2, or of b U."""
    target, levels = GaussianTarget(torch.full((4,), 3.0), instances=2), torch.tensor(LADDER)
    return (target, 1 / (1 + 2 * levels)) if prior else (density(target), 1 / (3 * levels))


def variances(sampler: Sampler, prior: bool) -> Tensor:
    """z-scores of the variance of every level of `sampler`."""
    target, expected = ladder_law(prior)
    kernel = kernel_of(target, sampler, 0.4, 3, 128)

    def by_level(state: State) -> Tensor:
        assert isinstance(state, ReplicaState)
        return state.replicas.position.blocks[0].square().mean(-1).unflatten(1, (-1, len(LADDER)))

    squares = averages(kernel, start_of(target, 128), Schedule(40, 250), by_level)
    return z_score(squares, expected)


@pytest.mark.parametrize(("prior", "integrator"), [(True, "leapfrog"), (True, "rotation"), (False, "leapfrog")])
def test_every_level_has_its_own_law(prior, integrator):
    assert variances(ReplicaExchange(HMC(integrator), LADDER), prior).abs().max() < 4


@pytest.mark.parametrize("prior", [True, False])
def test_a_swap_of_the_wrong_sign_shows(prior, monkeypatch):
    """Negative control: replicas swap where they should not."""

    def flipped(error: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
        return base.metropolis(-error, uniform)

    monkeypatch.setattr(replica_exchange, "metropolis", flipped)
    assert variances(ReplicaExchange(HMC(), LADDER), prior).abs().max() > 4


@pytest.mark.parametrize("prior", [True, False])
def test_a_stale_energy_after_a_swap_shows(prior, monkeypatch):
    """Negative control: the energy arrives at the temperature it came from."""
    carried = ReplicaExchangeKernel._carried

    def stale(self, replicas: State, source: Tensor, ratio: Tensor) -> State:
        energy = replicas.energy.view(source.shape).gather(2, source).flatten(1)
        return replace(carried(self, replicas, source, ratio), energy=energy)

    monkeypatch.setattr(ReplicaExchangeKernel, "_carried", stale)
    assert variances(ReplicaExchange(HMC(), LADDER), prior).abs().max() > 4


@pytest.mark.parametrize("prior", [True, False])
def test_a_swap_carries_energies_and_gradients_to_their_new_temperature(prior):
    target, _ = ladder_law(prior)
    tempered = TemperedTarget(target, LADDER)
    kernel = kernel_of(target, ReplicaExchange(HMC(), LADDER), 0.4, 3, 16)
    swaps = []
    for transition in chain_loop(kernel, kernel.init(start_of(target, 16)), Schedule(0, 30)):
        state, info = transition.state, transition.info
        assert isinstance(state, ReplicaState) and isinstance(info, ReplicaInfo)
        swaps.append(info.swap_acceptance)
        for held, asked in ((state.replicas, tempered), (state, target)):
            energy, gradient = asked.energy_and_gradient(held.position)
            assert held.gradient is not None
            torch.testing.assert_close(held.energy, energy, rtol=1e-11, atol=1e-11)
            torch.testing.assert_close(held.gradient.flat, gradient.flat, rtol=1e-11, atol=1e-11)
    acceptance = torch.stack(swaps)  # [steps, instances, chains, pairs]
    assert acceptance[::2, ..., 1].isnan().all() and acceptance[1::2, ..., ::2].isnan().all()
    mean = acceptance.nanmean((0, 1, 2))
    assert ((0.1 < mean) & (mean < 1)).all()


@pytest.mark.parametrize("prior", [True, False])
def test_the_target_level_is_the_target_to_the_last_bit(prior):
    target, _ = ladder_law(prior)
    kernel = kernel_of(target, ReplicaExchange(HMC(), LADDER), 0.4, 3, 5)
    state, plain = kernel.init(start_of(target, 5)), start_of(target, 5)
    energy, gradient = target.energy_and_gradient(plain)
    assert state.gradient is not None and state.momentum is None
    assert torch.equal(state.position.flat, plain.flat)
    assert torch.equal(state.energy, energy) and torch.equal(state.gradient.flat, gradient.flat)


def test_a_chain_does_not_know_what_runs_beside_it():
    target, sampler = GaussianTarget(torch.tensor([1.0, 4.0, 9.0]), instances=2), ReplicaExchange(HMC(), LADDER)

    def final(chains: tuple[int, ...]) -> Tensor:
        kernel = kernel_of(target, sampler, 0.3, 3, chains, seed=3)
        *_, last = chain_loop(kernel, kernel.init(start_of(target, chains)), Schedule(0, 20))
        return last.state.position.to_edge()

    together, alone = final((0, 1, 2, 3)), final((2,))
    assert torch.equal(together[:, 2:3], alone)
    assert not torch.isclose(together[:, :1], together[:, 1:2]).any()


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_replica_without_a_finite_energy_stays_and_spoils_nothing(value):
    """Chain 1 has such a replica at level 2 from the start; the other levels of its chain go on."""
    target, place = GaussianTarget(torch.tensor([1.0, 4.0])), (0, 1 * len(LADDER) + 2)

    def energy(clean: Tensor) -> Tensor:
        spoilt = clean.clone()
        spoilt[place] = float(value)
        return spoilt

    runs = []
    for on in (target, WrappedTarget(target, energy)):
        kernel = kernel_of(on, ReplicaExchange(HMC(), LADDER), 0.4, 3, 3)
        runs.append([t.state for t in chain_loop(kernel, kernel.init(start_of(target, 3)), Schedule(0, 25))])
    for clean, spoilt in zip(*runs, strict=True):
        assert torch.equal(clean.position.to_edge()[:, ::2], spoilt.position.to_edge()[:, ::2])
        assert torch.equal(clean.energy[:, ::2], spoilt.energy[:, ::2])
        assert torch.isfinite(spoilt.position.flat).all() and torch.isfinite(spoilt.energy).all()
        held = spoilt.replicas.position.to_edge()[place]
        assert torch.equal(held, start_of(target, 3).to_edge()[0, 1])
    assert not torch.equal(runs[1][0].energy[:, 1], runs[1][-1].energy[:, 1])


@dataclass(frozen=True, eq=False)
class Still:
    """A kernel that stays where it is, with momenta that say their place along the chain axis."""

    target: Target

    def init(self, position: Position) -> State:
        momentum = position.empty_like()
        places = torch.arange(position.layout.chains, dtype=momentum.flat.dtype)
        momentum.blocks[0].copy_(places[None, :, None])
        return State(position, *self.target.energy_and_gradient(position), momentum)

    def step(self, state: State, step: int) -> tuple[State, Info]:
        del step
        zero = torch.zeros_like(state.energy)
        return state, Info(zero + 1, zero == 0, zero, zero > 0, 1)


def test_momenta_stay_with_their_level_and_every_swap_is_of_neighbours():
    """With a hotter replica of lower energy a swap is certain: the energies must end in order."""
    tempered = TemperedTarget(density(GaussianTarget(torch.ones(1))), (1.0, 0.5, 0.25))
    randomness = Randomness.of(0, "", (0,), range(6))
    kernel = ReplicaExchangeKernel(Still(tempered), tempered, randomness, Streams())
    position = Layout(1, 6, ((1,),)).empty(torch.float64, torch.device("cpu"))
    position.flat.copy_(torch.tensor([30.0, 20.0, 10.0, 10.0, 20.0, 30.0]))
    replicas = Still(tempered).init(position)
    state = kernel._state(replicas)
    expected = {
        0: [20.0, 30.0, 10.0, 10.0, 20.0, 30.0],
        1: [20.0, 10.0, 30.0, 10.0, 20.0, 30.0],
        2: [10.0, 20.0, 30.0, 10.0, 20.0, 30.0],
    }
    for step, places in expected.items():
        state, _ = kernel.step(state, step)
        assert state.replicas.position.flat.tolist() == places
        assert state.replicas.momentum is not None and state.momentum is not None
        assert state.replicas.momentum.flat.tolist() == [0, 1, 2, 3, 4, 5]
        assert state.position.flat.tolist() == [places[0], places[3]]
        assert state.momentum.flat.tolist() == [0, 3]


STEPS = [([0.2], [[0.2, 0.2]]), ([[0.2, 0.3]], [[0.2, 0.3]]), ([[[0.2]], [[0.1]]], [[[0.2, 0.2]], [[0.1, 0.1]]])]
"""As given, and that of the two chains at level 0."""


@pytest.mark.parametrize(("step_size", "expected"), STEPS, ids=["instance", "chain", "block"])
def test_steps_follow_the_scale_of_a_density_and_no_other(step_size, expected):
    """Two chains at b = 1 and 1/4: a density's law is twice as wide at the second level."""
    sampler, chains = ReplicaExchange(HMC(), (1.0, 0.25)), Randomness.of(0, "", (0,), range(2))
    prior = GaussianTarget(torch.ones(3))
    steps = torch.tensor(expected)
    for target in (density(prior), prior):
        inner = sampler.kernel(target, torch.tensor(step_size), 3, chains).inner
        assert isinstance(inner, HMCKernel)
        wider = 1.0 if target is prior else 2.0
        torch.testing.assert_close(inner.step_size[..., ::2], steps)
        torch.testing.assert_close(inner.step_size[..., 1::2], wider * steps)


def test_it_asks_for_what_its_inner_sampler_asks_for():
    inner = HMC("rotation", step_size=0.1, path_length=1.0, target_acceptance=0.7, layer_scales=True)
    outer = ReplicaExchange(inner)
    for name in ("step_size", "num_steps", "path_length", "target_acceptance", "layer_scales", "largest_step_size"):
        assert getattr(outer, name) == getattr(inner, name)


def test_the_default_ladder_is_geometric():
    ladder = torch.tensor(ReplicaExchange(levels=5, hottest=0.0625).ladder)
    torch.testing.assert_close(ladder, torch.tensor([1.0, 0.5, 0.25, 0.125, 0.0625]))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"levels": 1}, "levels must be at least 2"),
        ({"hottest": 0.0}, "hottest must lie in"),
        ({"inverse_temperatures": (0.9, 0.5)}, "must fall from 1"),
        ({"inverse_temperatures": (1.0, 0.5, 0.6)}, "must fall from 1"),
        ({"inverse_temperatures": (1.0, 0.0)}, "must fall from 1"),
        ({"inverse_temperatures": (1.0,)}, "must fall from 1"),
        ({"sampler": ReplicaExchange()}, "give the sampler that moves each replica"),
    ],
)
def test_wrong_arguments_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        ReplicaExchange(**arguments)


def test_a_state_of_another_kernel_is_refused():
    target = GaussianTarget(torch.ones(2))
    kernel = kernel_of(target, ReplicaExchange(), 0.3, 2, 3)
    foreign = kernel_of(target, HMC(), 0.3, 2, 3).init(start_of(target, 3))
    with pytest.raises(TypeError, match="make one with init"):
        kernel.step(foreign, 0)
