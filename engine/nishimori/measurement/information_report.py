"""A measured mutual information as plain numbers, for the files and the summary of a point."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from nishimori.measurement.error_bars import Estimate
from nishimori.measurement.information import Bracket, Information
from nishimori.measurement.information_parts import plain


def information_estimates(measured: Information, sample_ratio: float) -> dict[str, Estimate]:
    """By the names that theory has for them: the best estimates, their error bars with half the gap of the bounds. With
    a control variate also what needs no sampling, and the KL to it."""
    information, control = measured.best.estimate, {}
    if measured.reference is not None and measured.divergence is not None:
        control = {"kernel_mutual_information": measured.reference, "divergence": measured.divergence.estimate}
    return {
        "mutual_information": information,
        "mutual_information_per_dim": information.scaled(sample_ratio),
        "log_evidence": measured.log_evidence.estimate,
        **control,
    }


def information_document(measured: Information, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that was measured, JSON-ready but for NaN, under "instances" one by one; `settings` are those of the
    method."""
    brackets = {
        "plain": measured.mutual_information,
        "controlled": measured.controlled,
        "divergence": measured.divergence,
        "log_evidence": measured.log_evidence,
    }
    integrand = measured.integrand
    return {
        "method": measured.method,
        "settings": {name: value for name, value in settings.items() if value is not None and name != "method"},
        **{name: None if bracket is None else _bracket(bracket) for name, bracket in brackets.items()},
        "reference": None if measured.reference is None else _estimate(measured.reference),
        "integrand": None
        if integrand is None
        else {name: getattr(integrand, name).tolist() for name in ("nodes", "values", "standard_errors")},
        "evidence": None if measured.evidence is None else _instances(asdict(measured.evidence)),
        "acceptance": measured.acceptance,
        "alarms": list(measured.alarms),
        "instances": plain(measured.measured),
    }


def _instances(values: Mapping[str, Any]) -> dict[str, list[float]]:
    return {name: values[name].tolist() for name in ("lower", "upper")}


def _bracket(bracket: Bracket) -> dict[str, Any]:
    return {name: _estimate(getattr(bracket, name)) for name in ("lower", "upper", "gap", "middle")}


def _estimate(estimate: Estimate) -> dict[str, float]:
    return {"value": estimate.value, "standard_error": estimate.standard_error}
