"""HMC from the teacher is stationary at once: laws of the energy error, and what a non-finite energy does."""

import math

import pytest
import torch
from targets import WrappedTarget, fixed_kernel, wrong_energy

import nishimori as nm
from nishimori.chains.loop import Schedule, chain_loop
from nishimori.models.posterior import Posterior
from nishimori.models.target import Target
from nishimori.samplers.base import State
from nishimori.samplers.integrators import INTEGRATORS

NAMES = sorted(INTEGRATORS)
INSTANCES, TRANSITIONS, NOISE_VARIANCE = 256, 25, 0.1
STEP_SIZE = {"leapfrog": 0.16, "rotation": 0.16}
NUM_STEPS = 5


@pytest.fixture(scope="module")
def posterior() -> Posterior:
    """1056 parameters an instance; the average over instances makes the teacher a draw from the posterior."""
    problem = nm.matched_teacher(
        nm.Network(32, (32,), "tanh"), nm.GaussianChannel(NOISE_VARIANCE), 48, INSTANCES, test_samples=1
    )
    return nm.Posterior(problem, "fp64", "cpu")


def measure(target: Target, posterior: Posterior, integrator: str) -> dict[str, torch.Tensor]:
    """Energy error, acceptance and training energy of every transition, each [instances, transitions]."""
    kernel = fixed_kernel(target, integrator, STEP_SIZE[integrator], NUM_STEPS, chains=1)
    state = kernel.init(posterior.initial_position(1, "teacher", 0))
    labels = posterior.problem.labels.unsqueeze(1)
    rows = []
    for transition in chain_loop(kernel, state, Schedule(0, TRANSITIONS)):
        residual = posterior.latent(transition.state.position) - labels
        info = transition.info
        rows.append((info.energy_error, info.acceptance, residual.square().mean(-1)))
    names = ("error", "acceptance", "training_energy")
    return {name: torch.cat(row, dim=1) for name, row in zip(names, zip(*rows, strict=True), strict=True)}


def z_score(values: torch.Tensor, expected: float) -> float:
    """Of the mean of `values` [instances, transitions], with the spread over instances as error."""
    means = values.mean(1)
    return float((means.mean() - expected) / (means.std() / math.sqrt(len(means))))


@pytest.mark.parametrize("integrator", NAMES)
def test_energy_errors_obey_their_exact_and_their_gaussian_law(posterior, integrator):
    """<exp(-Delta H)> = 1 (Creutz 1988); acceptance = erfc(sqrt(<Delta H>) / 2) for Gaussian Delta H (Gupta et al.
    1990).

    And N1 at every step: the training energy is the noise variance on average over instances.
    """
    measured = measure(posterior, posterior, integrator)
    acceptance = float(measured["acceptance"].mean())
    predicted = math.erfc(math.sqrt(float(measured["error"].mean())) / 2)
    assert 0.5 < acceptance < 0.9
    assert abs(z_score(torch.exp(-measured["error"]), 1.0)) < 4
    assert abs(acceptance / predicted - 1) < 0.03
    assert abs(z_score(measured["training_energy"], NOISE_VARIANCE)) < 4


@pytest.mark.parametrize("integrator", NAMES)
def test_wrong_energies_break_the_exact_law(posterior, integrator):
    """Negative control: with energies 5 % too large the teacher is no draw of the sampled law."""
    measured = measure(wrong_energy(posterior, 1.05), posterior, integrator)
    assert abs(z_score(torch.exp(-measured["error"]), 1.0)) > 4


class Injection:
    """Spoils the trajectory of one chain at chosen transitions of HMC with a fixed number of steps."""

    def __init__(self, target: Target, at: dict[int, str], instance: int, chain: int) -> None:
        self.at, self.place, self.transition = at, (instance, chain), 0
        self.wrapped = WrappedTarget(target, self._energy, self._gradient_)

    def _energy(self, energy: torch.Tensor) -> torch.Tensor:
        kind = self.at.get(self.transition)
        self.transition += 1
        if kind in (None, "force"):
            return energy
        energy = energy.clone()
        energy[self.place] = float(kind)
        return energy

    def _gradient_(self, gradient) -> None:
        if self.at.get(self.transition) == "force":
            for block in gradient.blocks:
                block[self.place] = torch.nan


@pytest.mark.parametrize("precision", ["fp64", "fp32"])
@pytest.mark.parametrize("integrator", NAMES)
def test_a_non_finite_proposal_is_rejected_by_its_chain_alone(integrator, precision):
    problem = nm.matched_teacher(nm.Network(5, (4, 3)), nm.GaussianChannel(0.1), 7, 2, test_samples=1)
    clean = nm.Posterior(problem, precision, "cpu")
    at = {2: "nan", 4: "inf", 5: "-inf", 7: "force"}
    instance, chain = 1, 2
    runs: list[list[tuple[State, torch.Tensor, torch.Tensor]]] = []
    for injected in (False, True):
        target = Injection(clean, at, instance, chain).wrapped if injected else clean
        kernel = fixed_kernel(target, integrator, 0.05, 4, chains=3)
        position = clean.initial_position(3, "prior", 0)
        state = State(position, *clean.energy_and_gradient(position))
        transitions = chain_loop(kernel, state, Schedule(0, 10))
        runs.append([(t.state, t.info.accepted, t.info.divergent) for t in transitions])
    others = torch.ones(2, 3, dtype=torch.bool)
    others[instance, chain] = False
    for step, ((plain, accepted, _), (spoilt, accepted_too, divergent)) in enumerate(zip(*runs, strict=True)):
        for first, second in (
            (plain.position.to_edge(), spoilt.position.to_edge()),
            (plain.gradient.to_edge(), spoilt.gradient.to_edge()),
            (plain.energy, spoilt.energy),
            (accepted, accepted_too),
        ):
            assert torch.equal(first[others], second[others])
        assert bool(divergent[instance, chain]) == (step in at)
        assert not divergent[others].any()
        assert torch.isfinite(spoilt.position.flat).all() and torch.isfinite(spoilt.energy).all()
        if step in at:
            assert not accepted_too[instance, chain]
            before = runs[1][step - 1][0]
            assert torch.equal(spoilt.position.to_edge()[instance, chain], before.position.to_edge()[instance, chain])
            assert torch.equal(spoilt.gradient.to_edge()[instance, chain], before.gradient.to_edge()[instance, chain])
    moved = [bool(accepted[instance, chain]) for _, accepted, _ in runs[1]]
    assert moved[3] and moved[9]
