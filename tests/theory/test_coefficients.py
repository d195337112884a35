import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nishimori.description import ACTIVATIONS, Activation, Network
from nishimori.theory import OutsideTheTheorem, equivalent_linear_model

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "coefficients.json").read_text())
ODD = [name for name, entry in ACTIVATIONS.items() if entry.odd]


def coefficients(activation, depth):
    return equivalent_linear_model(Network(9, (4,) * depth, activation))


@pytest.mark.parametrize("row", GOLDEN["coefficients"]["rows"], ids=lambda row: f"{row['activation']}-{row['depth']}")
def test_golden_table(row):
    model = coefficients(row["activation"], row["depth"])
    assert model.sigma[-1] == pytest.approx(row["sigma"], abs=1e-12)
    assert model.eta**2 == pytest.approx(row["eta_squared"], abs=1e-12)
    assert model.gamma == pytest.approx(row["gamma"], abs=1e-12)


@pytest.mark.parametrize("depth", [1, 2, 3, 8])
@pytest.mark.parametrize("name", ODD)
def test_total_variance_is_conserved(name, depth):
    model = coefficients(name, depth)
    assert len(model.sigma) == depth + 1
    assert len(model.rho) == depth
    assert model.eta**2 + model.gamma == pytest.approx(model.sigma[-1], rel=1e-13)
    assert model.eta == pytest.approx(math.prod(model.rho), rel=1e-14)
    assert model.gamma >= 0


@pytest.mark.parametrize("name", ODD)
def test_depth_zero_is_linear(name):
    model = coefficients(name, 0)
    assert (model.sigma, model.rho, model.eta, model.gamma) == ((1.0,), (), 1.0, 0.0)


@pytest.mark.parametrize("depth", [1, 5])
def test_identity_is_linear_at_every_depth(depth):
    model = coefficients("identity", depth)
    assert (model.eta, model.gamma) == (1.0, 0.0)


def test_widths_drop_out():
    wide = equivalent_linear_model(Network(1000, (3, 5000), "tanh"))
    assert wide == equivalent_linear_model(Network(2, (1, 1), "tanh"))


def arcsine_kernel(variance, covariance):
    return 2 / math.pi * math.asin(2 * covariance / (1 + 2 * variance))


def hyperbolic_kernel(variance, covariance):
    return math.exp(-variance) * math.sinh(covariance)


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize(("name", "kernel"), [("erf", arcsine_kernel), ("sin", hyperbolic_kernel)])
def test_squared_gain_is_the_slope_of_the_infinite_width_kernel(name, kernel, depth):
    """E F(x) F(x') of an infinitely wide network, at small c = x.x'/d, is eta^2 c; at c = 1 it is sigma_L."""
    variance, covariance = 1.0, 1e-5
    for _ in range(depth):
        variance, covariance = kernel(variance, variance), kernel(variance, covariance)
    model = coefficients(name, depth)
    assert covariance / 1e-5 == pytest.approx(model.eta**2, rel=1e-9)
    assert variance == pytest.approx(model.sigma[-1], rel=1e-13)


def test_best_linear_fit_of_a_wide_layer():
    """Finite width by least squares: regress one unit of depth 2 on its inputs' own linear combination."""
    generator = np.random.default_rng(20250503)
    inputs = generator.standard_normal((4000, 300))
    weights = generator.standard_normal((300, 300)) / math.sqrt(300)
    hidden = np.tanh(inputs @ weights.T)
    readout = generator.standard_normal((300, 40)) / math.sqrt(300)
    output, linear = hidden @ readout, inputs @ (weights.T @ readout)
    model = coefficients("tanh", 1)
    slope = np.sum(output * linear) / np.sum(linear**2)
    assert slope == pytest.approx(model.eta, rel=0.03)
    assert np.mean((output - slope * linear) ** 2) == pytest.approx(model.gamma, rel=0.1)


def test_activation_without_linear_part_learns_nothing():
    hermite = Activation(lambda x: x**3 - 3 * x, lambda x: 3 * x**2 - 3, "hermite3", odd=True)
    model = coefficients(hermite, 1)
    assert model.eta == pytest.approx(0, abs=1e-14)
    assert model.gamma == pytest.approx(6, rel=1e-13)


def test_relu_is_refused_with_the_remedy():
    with pytest.raises(
        OutsideTheTheorem, match="proved for odd activations and 'relu'.*conjecture=True.*: use tanh, erf or sin"
    ):
        coefficients("relu", 1)
    assert issubclass(OutsideTheTheorem, ValueError)


def test_a_fixed_readout_is_refused_with_the_remedy():
    with pytest.raises(OutsideTheTheorem, match="this one is fixed: use readout='gaussian'"):
        equivalent_linear_model(Network(3, (4,), "tanh", readout="fixed"))


def test_relu_without_a_hidden_layer_is_the_linear_model():
    assert coefficients("relu", 0) == coefficients("tanh", 0)


def test_theory_needs_no_sampling_library():
    script = "import sys, nishimori.description, nishimori.theory; print(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    printed = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    ).stdout
    loaded = {name.split(".")[0] for name in printed.split()}
    assert "nishimori" in loaded
    assert not loaded & {"torch", "numba", "triton", "h5py", "matplotlib", "nishimori_kernels"}
