"""Deep kernel machines: gradients by differences, a stationary point in closed form, and the first order in 1/width."""

import numpy as np
import pytest
from numpy.typing import NDArray

from nishimori.description.activations import activation
from nishimori.theory.deep_kernel_machine import DeepKernelMachine
from nishimori.theory.kernel_corrections import Evidence, deep_linear_changes, kernel_changes, kernel_fluctuations

Array = NDArray[np.float64]


def data() -> tuple[Array, Evidence]:
    generator = np.random.default_rng(2)
    inputs = generator.standard_normal((5, 12))
    return inputs, Evidence(0.7 * generator.standard_normal((5, 2)), 0.5, 1.2)


@pytest.mark.parametrize("name", ["identity", "erf_sqrt2", "relu", "sin"])
def test_gradients_are_differences_of_the_objective(name: str) -> None:
    inputs, evidence = data()
    machine = DeepKernelMachine.of(inputs, (3, 7, 2), activation(name), evidence)
    generator = np.random.default_rng(3)
    kernels = [kernel + 0.3 * np.eye(5) for kernel in machine.wide_kernels()]
    changes = [one + one.T for one in generator.standard_normal((3, 5, 5))]
    ends = [
        machine.objective([kernel + sign * 1e-5 * one for kernel, one in zip(kernels, changes, strict=True)])[0]
        for sign in (1, -1)
    ]
    slope = sum(float(np.sum(one * two)) for one, two in zip(machine.objective(kernels)[1], changes, strict=True))
    assert slope == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-6)


@pytest.mark.parametrize("width", [1.0, 4.0, 50.0])
def test_one_layer_solves_its_fixed_point(width: float) -> None:
    """G^-1 = K^-1 - (2 / n) (gradient of the log evidence at G), iterated by itself where that contracts."""
    inputs, evidence = data()
    machine = DeepKernelMachine.of(inputs, (width,), activation("erf_sqrt2"), evidence)
    (wide,) = machine.wide_kernels()
    (found,) = machine.maximised()
    np.testing.assert_allclose(np.linalg.inv(found), np.linalg.inv(wide) - 2 / width * evidence.pull(found), atol=1e-6)


@pytest.mark.parametrize("depth", [1, 2])
def test_linear_machines_have_the_first_order_of_linear_networks(depth: int) -> None:
    """To three digits at width 2000, and what remains is of the next order."""
    inputs, evidence = data()
    remaining = []
    for width in (2000, 4000):
        machine = DeepKernelMachine.of(inputs, (width,) * depth, activation("identity"), evidence)
        change = [one - wide for one, wide in zip(machine.maximised(), machine.wide_kernels(), strict=True)]
        first = deep_linear_changes(inputs, (width,) * depth, evidence)
        remaining.append(max(np.abs(a - b).max() / np.abs(b).max() for a, b in zip(change, first, strict=True)))
    assert remaining[0] < 1e-3 and remaining[1] == pytest.approx(remaining[0] / 2, rel=0.1)


def test_other_machines_have_not_that_of_networks() -> None:
    inputs, evidence = data()
    machine = DeepKernelMachine.of(inputs, (2000,), activation("relu"), evidence)
    change = machine.maximised()[0] - machine.wide_kernels()[0]
    (network,) = kernel_changes(kernel_fluctuations(inputs, (2000,), activation("relu"), 1.2), evidence)
    assert np.abs(change - network).max() > 0.1 * np.abs(network).max()


def test_as_many_outputs_as_units_are_its_limit() -> None:
    """A linear network of one layer on one input has K = k chi^2_n / n, and its posterior is a quadrature. Where n_d
    = n grow, the machine has its mean, up to 1/n, and the first order in 1/n has not."""
    gap, missed = [], []
    for width in (100, 400):
        labels = np.full((1, width), 2.0)
        evidence = Evidence(labels, 0.5)
        logs = np.linspace(-3, 3, 20_001)
        ratios = np.exp(logs)
        energy = 0.5 * width * (ratios - logs) - np.array([evidence.log(np.array([[ratio]])) for ratio in ratios])
        weights = np.exp(energy.min() - energy)
        mean = float(weights @ ratios / weights.sum())
        machine = DeepKernelMachine.of(np.ones((1, 1)), (width,), activation("identity"), evidence)
        gap.append(abs(float(machine.maximised()[0][0, 0]) - mean))
        missed.append(abs(1 + float(deep_linear_changes(np.ones((1, 1)), (width,), evidence)[0][0, 0]) - mean))
    assert gap[0] < 0.01 and gap[1] == pytest.approx(gap[0] / 4, rel=0.1) and min(missed) > 0.2


def test_what_has_no_maximum_is_refused() -> None:
    inputs, evidence = data()
    with pytest.raises(ValueError, match="must be positive, one a hidden layer"):
        DeepKernelMachine.of(inputs, (), activation("tanh"), evidence)
    with pytest.raises(ValueError, match="a kernel of infinite width is singular"):
        DeepKernelMachine.of(inputs[:, :3], (10,), activation("identity"), evidence).maximised()
