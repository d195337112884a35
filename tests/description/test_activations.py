import json
import math
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nishimori.description import ACTIVATIONS, Activation, activation
from nishimori.description.nonlinear_part import linear_part

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "coefficients.json").read_text())
VARIANCES = [0.0, 1e-6, 0.37, 1.0, 1.9, 40.0]
DIFFERENTIABLE = [name for name, entry in ACTIVATIONS.items() if entry.smooth]


def lattice_average(function, step=1 / 128):
    """E function(Z) by the trapezoidal rule, exponentially accurate for analytic functions."""
    z = np.arange(-12, 12 + step, step)
    return float(np.sum(function(z) * np.exp(-(z**2) / 2)) * step / math.sqrt(2 * math.pi))


def by_quadrature(entry):
    return replace(entry, second_moment_formula=None, mean_derivative_formula=None)


def hard_tanh(x):
    return np.clip(x, -1.0, 1.0)


def hard_tanh_derivative(x):
    return np.where(np.abs(x) < 1, 1.0, 0.0)


@pytest.mark.parametrize("row", GOLDEN["moments"]["rows"], ids=lambda row: f"{row['activation']}-{row['variance']}")
def test_moments_without_closed_form_match_golden(row):
    phi = activation(row["activation"])
    assert phi.second_moment(row["variance"]) == pytest.approx(row["second_moment"], rel=1e-14)
    assert phi.mean_derivative(row["variance"]) == pytest.approx(row["mean_derivative"], rel=1e-14)


@pytest.mark.parametrize("variance", VARIANCES)
@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_moments_match_lattice_sum(name, variance):
    phi, deviation = ACTIVATIONS[name], math.sqrt(variance)
    second = lattice_average(lambda z: phi.function(deviation * z) ** 2)
    slope = lattice_average(lambda z: phi.derivative(deviation * z))
    assert phi.second_moment(variance) == pytest.approx(second, rel=1e-12, abs=1e-14)
    assert phi.mean_derivative(variance) == pytest.approx(slope, rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("variance", [0.37, 1.0, 1.9, 1e4])
@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if ACTIVATIONS[name].second_moment_formula])
def test_closed_forms_match_quadrature(name, variance):
    phi = ACTIVATIONS[name]
    numerical = by_quadrature(phi)
    assert numerical.second_moment(variance) == pytest.approx(phi.second_moment(variance), rel=1e-12)
    if name != "sign":  # its derivative is a delta at 0, which no quadrature sees
        slope = numerical.mean_derivative(variance)
        assert slope == pytest.approx(phi.mean_derivative(variance), rel=1e-11, abs=1e-13)


