"""A measured mutual information instance by instance: as plain numbers and back, and several joined into one."""

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from nishimori.measurement.evidence import EvidenceBounds
from nishimori.measurement.information import GaussianReference, Integrand, Measured, Sum, Summed

Values = NDArray[np.float64]
Numbers = list[float | None]
Part = TypeVar("Part", EvidenceBounds, GaussianReference, Sum)


class PlainSummed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A `Summed` whose arrays are lists."""

    total: dict[str, Numbers]
    divergence: dict[str, Numbers] | None
    nodes: Numbers
    by_instance: list[Numbers]
    acceptance: float
    alarms: tuple[str, ...]


class PlainMeasured(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A `Measured` whose arrays are lists, None for NaN: what information.json holds of the instances."""

    method: str
    samples: int
    log_likelihood: Numbers
    evidence: dict[str, Numbers] | None
    summed: PlainSummed | None
    reference: dict[str, Numbers] | None
    acceptance: float


def plain(measured: Measured) -> dict[str, Any]:
    """JSON-ready but for NaN."""
    found = measured.found
    return {
        "method": measured.method,
        "samples": measured.samples,
        "log_likelihood": measured.log_likelihood.tolist(),
        "evidence": _lists(found) if isinstance(found, EvidenceBounds) else None,
        "summed": _plain_summed(found) if isinstance(found, Summed) else None,
        "reference": _lists(measured.reference) if measured.reference else None,
        "acceptance": measured.acceptance,
    }


def measured_of(document: PlainMeasured) -> Measured:
    """What `plain` wrote. Raises TypeError where an array is missing, or one too many."""
    if document.evidence is not None:
        found: EvidenceBounds | Summed = EvidenceBounds(**_arrays(document.evidence))
    elif document.summed is not None:
        found = _summed_of(document.summed)
    else:
        raise TypeError("neither bounds nor a sum is there")
    reference = GaussianReference(**_arrays(document.reference)) if document.reference else None
    told = document.method, document.samples, _array(document.log_likelihood), found, reference
    return Measured(*told, document.acceptance)


def joined(parts: Sequence[Measured]) -> Measured:
    """The instances of all, in order."""
    first = parts[0]
    references = [part.reference for part in parts if part.reference is not None]
    bounds = [part.found for part in parts if isinstance(part.found, EvidenceBounds)]
    sums = [part.found for part in parts if isinstance(part.found, Summed)]
    return Measured(
        first.method,
        first.samples,
        np.concatenate([part.log_likelihood for part in parts]),
        _concatenated(bounds) if bounds else _joined_sums(sums),
        _concatenated(references) if references else None,
        float(np.mean([part.acceptance for part in parts])),
    )


def _joined_sums(parts: Sequence[Summed]) -> Summed:
    divergences = [part.divergence for part in parts if part.divergence is not None]
    return Summed(
        _concatenated([part.total for part in parts]),
        _concatenated(divergences) if divergences else None,
        Integrand(parts[0].integrand.nodes, np.concatenate([part.integrand.by_instance for part in parts])),
        float(np.mean([part.acceptance for part in parts])),
        tuple(dict.fromkeys(alarm for part in parts for alarm in part.alarms)),
    )


def _concatenated(parts: Sequence[Part]) -> Part:
    kind = type(parts[0])
    return kind(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in _fields(kind)})


def _fields(kind: type) -> tuple[str, ...]:
    return tuple(kind.__dataclass_fields__)


def _lists(part: EvidenceBounds | GaussianReference | Sum) -> dict[str, list[float]]:
    return {name: getattr(part, name).tolist() for name in _fields(type(part))}


def _plain_summed(found: Summed) -> dict[str, Any]:
    return {
        "total": _lists(found.total),
        "divergence": _lists(found.divergence) if found.divergence else None,
        "nodes": found.integrand.nodes.tolist(),
        "by_instance": found.integrand.by_instance.tolist(),
        "acceptance": found.acceptance,
        "alarms": list(found.alarms),
    }


def _summed_of(document: PlainSummed) -> Summed:
    return Summed(
        Sum(**_arrays(document.total)),
        Sum(**_arrays(document.divergence)) if document.divergence else None,
        Integrand(_array(document.nodes), np.array([_array(row) for row in document.by_instance])),
        document.acceptance,
        document.alarms,
    )


def _arrays(lists: dict[str, Numbers]) -> dict[str, Values]:
    return {name: _array(values) for name, values in lists.items()}


def _array(values: Numbers) -> Values:
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)
