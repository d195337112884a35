"""As many samples as weights: thresholds and branches."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nishimori.description import ACTIVATIONS, Activation, GaussianChannel, Network, ProbitChannel
from nishimori.theory.nngp import kernel
from nishimori.theory.quadratic_samples import QuadraticSamples, without_linear_part

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "channel_theory.json").read_text())
PHI = without_linear_part(ACTIVATIONS["tanh2"])
HERMITE3 = Activation(lambda x: (x**3 - 3 * x) / math.sqrt(6), lambda x: (3 * x**2 - 3) / math.sqrt(6), odd=True)


@pytest.mark.parametrize("row", GOLDEN["quadratic_samples"]["rows"], ids=lambda row: str(row["depth"]))
def test_golden_thresholds(row):
    model = QuadraticSamples.of(PHI, row["depth"], 0.1)
    equilibrium = model.equilibrium_threshold()
    assert equilibrium.sample_ratio == pytest.approx(row["equilibrium"], abs=1e-4)
    assert equilibrium.mmse == pytest.approx(row["mmse"], abs=1.01e-6)
    assert model.spinodal_threshold().sample_ratio == pytest.approx(row["spinodal"], abs=1e-4)


@pytest.mark.parametrize("depth", [1, 3])
def test_branches(depth):
    model = QuadraticSamples.of(PHI, depth, 0.1)
    begins, wins = model.spinodal_threshold().sample_ratio, model.equilibrium_threshold().sample_ratio
    assert model.informed(0.999 * begins) is None
    for ratio, better in ((0.5 * (begins + wins), False), (1.5 * wins, True)):
        informed, uninformed = model.informed(ratio), model.uninformed(ratio)
        assert informed is not None
        assert (informed.potential > uninformed.potential) is better
        assert uninformed.mmse == 1
        assert uninformed.potential == pytest.approx(-ratio * math.log(1.1), rel=1e-14)
        gradient = model.kernel(np.array(informed.overlaps))[1]
        fields = ratio * gradient / (0.1 + informed.mmse)
        assert informed.overlaps == pytest.approx(fields / (1 + fields), abs=1e-10)


def test_the_potential_is_stationary_on_the_informed_branch():
    model = QuadraticSamples.of(PHI, 2, 0.1)
    informed = model.informed(6.0)
    assert informed is not None

    def potential(overlaps):
        weights = float((overlaps + np.log1p(-overlaps)).sum())
        return weights - 6.0 * math.log(1.1 - model.kernel(overlaps)[0])

    centre = np.array(informed.overlaps)
    for direction in np.eye(2):
        step = 1e-4 * (1 - centre.max()) * direction
        assert potential(centre + step) < informed.potential > potential(centre - step)
        slope = (potential(centre + step) - potential(centre - step)) / (2 * np.linalg.norm(step))
        assert slope == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("noise", [0.01, 10.0, 100.0])
def test_the_spinodal_is_where_a_curve_of_solutions_turns(noise):
    """One layer: alpha = q (Delta + 1 - g) / ((1 - q) g') over a grid of q, whatever the noise."""
    model = QuadraticSamples.of(PHI, 1, noise)
    curve = []
    for overlap in np.linspace(0.4, 0.99, 4000):
        value, (slope,) = model.kernel(np.array([overlap]))
        curve.append(overlap * (noise + 1 - value) / ((1 - overlap) * slope))
    assert model.spinodal_threshold().sample_ratio == pytest.approx(min(curve), rel=1e-6)


def test_gradient_of_the_kernel():
    model, overlaps = QuadraticSamples.of(PHI, 3, 0.1), np.array([0.9, 0.8, 0.7])
    for layer, slope in enumerate(model.kernel(overlaps)[1]):
        step = 1e-6 * np.eye(3)[layer]
        difference = model.kernel(overlaps + step)[0] - model.kernel(overlaps - step)[0]
        assert slope == pytest.approx(difference / 2e-6, rel=1e-7)


@pytest.mark.parametrize("overlap", [0.0, 0.4, 0.95])
def test_one_layer_has_the_kernel_of_infinite_width(overlap):
    """g(q) = E phi(u) phi(v) at unit variance and covariance q, by two-dimensional quadrature."""
    value, gradient = QuadraticSamples.of(PHI, 1, 0.1).kernel(np.array([overlap]))
    assert (value, gradient[0]) == pytest.approx(kernel(PHI, 1.0, overlap), abs=1e-11)


def test_a_cubic_has_one_coefficient():
    model = QuadraticSamples.of(HERMITE3, 1, 0.1)
    assert model.kernel(np.array([0.5]))[0] == pytest.approx(0.125, rel=1e-12)


@pytest.mark.parametrize("activation", [ACTIVATIONS["tanh2"], replace(HERMITE3, function=lambda x: x**3 - 3 * x)])
def test_an_activation_with_low_components_or_another_variance_is_refused(activation):
    with pytest.raises(ValueError, match="needs unit variance and no Hermite components.*: subtract them"):
        QuadraticSamples.of(activation, 1, 0.1)


@pytest.mark.parametrize(("depth", "noise"), [(0, 0.1), (1, 0.0), (1, math.nan)])
def test_impossible_networks_are_refused(depth, noise):
    with pytest.raises(ValueError, match="give at least one hidden layer and a finite variance"):
        QuadraticSamples.of(PHI, depth, noise)


def network(**changes):
    return Network(**({"input_dim": 5, "widths": (5,), "activation": PHI, "readout": "fixed"} | changes))


@pytest.mark.parametrize("depth", [1, 2])
def test_information_grows_as_the_error_says(depth):
    """dI/dn = log(1 + mmse / Delta) / 2, on each branch."""
    model = QuadraticSamples.of_network(network(widths=(5,) * depth), GaussianChannel(0.1))
    ratio = 1.4 * model.equilibrium_threshold().sample_ratio
    for branch in (model.informed, model.uninformed):
        found = [solution for step in (-1e-3, 0.0, 1e-3) if (solution := branch(ratio + step))]
        low, here, high = (solution.observables for solution in found)
        name = "mutual_information_per_squared_dim"
        assert (high[name] - low[name]) / 2e-3 == pytest.approx(math.log1p(here["bayes_error"] / 0.1) / 2, rel=1e-5)
        assert here["mutual_information"] == pytest.approx(here[name] / ratio, rel=1e-14)
        assert here["generalization_error"] == here["bayes_error"] + 0.1
        assert here["gibbs_error"] == 2 * here["bayes_error"]
    assert model.uninformed(ratio).observables["mutual_information"] == pytest.approx(math.log(11) / 2, rel=1e-12)


def test_branches_have_the_same_information_at_equilibrium():
    model = QuadraticSamples.of(PHI, 1, 0.1)
    informed = model.equilibrium_threshold()
    uninformed = model.uninformed(informed.sample_ratio)
    name = "mutual_information"
    assert informed.observables[name] == pytest.approx(uninformed.observables[name], rel=1e-8)


@pytest.mark.parametrize("changes", [{"widths": (4,)}, {"readout": "gaussian"}, {"widths": (), "readout": "gaussian"}])
def test_other_networks_are_refused(changes):
    with pytest.raises(ValueError, match='as wide as input_dim = 5 and readout="fixed"; make them so'):
        QuadraticSamples.of_network(network(**changes), GaussianChannel(0.1))


def test_other_channels_are_refused():
    with pytest.raises(ValueError, match="no theory of n ~ d\\^2 samples.*: use GaussianChannel"):
        QuadraticSamples.of_network(network(), ProbitChannel(0.1))