@pytest.mark.parametrize("variance", [0.37, 1.0, 1.9])
@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_stein_identity(name, variance):
    phi, deviation = ACTIVATIONS[name], math.sqrt(variance)
    half_line = np.linspace(0, 12, 200_001)
    density = np.exp(-(half_line**2) / 2) / math.sqrt(2 * math.pi)
    # relu and sign have no kink inside a half line; their value at 0 is multiplied by z = 0
    difference = phi.function(deviation * half_line) - phi.function(-deviation * half_line)
    stein = np.trapezoid(half_line * difference * density, half_line)
    assert phi.mean_derivative(variance) == pytest.approx(stein / deviation, rel=1e-8)


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_derivative_matches_central_differences(name):
    phi, step = ACTIVATIONS[name], 1e-5
    x = np.array([-6.0, -2.3, -0.8, -0.01, 0.02, 0.5, 1.7, 5.0])
    differences = (phi.function(x + step) - phi.function(x - step)) / (2 * step)
    np.testing.assert_allclose(phi.derivative(x), differences, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_functions_keep_shape_and_dtype(name):
    phi = ACTIVATIONS[name]
    for shape in [(), (1,), (3, 0), (2, 3, 5)]:
        x = np.full(shape, 0.3)
        for values in (phi.function(x), phi.derivative(x)):
            assert np.shape(values) == shape
            assert np.asarray(values).dtype == np.float64


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_declared_parity_is_true(name):
    phi, x = ACTIVATIONS[name], np.linspace(0.05, 4, 31)
    assert np.allclose(phi.function(-x), -phi.function(x), atol=1e-15) == phi.odd


@pytest.mark.parametrize("variance", [1e-8, 1e-2, 1.0, 1e4, 1e12])
def test_steep_activations_are_resolved_at_every_variance(variance):
    """erf by quadrature: at variance s the whole derivative lives in a window of width 1/sqrt(s)."""
    phi = ACTIVATIONS["erf"]
    assert by_quadrature(phi).second_moment(variance) == pytest.approx(phi.second_moment(variance), rel=1e-12)
    assert by_quadrature(phi).mean_derivative(variance) == pytest.approx(phi.mean_derivative(variance), rel=1e-12)


@pytest.mark.parametrize("variance", [0.09, 1.0, 7.0])
def test_user_activation_with_kinks(variance):
    phi = Activation(hard_tanh, hard_tanh_derivative, "hard_tanh", odd=True, smooth=False)
    kink = 1 / math.sqrt(variance)
    inside = math.erf(kink / math.sqrt(2))
    density = math.exp(-(kink**2) / 2) / math.sqrt(2 * math.pi)
    assert phi.mean_derivative(variance) == pytest.approx(inside, rel=1e-12)
    second = 1 - inside + variance * (inside - 2 * kink * density)
    assert phi.second_moment(variance) == pytest.approx(second, rel=1e-12)


@pytest.mark.parametrize("variance", [0.37, 1.0, 1.9])
def test_user_activation_polynomial(variance):
    phi = Activation(lambda x: x**3 - 3 * x, lambda x: 3 * x**2 - 3, "hermite3", odd=True)
    assert phi.second_moment(variance) == pytest.approx(15 * variance**3 - 18 * variance**2 + 9 * variance, rel=1e-12)
    assert phi.mean_derivative(variance) == pytest.approx(3 * variance - 3, abs=1e-12)


def test_wrong_derivative_is_refused():
    phi = Activation(np.tanh, np.cos, "wrong", odd=True)
    with pytest.raises(ValueError, match="'wrong' is not the derivative of its function.*correct it"):
        phi.mean_derivative(1.0)


def test_jump_without_closed_form_is_refused():
    with pytest.raises(ValueError, match="pass mean_derivative_formula"):
        by_quadrature(ACTIVATIONS["sign"]).mean_derivative(1.0)


def test_divergent_average_is_refused():
    phi = Activation(lambda x: np.sinh(x * np.abs(x)), lambda x: x, "explosive")
    with pytest.raises(ValueError, match="'explosive' at variance 1 does not converge in the tails: use"):
        phi.second_moment(1.0)


def test_undefined_values_are_refused():
    phi = Activation(lambda x: np.where(x > 1, np.nan, x), np.ones_like, "undefined")
    with pytest.raises(ValueError, match="is not finite"):
        phi.second_moment(1.0)


def test_false_declaration_of_oddness_is_refused():
    with pytest.raises(ValueError, match="'softplus' is declared odd.*declare odd=False"):
        Activation(lambda x: np.logaddexp(0, x), lambda x: 1 / (1 + np.exp(-x)), "softplus", odd=True)


@pytest.mark.parametrize("variance", [-1e-3, math.nan, math.inf])
@pytest.mark.parametrize("name", ["tanh", "erf"])
def test_impossible_variance_is_refused(name, variance):
    for moment in (ACTIVATIONS[name].second_moment, ACTIVATIONS[name].mean_derivative):
        with pytest.raises(ValueError, match="variance must be finite and at least 0"):
            moment(variance)


def test_sign_has_no_mean_derivative_at_variance_zero():
    with pytest.raises(ValueError, match="infinite at variance 0"):
        ACTIVATIONS["sign"].mean_derivative(0.0)


def test_torch_functions_come_in_pairs():
    with pytest.raises(ValueError, match="'half' has one of torch_function and torch_derivative: give both"):
        Activation(np.tanh, lambda x: 1 - np.tanh(x) ** 2, "half", torch_function=np.tanh)


def test_function_and_derivative_are_enough():
    cubic = Activation(lambda x: x**3, lambda x: 3 * x**2)
    assert (cubic.name, cubic.odd, cubic.samplable) == ("custom", False, True)
    assert cubic.second_moment(1.0) == pytest.approx(15, rel=1e-12)  # the sixth moment of N(0, 1)


def test_registry():
    assert list(ACTIVATIONS) == [
        "identity",
        "tanh",
        "tanh2",
        "tanh2_nonlinear",
        "erf",
        "erf_sqrt2",
        "sin",
        "relu",
        "sign",
    ]
    assert [name for name, entry in ACTIVATIONS.items() if not entry.samplable] == ["sign"]
    assert [name for name, entry in ACTIVATIONS.items() if not entry.odd] == ["relu"]
    assert all(activation(name) is entry and entry.name == name for name, entry in ACTIVATIONS.items())


def test_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match=r"'Tahn' is unknown \(did you mean 'tanh'\?\): choose one of identity, tanh"):
        activation("Tahn")
    with pytest.raises(ValueError, match="'zzz' is unknown: choose one of"):
        activation("zzz")


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_registered_activations_survive_pickling(name):
    assert pickle.loads(pickle.dumps(ACTIVATIONS[name])) == ACTIVATIONS[name]


def test_the_nonlinear_part_of_tanh2_has_unit_variance_and_no_component_below_the_third():
    """rho and sqrt(eps) as rounded in arXiv 2510.24616, and by the adaptive quadrature of tanh2 itself."""
    phi, tanh2 = ACTIVATIONS["tanh2_nonlinear"], ACTIVATIONS["tanh2"]
    gain, deviation = linear_part()
    assert (gain, deviation) == pytest.approx((0.7294775, 0.3211289), abs=5e-8)
    assert gain == pytest.approx(tanh2.mean_derivative(1.0), rel=1e-14)
    assert deviation**2 == pytest.approx(tanh2.second_moment(1.0) - gain**2, rel=1e-13)
    assert phi.second_moment(1.0) == pytest.approx(1, rel=1e-13)
    assert phi.mean_derivative(1.0) == pytest.approx(0, abs=1e-13)
