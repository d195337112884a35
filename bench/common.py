"""What the benchmarks share: calls interleaved in one run, rows that state their surroundings, one file of results."""

import argparse
import csv
import platform
import subprocess
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

RESULTS = Path(__file__).with_name("results.csv")
Row = dict[str, str]
Name = TypeVar("Name", bound=Hashable)
FIELDS: tuple[str, ...] = (
    "operation",
    "provider",
    "case",
    "metric",
    "value",
    "quantile_20",
    "quantile_80",
    "unit",
    "precision",
    "device",
    "threads",
    "torch",
    "python",
    "numpy",
    "commit",
)
"""A row is one number: what `provider` needed for `operation` on `case` (key=value, separated by spaces). Quantiles are
over repeats within the run; they are empty where there are none, and so is a version that was not recorded."""
KEY = ("operation", "provider", "case", "metric", "precision")
"""What is measured again gives the same of these."""


def interleaved(
    providers: Mapping[Name, Callable[[], object]], repeats: int, device: torch.device, in_a_row: int = 1
) -> dict[Name, list[float]]:
    """Seconds of a call, of `in_a_row` together, `repeats` a provider after two that do not count, the providers taking
    turns."""
    times: dict[Name, list[float]] = {name: [] for name in providers}
    for repeat in range(repeats + 2):
        for name, call in providers.items():
            seconds = timed(lambda call=call: [call() for _ in range(in_a_row)], device) / in_a_row
            if repeat >= 2:
                times[name].append(seconds)
    return times


def timed(call: Callable[[], object], device: torch.device) -> float:
    """Seconds until the device has done what `call` asked of it."""
    started = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def row_of(
    operation: str,
    provider: str,
    case: str,
    metric: str,
    unit: str,
    value: float,
    device: torch.device,
    quantiles: tuple[float, float] | None = None,
    precision: str = "fp32",
) -> Row:
    low, high = ("", "") if quantiles is None else (f"{quantile:.5g}" for quantile in quantiles)
    surroundings = (precision, *_surroundings(device))
    values = (operation, provider, case, metric, f"{value:.5g}", low, high, unit, *surroundings)
    return dict(zip(FIELDS, values, strict=True))


def timing_rows(
    operation: str,
    provider: str,
    case: str,
    seconds: Sequence[float],
    work: int,
    device: torch.device,
    precision: str = "fp32",
    unit: str = "GFLOP/s",
) -> list[Row]:
    """The median time with its quantiles, and the rate of `work` (floating-point operations or bytes) in it."""
    low, middle, high = (1e3 * quantile for quantile in np.quantile(seconds, [0.2, 0.5, 0.8]))
    named = operation, provider, case
    return [
        row_of(*named, "time", "ms", middle, device, (low, high), precision),
        row_of(*named, "rate", unit, work / middle / 1e6, device, None, precision),
    ]


def case_of(dim: int, samples: int, depth: int, chains: int) -> str:
    return f"input_dim={dim} width={dim} depth={depth} samples={samples} chains={chains}"


def operations_of(dim: int, samples: int, depth: int, chains: int) -> int:
    """Of the matrix products of one gradient, all layers `dim` wide; the first needs none for its inputs."""
    return chains * samples * (4 + 6 * (depth - 1)) * dim**2


def parser_of(description: str | None, devices: Sequence[str] = ("auto", "cpu", "cuda")) -> argparse.ArgumentParser:
    """The options every benchmark has; the first of `devices` is the default."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--device", default=devices[0], choices=devices)
    parser.add_argument("--dry-run", action="store_true", help="print, but append nothing to the results")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the file of results (default: %(default)s)")
    return parser


def print_rows(rows: Sequence[Row]) -> None:
    """A line a number."""
    for row in rows:
        named = f"{row['provider']:>54} {row['precision']} {row['metric']:>36}"
        print(f"{named} {float(row['value']):10.4g} {row['unit']}", flush=True)


def append(rows: Sequence[Row], results: Path = RESULTS) -> None:
    fresh = not results.exists()
    with results.open("a", newline="", encoding="utf-8") as file:
        writer: csv.DictWriter[str] = csv.DictWriter(file, FIELDS)
        if fresh:
            writer.writeheader()
        writer.writerows(rows)


def read(results: Path = RESULTS) -> list[Row]:
    with results.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def latest(rows: Sequence[Row]) -> list[Row]:
    """Of rows for the same operation, provider, case, metric and precision the last, where it stands."""
    keyed = {tuple(row[field] for field in KEY): row for row in rows}
    return [row for row in rows if keyed[tuple(row[field] for field in KEY)] is row]


@cache
def _surroundings(device: torch.device) -> tuple[str, ...]:
    """Device, threads, torch, python, numpy, commit."""
    name = torch.cuda.get_device_name() if device.type == "cuda" else _processor()
    threads, versions = str(torch.get_num_threads()), (torch.__version__, platform.python_version(), np.__version__)
    return (name, threads, *versions, _commit())


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, cwd=RESULTS.parent
    )
    return done.stdout.strip() or "unknown"
