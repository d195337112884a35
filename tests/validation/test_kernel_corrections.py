"""Feature kernels to fine errors (many minutes on one core): chains, by parts, against weighed networks of the prior at
a width where the first order in 1/width is far outside; what the first order leaves, which falls as 1/width; and
kernels less those of infinite width."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nishimori.chains.progress import silent
from nishimori.description import Network
from nishimori.description.activations import activation
from nishimori.systems import expand
from nishimori.systems.kernel_corrections import KernelCorrections
from nishimori.systems.kernel_corrections.data import data_set
from nishimori.systems.kernel_corrections.measurement import calibration, measured_kernels
from nishimori.systems.kernel_corrections.prediction import Predicted
from nishimori.systems.simulation import Measured, deviation, estimate
from nishimori.theory.kernel_corrections import Evidence
from nishimori.theory.prior_kernels import prior_kernel_changes

Array = NDArray[np.float64]
FAMILY_OF_TWENTY_ONE = 3.83
"""Standard errors that all of so many independent scores are within as often as one is within three."""
SYSTEM = KernelCorrections()


def config_of(name: str, depth: int, width: int, **sampler: int) -> Any:
    document = {
        "system": {"kind": "kernel_corrections"},
        "network": {"input_dim": 12, "width": width, "depth": depth, "activation": name},
        "data": {"samples": 6, "noise_variance": 0.3},
        "sampler": sampler,
        "run": {"instances": 32, "device": "cpu"},
    }
    return expand(document).points[0].config


def measured(config: Any) -> dict[str, Measured]:
    return SYSTEM.measure(config, range(config.run.instances), silent)


@pytest.mark.validate
@pytest.mark.parametrize(("name", "depth"), [("identity", 1), ("identity", 2), ("erf_sqrt2", 1), ("erf_sqrt2", 2)])
def test_chains_and_weighed_networks_agree_where_the_first_order_fails(name: str, depth: int) -> None:
    config = config_of(name, depth, 16, chains=8, warmup=40, draws=60, prior_draws=40_000)
    found, expected = measured(config), SYSTEM.predict(config)
    assert abs(deviation(found["sampling_difference"].values, None, 0.0)) < 3.5
    assert deviation(found["evidence_gain_of_weighed"].values, None, expected["evidence_gain"]) < -4
    for layer in range(1, depth + 1):
        chains, weighed = (found[f"kernel_change_{layer}{ending}"].values for ending in ("", "_of_weighed"))
        columns = range(chains.shape[1])
        scores = [deviation((chains - weighed)[:, column], None, 0.0) for column in columns]
        assert max(map(abs, scores)) < 3.8 and np.sqrt(np.mean(np.square(scores))) < 1.5


@pytest.mark.validate
@pytest.mark.parametrize(("name", "depth"), [("identity", 2), ("erf_sqrt2", 1)])
def test_what_the_first_order_leaves_falls_as_one_over_width(name: str, depth: int) -> None:
    """n times the difference, at two widths."""
    left = []
    for width in (60, 120):
        config = config_of(name, depth, width, chains=1, warmup=2, draws=1, prior_draws=40_000)
        gains = measured(config)["evidence_gain_of_weighed"].values - SYSTEM.predict(config)["evidence_gain"]
        left.append(estimate(width * gains))
    assert left[0]["value"] < -8 * left[0]["standard_error"]
    error = np.hypot(left[0]["standard_error"], left[1]["standard_error"])
    assert left[1]["value"] == pytest.approx(left[0]["value"], abs=3 * error + 0.15 * abs(left[0]["value"]))


@pytest.mark.validate
@pytest.mark.parametrize("depth", [1, 2])
def test_the_divergence_is_its_first_order_at_infinite_width(depth: int) -> None:
    """n KL at three widths on a line in 1/n: what it ends in is theory, which none of the widths has."""
    values, errors, widths = [], [], np.array([120, 240, 480])
    for width in widths:
        config = config_of("erf_sqrt2", depth, int(width), chains=1, warmup=2, draws=1, prior_draws=10_000)
        found = estimate(measured(config)["prior_divergence"].values)
        values.append(found["value"])
        errors.append(found["standard_error"])
    (slope, end), covariance = np.polyfit(1 / widths, values, 1, w=1 / np.array(errors), cov="unscaled")
    deviations = np.sqrt(np.diagonal(covariance))
    expected = SYSTEM.predict(config_of("erf_sqrt2", depth, 1))["prior_divergence"]
    assert abs(end - expected) < 3 * deviations[1] and slope < -5 * deviations[0]
    assert np.all(np.array(values) - expected < -3 * np.array(errors))


@pytest.mark.validate
@pytest.mark.parametrize(("name", "depth"), [("identity", 2), ("erf_sqrt2", 1), ("erf_sqrt2", 2)])
def test_kernels_less_those_of_infinite_width(name: str, depth: int) -> None:
    """n (<K> - K_inf) of chains and of weighed networks, entry by entry: what is learned and what the prior has at this
    width; not so with what is learned of the other sign."""
    config = config_of(name, depth, 150, chains=4, warmup=40, draws=60, prior_draws=10_000)
    inputs, labels = data_set(6, 12, 1.0, 0.3, config.run.seed)
    network = Network(12, (150,) * depth, name)
    predicted = Predicted(network, inputs, Evidence(labels, 0.3), config.run.seed)
    record = calibration(config, network, predicted, "less", silent)
    instances = range(config.run.instances)
    sampled, weighed = measured_kernels(config, network, predicted, "less", instances, record, silent)
    wide = np.array(predicted.machine.wide_kernels())
    prior = np.array(prior_kernel_changes(inputs, network.widths, activation(name)))
    upper = np.triu_indices(6)
    for found in (sampled.means, weighed.changes + weighed.means):
        for layer in range(depth):
            left = 150 * (found - wide)[:, layer, *upper]
            right, wrong = (150 * (prior + sign * predicted.changes)[layer][upper] for sign in (1, -1))
            assert np.abs(scores(left, right)).max() < FAMILY_OF_TWENTY_ONE
            assert np.abs(scores(left, wrong)).max() > 2 * FAMILY_OF_TWENTY_ONE


def scores(values: Array, predicted: Array) -> Array:
    """z of every entry, of `values` [instances, entries]."""
    return np.array([deviation(column, None, one) for column, one in zip(values.T, predicted, strict=True)])
