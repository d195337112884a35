"""One case of an operation: its providers compared, timed by turns and printed."""

from collections.abc import Mapping, Sequence

import torch
from common import Row, interleaved, timing_rows
from operation import Call, Operation, Provider, disagreement, runnable

IN_A_ROW = 5
"""Calls that are timed together on a GPU, which computes while the host asks for the next: one alone waits for it."""


def measured(operation: Operation, case: object, repeats: int, device: torch.device) -> tuple[list[Row], str]:
    """Rows of all providers that run; or none, and why."""
    calls = runnable(operation, case, device)
    wrong = disagreement(operation, case, calls)
    return ([], wrong) if wrong else (timed_rows(operation, case, calls, repeats, device), "")


def timed_rows(
    operation: Operation, case: object, calls: Mapping[Provider, Call], repeats: int, device: torch.device
) -> list[Row]:
    times = interleaved(calls, repeats, device, IN_A_ROW if device.type == "cuda" else 1)
    rows: list[Row] = []
    for provider, seconds in times.items():
        named, work = (operation.name, provider.name, str(case)), operation.work(case)
        rows += timing_rows(*named, seconds, work, device, provider.precision, operation.unit)
    return rows


def report(rows: Sequence[Row], baseline: str) -> None:
    """Print the rows of one case, each with the time of `baseline` over its own."""
    times = {_label(row): row for row in rows if row["metric"] == "time"}
    rates = {_label(row): row for row in rows if row["metric"] == "rate"}
    print(rows[0]["case"])
    for label, row in times.items():
        low, middle, high = (float(row[field]) for field in ("quantile_20", "value", "quantile_80"))
        share = f"{float(times[baseline]['value']) / middle:.2f} x" if baseline in times else ""
        rate = f"{float(rates[label]['value']):8.1f} {rates[label]['unit']}"
        print(f"{label:>32} {middle:9.3f} ms ({low:.3f} to {high:.3f}) {rate} {share}", flush=True)


def _label(row: Row) -> str:
    return row["provider"] if row["precision"] == "fp32" else f"{row['provider']} {row['precision']}"
