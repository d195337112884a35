"""What the benchmarks share: calls interleaved in one run, rows that state their surroundings, one file of results."""

import argparse
import csv
import platform
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

RESULTS = Path(__file__).with_name("results.csv")
Row = dict[str, object]


def interleaved(providers: Mapping[str, Callable[[], object]], repeats: int, device: torch.device) -> dict[str, list]:
    """Seconds of every call, `repeats` a provider after two that do not count, the providers taking turns."""
    times: dict[str, list[float]] = {name: [] for name in providers}
    for repeat in range(repeats + 2):
        for name, call in providers.items():
            seconds = _timed(call, device)
            if repeat >= 2:
                times[name].append(seconds)
    return times


def _timed(call: Callable[[], object], device: torch.device) -> float:
    started = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def row_of(
    operation: str,
    provider: str,
    shape: tuple[int, int, int, int],
    seconds: Sequence[float],
    operations: int,
    device: torch.device,
) -> Row:
    """`shape` is (dim, samples, depth, chains); median and quantiles in milliseconds, and GFLOP/s."""
    low, middle, high = (1e3 * quantile for quantile in np.quantile(seconds, [0.2, 0.5, 0.8]))
    return {
        "operation": operation,
        "provider": provider,
        **dict(zip(("dim", "samples", "depth", "chains"), shape, strict=True)),
        "milliseconds": f"{middle:.3f}",
        "quantile_20": f"{low:.3f}",
        "quantile_80": f"{high:.3f}",
        "gflops": f"{operations / middle / 1e6:.1f}",
        "precision": "fp32",
        "device": torch.cuda.get_device_name() if device.type == "cuda" else _processor(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "commit": _commit(),
    }


def operations_of(shape: tuple[int, int, int, int]) -> int:
    """Of the matrix products of one gradient, all layers `dim` wide; the first needs none for its inputs."""
    dim, samples, depth, chains = shape
    return chains * samples * (4 + 6 * (depth - 1)) * dim**2


def options(description: str | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--dry-run", action="store_true", help="print, but do not append to results.csv")
    return parser.parse_args()


def report(rows: Sequence[Row], baseline: str, dry_run: bool) -> None:
    """Print the rows of one shape, each with the time of `baseline` over its own; append them to the results."""
    reference = next(float(str(row["milliseconds"])) for row in rows if row["provider"] == baseline)
    for row in rows:
        shape = tuple(row[name] for name in ("dim", "samples", "depth", "chains"))
        share = reference / float(str(row["milliseconds"]))
        print(f"{shape}: {row['provider']:>22} {row['milliseconds']:>9} ms {row['gflops']:>7} GFLOP/s {share:.0%}")
    if not dry_run:
        _append(rows)


def _append(rows: Sequence[Row]) -> None:
    fresh = not RESULTS.exists()
    with RESULTS.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        if fresh:
            writer.writeheader()
        writer.writerows(rows)


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, cwd=RESULTS.parent
    )
    return done.stdout.strip() or "unknown"
