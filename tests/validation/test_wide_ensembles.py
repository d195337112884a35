"""Ensembles of width 1024, deep ones too, beside the law of infinite width; coverage of many teachers (minutes)."""

import math

import numpy as np
import pytest

from nishimori.chains.progress import silent
from nishimori.systems.infinite_ensemble import InfiniteEnsemble
from nishimori.systems.simulation import Measured, deviation

pytestmark = pytest.mark.validate


def measured(**sections: dict) -> dict[str, Measured]:
    system = InfiniteEnsemble()
    config = system.resolve({"system": {"kind": "infinite_ensemble"}, **sections})
    return system.measure(config, range(config.run.instances), silent)


@pytest.mark.parametrize(("name", "depth"), [("erf_sqrt2", 1), ("relu", 1), ("erf_sqrt2", 2)])
def test_mean_and_variance_of_wide_ensembles(name: str, depth: int) -> None:
    """Deep ones are fewer, for their size: sixty-four networks of a million weights."""
    deep = depth > 1
    found = measured(
        network={"input_dim": 5, "width": 1024, "depth": depth, "activation": name},
        data={"samples": 8, "noise_variance": 0.1, "test_samples": 20},
        training={"members": 8 if deep else 24, "times": [0.1, 1.0, 5.0 if deep else 10.0]},
        run={"instances": 8 if deep else 16, "device": "cpu"},
    )
    for observable in ("ensemble_variance", "alignment", "expected_loss", "data_information"):
        one = found[observable]
        assert one.predicted is not None
        pairs = zip(one.values.T, one.predicted.T, strict=True)
        assert max(abs(deviation(values, predicted, None)) for values, predicted in pairs) < 3, observable


def test_coverage_of_many_teachers() -> None:
    """Of 160 teachers: nominal for both posteriors, and neither for trained ensembles nor for the tangent process."""
    found = measured(
        network={"input_dim": 5, "width": 64},
        data={"samples": 10, "noise_variance": 0.1, "test_samples": 40},
        training={"members": 4, "times": [1.0]},
        posterior={"chains": 2, "warmup": 50, "draws": 100},
        run={"instances": 160, "device": "cpu"},
    )
    nominal = {"posterior_coverage", "wide_posterior_coverage"}
    for name in nominal | {"limit_coverage", "tangent_posterior_coverage"}:
        values = found[name].values
        z = (np.mean(values) - 0.95) / (np.std(values, ddof=1) / math.sqrt(len(values)))
        assert abs(z) < 3.5 if name in nominal else abs(z) > 5, (name, z)
        if name in nominal:
            assert abs(deviation(values, found[name].predicted, None)) < 3.5
