"""What the benchmarks share: calls interleaved in one run, rows that state their surroundings, one file of results."""

import argparse
import csv
import platform
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch

RESULTS = Path(__file__).with_name("results.csv")
Row = dict[str, str]
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


def interleaved(providers: Mapping[str, Callable[[], object]], repeats: int, device: torch.device) -> dict[str, list]:
    """Seconds of every call, `repeats` a provider after two that do not count, the providers taking turns."""
    times: dict[str, list[float]] = {name: [] for name in providers}
    for repeat in range(repeats + 2):
        for name, call in providers.items():
            seconds = timed(call, device)
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
    operation: str, times: Mapping[str, Sequence[float]], case: str, products: int, device: torch.device
) -> list[Row]:
    """By provider: the median time with its quantiles, and the rate of `products` floating-point operations in it."""
    rows = []
    for provider, seconds in times.items():
        low, middle, high = (1e3 * quantile for quantile in np.quantile(seconds, [0.2, 0.5, 0.8]))
        rows.append(row_of(operation, provider, case, "time", "ms", middle, device, (low, high)))
        rate = products / middle / 1e6
        rows.append(row_of(operation, provider, case, "rate", "GFLOP/s", rate, device))
    return rows


def case_of(dim: int, samples: int, depth: int, chains: int) -> str:
    return f"input_dim={dim} width={dim} depth={depth} samples={samples} chains={chains}"


def operations_of(dim: int, samples: int, depth: int, chains: int) -> int:
    """Of the matrix products of one gradient, all layers `dim` wide; the first needs none for its inputs."""
    return chains * samples * (4 + 6 * (depth - 1)) * dim**2


def parser_of(description: str | None) -> argparse.ArgumentParser:
    """The options every benchmark has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--dry-run", action="store_true", help="print, but append nothing to the results")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the file of results (default: %(default)s)")
    return parser


def timing_options(description: str | None) -> argparse.Namespace:
    parser = parser_of(description)
    parser.add_argument("--repeats", type=int, default=15)
    return parser.parse_args()


def report_times(rows: Sequence[Row], baseline: str, options: argparse.Namespace) -> None:
    """Print the `timing_rows` of one case, each with the time of `baseline` over its own, and keep them."""
    times = {row["provider"]: float(row["value"]) for row in rows if row["metric"] == "time"}
    rates = {row["provider"]: float(row["value"]) for row in rows if row["metric"] == "rate"}
    print(rows[0]["case"])
    for provider, milliseconds in times.items():
        share = times[baseline] / milliseconds
        print(f"{provider:>24} {milliseconds:9.3f} ms {rates[provider]:7.1f} GFLOP/s {share:.0%}")
    if not options.dry_run:
        append(rows, options.results)


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
