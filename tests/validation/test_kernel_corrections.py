"""Feature kernels to fine errors (some minutes on one core): chains, by parts, against weighed networks of the prior at
a width where the first order in 1/width is far outside; and what the first order leaves, which falls as 1/width."""

from typing import Any

import numpy as np
import pytest

from nishimori.systems import expand
from nishimori.systems.kernel_corrections import KernelCorrections
from nishimori.systems.simulation import Measured, deviation, estimate

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
    return SYSTEM.measure(config, range(config.run.instances), lambda *told: None)


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
