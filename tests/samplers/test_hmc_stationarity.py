"""HMC from the teacher is stationary at once: laws of the energy error."""

import math

import pytest
import torch
from targets import fixed_kernel, wrong_energy

import nishimori as nm
from nishimori.chains.loop import Schedule, chain_loop
from nishimori.models.posterior import Posterior
from nishimori.models.target import Target
from nishimori.samplers.integrators import INTEGRATORS

NAMES = sorted(INTEGRATORS)
INSTANCES, TRANSITIONS, NOISE_VARIANCE = 256, 25, 0.1
STEP_SIZE = {
    "leapfrog": 0.16,
    "rotation": 0.16,
    "minimum_norm": 0.28,
    "minimum_norm_rotation": 0.28,
    "fourth_order": 0.62,
}
NUM_STEPS = {"leapfrog": 5, "rotation": 5, "minimum_norm": 3, "minimum_norm_rotation": 3, "fourth_order": 2}


@pytest.fixture(scope="module")
def posterior() -> Posterior:
    """1056 parameters an instance; the average over instances makes the teacher a draw from the posterior."""
    problem = nm.matched_teacher(
        nm.Network(32, (32,), "tanh"), nm.GaussianChannel(NOISE_VARIANCE), 48, INSTANCES, test_samples=1
    )
    return nm.Posterior(problem, "fp64", "cpu")


def measure(target: Target, posterior: Posterior, integrator: str) -> dict[str, torch.Tensor]:
    """Energy error, acceptance and training energy of every transition, each [instances, transitions]."""
    kernel = fixed_kernel(target, integrator, STEP_SIZE[integrator], NUM_STEPS[integrator], chains=1)
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
    assert 0.5 < acceptance < 0.96
    assert abs(z_score(torch.exp(-measured["error"]), 1.0)) < 4
    assert abs(acceptance / predicted - 1) < 0.03
    assert abs(z_score(measured["training_energy"], NOISE_VARIANCE)) < 4


@pytest.mark.parametrize("integrator", NAMES)
def test_wrong_energies_break_the_exact_law(posterior, integrator):
    """Negative control: with energies 5 % too large the teacher is no draw of the sampled law."""
    measured = measure(wrong_energy(posterior, 1.05), posterior, integrator)
    assert abs(z_score(torch.exp(-measured["error"]), 1.0)) > 4
