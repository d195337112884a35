"""Chains do not know which others are sampled beside them: in any blocks of chains or of instances they are the same to
the bit, at every width."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

import nishimori as nm
from nishimori.chains.progress import silent
from nishimori.description import Channel
from nishimori.models.repriorised import RepriorisedPosterior
from nishimori.sampling import Run
from nishimori.sampling.parts import RunParts

CHAINS = 8
BLOCKS = ([3], [5, 0, 7], range(4))
INSTANCES = (0, 1, 2)
WIDTHS = (5, 7, 32, 33, 50)
PRECISIONS = ("fp32", "fp64")
SAMPLER = nm.HMC("rotation", step_size=0.05, num_steps=3)
NOISY = nm.GaussianChannel(0.2)
Target = nm.Posterior | nm.CollapsedPosterior | RepriorisedPosterior
TargetOf = Callable[[nm.Problem], Target]


def run(target: Target, chains: Sequence[int] | None = None, sampler: nm.HMC | nm.UnderdampedLangevin = SAMPLER) -> Run:
    """4 chains from the teacher and 4 from the prior, or those named."""
    return nm.sample(
        target,
        sampler,
        chains=CHAINS // 2,
        warmup=2,
        draws=4,
        thin=2,
        start="both",
        only_chains=chains,
        keep="position",
        progress=silent,
    )


def differences(
    found: Run, whole: Run, chains: Sequence[int] = range(CHAINS), instances: Sequence[int] = INSTANCES
) -> dict[str, float]:
    """Largest difference of every array with axes of instances and chains from those of the whole, relative to its
    largest number; infinite where one is NaN alone or has another shape."""
    one, all_ = RunParts.of(found), RunParts.of(whole)
    apart: dict[str, float] = {}
    for group, arrays in {**all_.segment, **all_.state}.items():
        mine = one.state[group] if group in all_.state else one.segment[group]
        axis = 2 if group == "moments" else 1
        for name, values in arrays.items():
            if values.ndim > axis and values.shape[axis] == CHAINS and name in mine:
                expected = np.take(np.take(values, list(chains), axis), list(instances), axis - 1)
                same = np.array_equal(mine[name], expected, equal_nan=expected.dtype.kind == "f")
                scale = float(np.abs(expected).max()) or 1.0
                apart[f"{group}/{name}"] = 0.0 if same else float(np.abs(mine[name] - expected).max()) / scale
    assert {"draws/position", "statistics/energy_error", "state/position", "moments/test_prediction_sum"} <= set(apart)
    return apart


def problem_of(
    network: nm.Network, channel: Channel = NOISY, samples: int = 48, instances: Sequence[int] = INSTANCES
) -> nm.Problem:
    return nm.matched_teacher(network, channel, samples, instances, test_samples=3)


def require_the_same_in_blocks(target_of: TargetOf, network: nm.Network, channel: Channel = NOISY) -> None:
    """Of chains, and of one chain of one instance."""
    target = target_of(problem_of(network, channel))
    whole = run(target)
    for chains in BLOCKS:
        assert not nonzero(differences(run(target, chains), whole, chains))
    one = run(target_of(problem_of(network, channel, instances=[1])), [6])
    assert not nonzero(differences(one, whole, [6], [1]))


def nonzero(differences: dict[str, float]) -> dict[str, float]:
    return {name: difference for name, difference in differences.items() if difference != 0}


def logistic(latent: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.logsigmoid(labels * latent).sum(-1)


TARGETS: dict[str, Callable[[nm.Problem, str], Target]] = {
    "plain": lambda problem, precision: nm.Posterior(problem, precision, "cpu"),
    "weight form": lambda problem, precision: nm.CollapsedPosterior(problem, precision, "cpu", "weight", readouts=5),
    "kernel form": lambda problem, precision: nm.CollapsedPosterior(problem, precision, "cpu", "kernel"),
    "repriorised": lambda problem, precision: RepriorisedPosterior(problem, logistic, precision, "cpu"),
}


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", TARGETS)
def test_blocks_of_any_size_are_the_same_to_the_bit(kind: str, width: int, precision: str) -> None:
    target_of = TARGETS[kind]
    require_the_same_in_blocks(lambda problem: target_of(problem, precision), nm.Network(width, (width,), "tanh"))


def bump(z):
    return z / (1 + z**2)


def bump_derivative(z):
    return (1 - z**2) / (1 + z**2) ** 2


OWN = nm.Activation(bump, bump_derivative, "bump", odd=True)
OWN_TORCH = nm.Activation(bump, bump_derivative, "bump", True, torch_function=bump, torch_derivative=bump_derivative)
NETWORKS = {
    "linear": nm.Network(7, (), "tanh"),
    "deep": nm.Network(7, (33, 5, 9), "tanh2"),
    "fixed readout": nm.Network(33, (7,), "erf", readout="fixed"),
    "biases": nm.Network(7, (33, 5), "tanh", bias_variance=0.3),
    "variances": nm.Network(5, (7, 5), "relu", weight_variance=1.5),
    "an activation a layer": nm.Network(7, (13, 5), ("sin", "erf")),
    "an activation of one's own": nm.Network(7, (13, 5), OWN),
    "an activation of one's own in torch": nm.Network(7, (13, 5), OWN_TORCH),
}
CHANNELS = [
    nm.ProbitChannel(0.3),
    nm.LogisticChannel(0.7),
    nm.OutputChannel("tanh", 0.2),
]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("network", NETWORKS)
def test_so_are_those_of_any_network(network: str, precision: str) -> None:
    require_the_same_in_blocks(lambda problem: nm.Posterior(problem, precision, "cpu"), NETWORKS[network])


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("channel", CHANNELS, ids=lambda channel: type(channel).__name__)
def test_and_of_any_channel(channel: Channel, precision: str) -> None:
    require_the_same_in_blocks(
        lambda problem: nm.Posterior(problem, precision, "cpu"), nm.Network(7, (13,), "tanh"), channel
    )


def test_matrices_that_lapack_factorises_are_rounded_alike() -> None:
    """Beside ones of another place in memory."""
    network = nm.Network(3, (133,), "tanh")
    whole, alone = (
        nm.CollapsedPosterior(problem_of(network, samples=140, instances=instances), "fp64", "cpu")
        for instances in ((0, 1), (1,))
    )
    energy, gradient = whole.energy_and_gradient(whole.initial_position(3, "prior", seed=1))
    own, own_gradient = alone.energy_and_gradient(alone.initial_position((2,), "prior", seed=1))
    assert torch.equal(own[0, 0], energy[1, 2])
    assert torch.equal(own_gradient.to_edge()[0, 0], gradient.to_edge()[1, 2])


def test_statistics_of_many_inner_steps_are_the_same() -> None:
    target = nm.Posterior(problem_of(nm.Network(7, (7,), "tanh")), "fp64", "cpu")
    sampler = nm.UnderdampedLangevin(step_size=0.1, num_steps=9)
    whole = run(target, sampler=sampler)
    assert not nonzero(differences(run(target, [5], sampler), whole, [5]))


def test_a_block_of_large_chains_goes_as_the_whole_run_would() -> None:
    """Two threads take four chains one by one, but three of them in blocks; these round otherwise."""
    threads = torch.get_num_threads()
    problem = nm.matched_teacher(nm.Network(100, (100,), "tanh"), NOISY, 600, test_samples=3)
    try:
        torch.set_num_threads(2)
        forces = []
        for chains, rows in ((4, None), (3, None), (3, 4)):
            target = nm.Posterior(problem, "fp32", "cpu", rows_in_all=rows).at_precision("fp32")
            forces.append(target.gradient(target.initial_position(chains, "prior", seed=1)).to_edge()[:, :3])
    finally:
        torch.set_num_threads(threads)
    whole, by_itself, told = forces
    assert torch.equal(told, whole) and not torch.equal(by_itself, whole)
    with pytest.raises(ValueError, match="rows_in_all must be a whole number from 1 on, got 0; give instances times"):
        nm.CollapsedPosterior(problem, "fp32", "cpu", rows_in_all=0)


def test_another_chain_is_another_chain() -> None:
    """The negative control of the comparison."""
    target = nm.Posterior(problem_of(nm.Network(7, (7,), "tanh")), "fp64", "cpu")
    assert differences(run(target, [1, 2]), run(target), [1, 3])["draws/position"] > 1e-2
