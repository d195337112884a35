"""Measured informations as plain numbers and back, and several joined: the same estimates as of all instances."""

import json
from typing import Any

import msgspec
import numpy as np
import pytest

from nishimori.chains.files import without_nan
from nishimori.measurement.evidence import EvidenceBounds
from nishimori.measurement.information import GaussianReference, Information, Integrand, Measured, Sum, Summed
from nishimori.measurement.information_parts import PlainMeasured, joined, measured_of, plain

GENERATOR = np.random.default_rng(2)


def measured(kind: str, instances: int = 6, further: int = 0, chains: int = 1) -> Measured:
    normal = GENERATOR.normal
    reference = GaussianReference(normal(-30, 1, instances), normal(9, 1, instances), normal(9, 1, further))
    if kind == "bounds":
        found = EvidenceBounds.of(normal(-30, 1, (instances, chains)), normal(30, 1, (instances, chains)))
    else:
        total, divergence = (Sum(normal(3, 1, instances), normal(1, 0.1, instances)) for _ in range(2))
        found = Summed(
            total, divergence, Integrand(np.array([0.1, 0.9]), normal(0, 1, (instances, 2))), 0.8, ("it moves",)
        )
    return Measured("collapsed", 10, normal(-20, 1, instances), found, reference, 0.7)


def part(whole: Measured, rows: slice) -> Measured:
    """Of some instances, as their own measurement would have left it."""
    document = plain(whole)

    def cut(value: object) -> object:
        if isinstance(value, dict):
            return {name: inner if name in ("nodes", "further") else cut(inner) for name, inner in value.items()}
        return value[rows] if isinstance(value, list) and len(value) == len(whole.log_likelihood) else value

    cut_document: dict[str, Any] = {name: cut(value) for name, value in document.items()}
    if rows.start:
        cut_document["reference"]["further"] = []
    return read_back(cut_document)


def read_back(document: object) -> Measured:
    text = json.dumps(without_nan(document))
    return measured_of(msgspec.convert(json.loads(text), PlainMeasured))


@pytest.mark.parametrize("kind", ["bounds", "sum"])
def test_what_was_written_is_read_back(kind: str) -> None:
    """NaN too, which a single chain has for its variance."""
    whole = measured(kind, further=4)
    first, second = Information.of(whole), Information.of(read_back(plain(whole)))
    for name in ("mutual_information", "controlled", "divergence", "log_evidence"):
        for end in ("lower", "upper", "gap", "middle"):
            one, other = (getattr(getattr(information, name), end) for information in (first, second))
            np.testing.assert_equal(vars(one), vars(other))
    assert first.alarms == second.alarms and first.reference == second.reference


@pytest.mark.parametrize("kind", ["bounds", "sum"])
def test_parts_join_into_the_whole(kind: str) -> None:
    whole = measured(kind, further=4, chains=2)
    again = joined([part(whole, slice(0, 2)), part(whole, slice(2, 6))])
    first, second = Information.of(whole), Information.of(again)
    assert (
        first.best.middle == second.best.middle and first.mutual_information.middle == second.mutual_information.middle
    )
    assert first.reference == second.reference and first.acceptance == pytest.approx(second.acceptance)
    if first.integrand is not None:
        assert second.integrand is not None
        np.testing.assert_array_equal(first.integrand.values, second.integrand.values)


def test_further_data_sets_enter_the_reference_alone() -> None:
    whole = measured("sum", further=0)
    more = Measured(**{**vars(whole), "reference": measured("sum", further=50).reference})
    plain_estimates = [Information.of(one).mutual_information.middle for one in (whole, more)]
    assert plain_estimates[0] == plain_estimates[1]
    information = Information.of(more)
    assert information.reference is not None and information.controlled is not None
    assert information.divergence is not None
    expected = information.reference.value - information.divergence.midpoint
    assert information.controlled.midpoint == pytest.approx(expected)


def test_a_document_without_a_measurement_is_refused() -> None:
    document = {**plain(measured("sum")), "summed": None}
    with pytest.raises(TypeError, match="neither bounds nor a sum"):
        read_back(document)
    damaged = plain(measured("bounds"))
    del damaged["evidence"]["lower"]
    with pytest.raises(TypeError, match="lower"):
        read_back(damaged)
