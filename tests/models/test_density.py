"""A user's density as a target: its values and slopes, where chains start, what it refuses, and what is sampled."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from targets import fixed_kernel, states, wrong_energy
from torch import Tensor

import nishimori as nm
from nishimori.chains.progress import silent
from nishimori.models.layout import Position
from nishimori.models.target import Target
from nishimori.samplers.base import State

DIM = 3
MEAN = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
COVARIANCE = torch.tensor([[2.0, 0.6, 0.0], [0.6, 1.0, -0.3], [0.0, -0.3, 0.5]], dtype=torch.float64)
PRECISION = torch.linalg.inv(COVARIANCE)


def gaussian(theta: Tensor) -> Tensor:
    centred = theta - MEAN.to(theta.dtype)
    return -(centred @ PRECISION.to(theta.dtype) * centred).sum(-1) / 2


def standard(theta: Tensor) -> Tensor:
    return -theta.square().sum(-1) / 2


def started(log_density: Callable, chains: int = 4, **options) -> tuple[nm.DensityTarget, Position]:
    target = nm.DensityTarget(log_density, DIM, device="cpu", **options)
    return target, target.initial_position(chains, "prior", seed=3)


@pytest.mark.parametrize(("precision", "tolerance"), [("fp64", 1e-12), ("fp32", 1e-5)])
def test_energy_and_gradient_are_those_of_the_gaussian(precision: str, tolerance: float):
    target, position = started(gaussian, 63, precision=precision)
    centred = position.to_edge()[0].double() - MEAN
    force, out = centred @ PRECISION, position.empty_like()
    energy, gradient = target.energy_and_gradient(position, out)
    assert gradient is out and energy.shape == (1, 63)
    assert energy.dtype == torch.float64 and gradient.flat.dtype == target.dtype
    torch.testing.assert_close(energy[0], (centred * force).sum(-1) / 2, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(gradient.to_edge()[0].double(), force, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(target.energy(position), energy)
    assert torch.equal(target.gradient(position).flat, gradient.flat)


def test_a_chain_is_independent_of_those_beside_it():
    """By itself and with others, to round-off: a position, its energy and gradient depend on its identity alone."""
    target, position = started(gaussian, 5)
    energy, gradient = target.energy_and_gradient(position)
    for chain in range(5):
        alone = target.initial_position((chain,), "prior", seed=3)
        own_energy, own_gradient = target.energy_and_gradient(alone)
        assert torch.equal(alone.to_edge()[0, 0], position.to_edge()[0, chain])
        torch.testing.assert_close(own_energy[0, 0], energy[0, chain], rtol=1e-14, atol=1e-14)
        torch.testing.assert_close(own_gradient.to_edge()[0, 0], gradient.to_edge()[0, chain], rtol=1e-13, atol=1e-13)


def test_values_may_be_float64_at_single_precision():
    target, position = started(lambda theta: standard(theta.double()), precision="fp32")
    energy, gradient = target.energy_and_gradient(position)
    assert torch.equal(energy, position.to_edge().double().square().sum(-1) / 2)
    assert torch.equal(gradient.flat, position.flat)


def test_functions_with_a_backward_of_their_own_are_differentiated():
    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, values):
            ctx.save_for_backward(values)
            return values.square()

        @staticmethod
        def backward(ctx, *slopes):
            return 2 * slopes[0] * ctx.saved_tensors[0]

    target, position = started(lambda theta: -Square.apply(theta).sum(-1) / 2)  # pyright: ignore
    assert torch.equal(target.gradient(position).flat, position.flat)


ROWS = torch.arange(6.0, dtype=torch.float64).view(2, DIM)


@pytest.mark.parametrize(
    ("initial", "expected"),
    [
        (ROWS[1], ROWS[[1, 1, 1]]),
        (ROWS, ROWS[[0, 1, 0]]),
        (lambda chains: torch.arange(3 * chains).view(chains, DIM), torch.tensor([[0, 1, 2], [3, 4, 5], [12, 13, 14]])),
    ],
    ids=["a point", "rows in turn", "function"],
)
def test_chains_start_where_initial_says(initial, expected: Tensor):
    target = nm.DensityTarget(gaussian, DIM, initial=initial, device="cpu")
    assert torch.equal(target.initial_position((0, 1, 4), "prior", 0).to_edge()[0], expected.double())


@pytest.mark.parametrize(
    ("initial", "message"),
    [
        (torch.zeros(4), r"shape \[4\]; give \[3\] or \[chains, 3\]"),
        (torch.zeros(2, 4), r"shape \[2, 4\]; give"),
        (torch.zeros(0, DIM), r"shape \[0, 3\]; give"),
        (torch.full((DIM,), torch.nan), "not finite; give points"),
        (lambda chains: torch.zeros(DIM), r"shape \[3\]; give \[4, 3\]"),
        (lambda chains: torch.zeros(chains + 1, DIM), r"shape \[5, 3\]; give \[4, 3\]"),
        (lambda chains: None, r"NoneType; give a tensor of shape \[4, 3\]"),
        (lambda chains: chains / 0, "ZeroDivisionError: division by zero.*give a function"),
    ],
)
def test_a_wrong_initial_is_refused(initial, message: str):
    with pytest.raises(ValueError, match=message):
        nm.DensityTarget(gaussian, DIM, initial=initial, device="cpu").initial_position(4, "prior", 0)


@pytest.mark.parametrize("start", ["teacher", "both"])
def test_a_density_has_no_teacher(start: str):
    with pytest.raises(ValueError, match=f"start='{start}'.*no teacher.*use start=\"prior\""):
        nm.DensityTarget(gaussian, DIM, device="cpu").initial_position(2, start, 0)


@pytest.mark.parametrize("dim", [0, -1, 2.0, True, None])
def test_a_wrong_dim_is_refused(dim):
    with pytest.raises(ValueError, match="dim must be a whole number.*give the number of parameters"):
        nm.DensityTarget(gaussian, dim)


def test_what_is_no_function_is_refused():
    with pytest.raises(ValueError, match=r"must be callable, got Tensor; give \[batch, dim\] -> \[batch\]"):
        nm.DensityTarget(MEAN, DIM)  # pyright: ignore[reportArgumentType]


def change(theta: Tensor) -> Tensor:
    return theta.mul_(2).sum(-1)


def change_where_no_graph_forbids(theta: Tensor) -> Tensor:
    return theta.sum(-1) if theta.requires_grad else change(theta)


FREE = torch.ones(DIM, dtype=torch.float64, requires_grad=True)
REFUSED: dict[str, tuple[Callable[[Tensor], object], str]] = {
    "a value a parameter": (lambda theta: -theta.square(), r"shape \[4, 3\] instead of \[4\]; return one value a row"),
    "the sum of all rows": (
        lambda theta: standard(theta).sum(),
        r"shape \[\] instead of \[4\]; return one value a row",
    ),
    "an array": (lambda theta: theta.detach().numpy().sum(-1), r"returned a ndarray; return a torch tensor"),
    "numpy inside": (lambda theta: torch.from_numpy(theta.numpy().sum(-1)), "Can't call numpy.*by torch operations"),
    "numpy behind detach": (
        lambda theta: torch.from_numpy(theta.detach().numpy().sum(-1)),
        "not differentiable.*without detach, no_grad or numpy",
    ),
    "detached": (lambda theta: standard(theta).detach(), "not differentiable.*with torch operations alone"),
    "a graph to elsewhere": (lambda theta: theta.detach() @ FREE, "not differentiable"),
    "integers": (lambda theta: theta.long().sum(-1), "returned torch.int64, which has no gradient; return"),
    "half the precision": (lambda theta: standard(theta).float(), "torch.float32 at positions in torch.float64; keep"),
    "data of another dtype": (lambda theta: theta @ torch.ones(DIM).float(), "Float, Double.*on torch.float64 on cpu"),
    "another device": (lambda theta: standard(theta).to("meta"), "values on meta at positions on cpu; keep its data"),
    "data on another device": (
        lambda theta: theta @ torch.ones(DIM, device="meta"),
        "device meta is not on the expected device cpu.*torch.float64 on cpu",
    ),
    "another dim": (lambda theta: theta @ torch.ones(DIM + 1), r"failed.*it must map any \[batch, 3\] to \[batch\]"),
    "centred rows": (lambda theta: standard(theta - theta.mean(0)), "mixes the rows.*from itself alone"),
    "a reference to row 0": (lambda theta: standard(theta) * theta[0, 0], "mixes the rows.*row 3"),
    "a fixed batch": (lambda theta: standard(theta.view(4, DIM)), r"failed.*any \[batch, 3\]"),
    "noise": (lambda theta: standard(theta) + torch.rand(len(theta)), "draws random numbers; make it a function"),
    "in place": (change, "in-place operation"),
    "in place without a graph": (change_where_no_graph_forbids, "changes its argument in place; work on a copy"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_log_density_that_cannot_be_sampled_is_refused(case: str):
    log_density, message = REFUSED[case]
    target, position = started(log_density)
    for use in (target.energy, target.gradient, target.energy_and_gradient):
        with pytest.raises(ValueError, match=message) as refusal:
            use(position)
        assert "\n" not in str(refusal.value)


@pytest.mark.gpu
def test_data_left_on_the_cpu_are_refused_on_cuda():
    target = nm.DensityTarget(gaussian, DIM, device="cuda")
    with pytest.raises(ValueError, match="(cuda.*cpu|cpu.*cuda).*by torch operations on torch.float64 on cuda:0"):
        target.energy(target.initial_position(4, "prior", seed=3))


def test_checks_are_made_once():
    """At the first use of one chain, and of several, whose rows could mix; from then on a call is one evaluation."""
    calls = []

    def counted(theta: Tensor) -> Tensor:
        calls.append(len(theta))
        return standard(theta)

    target, position = started(counted, 1)
    target.energy_and_gradient(position)
    target.energy(position)
    several = target.initial_position(4, "prior", 0)
    target.energy_and_gradient(several)
    calls.clear()
    for use in (target.energy, target.gradient, target.energy_and_gradient):
        use(several)
        use(position)
    assert calls == [4, 1] * 3
    mixed, position = started(lambda theta: standard(theta - theta.mean(0)), 1)
    mixed.energy(position)
    with pytest.raises(ValueError, match="mixes the rows"):
        mixed.energy(mixed.initial_position(2, "prior", 0))


def test_a_start_outside_the_support_names_its_chain():
    """The check of the first use lets it pass; a run refuses it, with a fixed step size too."""
    target, position = started(lambda theta: theta.log().sum(-1) - theta.sum(-1))
    assert target.energy(position).isnan().any()
    with pytest.raises(ValueError, match="log density is not finite at the start of chain 0.*initial="):
        nm.sample(target, nm.HMC(step_size=0.1, num_steps=3), chains=4, warmup=1, draws=1, progress=silent)


def test_rotation_needs_the_declared_prior():
    target, _ = started(standard)
    with pytest.raises(ValueError, match="needs a N.0, I. prior"):
        fixed_kernel(target, "rotation", 0.1, 3, chains=2)


CHAINS, WARMUP, DRAWS = 128, 40, 120


def z_scores(target: Target, start: nm.DensityTarget, integrator: str) -> np.ndarray:
    """Of the means and second moments about the exact mean, from independent chains."""
    kernel = fixed_kernel(target, integrator, 0.35, 7, CHAINS, seed=5, jitter=0.4)
    position = start.initial_position(CHAINS, "prior", seed=5)
    first = torch.zeros(CHAINS, DIM, dtype=torch.float64)
    second = torch.zeros_like(first)
    for state in states(kernel, State(position, *target.energy_and_gradient(position)), WARMUP, DRAWS):
        centred = state.position.to_edge()[0] - MEAN
        first += centred / DRAWS
        second += centred.square() / DRAWS
    deviations = torch.cat([first, second - COVARIANCE.diagonal()], dim=1)
    return (deviations.mean(0) / (deviations.std(0) / math.sqrt(CHAINS))).numpy()


@pytest.mark.parametrize("integrator", ["leapfrog", "rotation"])
def test_the_gaussian_is_sampled(integrator: str):
    """Means and variances, also by the splitting that takes the prior out of U; with energies 8 % too large the same
    check fails."""
    target = nm.DensityTarget(gaussian, DIM, gaussian_prior=True, device="cpu")
    assert np.abs(z_scores(target, target, integrator)).max() < 4
    assert np.abs(z_scores(wrong_energy(target, 1.08), target, integrator)).max() > 4
