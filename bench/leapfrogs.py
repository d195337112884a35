"""Transitions of two lengths: what a leapfrog step takes, and which share of a transition is something else."""

import network_providers as network
import numpy as np
import torch
from common import Row, interleaved, print_rows, row_of
from operation import Call
from shapes import CUDA_SHAPES, Shape

from nishimori_kernels.energy.dispatch import FORCES

SHORT, LONG = 10, 20
ACCEPT_SHARE = f"accept step's share of {LONG} steps"
"""Momenta, exact energies and the decision: all that a transition takes beyond its steps."""


def leapfrogs(repeats: int, device: torch.device) -> tuple[list[Row], str]:
    rows: list[Row] = []
    for shape in CUDA_SHAPES:
        print(shape, flush=True)
        found = rows_of(shape, repeats, device)
        print_rows(found)
        rows += found
    return rows, ""


def rows_of(shape: Shape, repeats: int, device: torch.device) -> list[Row]:
    """Of every precision that runs here."""
    times = interleaved(_calls(shape, device), repeats, device)
    precisions = list(dict.fromkeys(precision for precision, _ in times))
    return [
        row
        for precision in precisions
        for row in _rows(shape, precision, times[precision, SHORT], times[precision, LONG], device)
    ]


def _calls(shape: Shape, device: torch.device) -> dict[tuple[str, int], Call]:
    calls: dict[tuple[str, int], Call] = {}
    for precision in ("fp32", *FORCES):
        try:
            for steps in (SHORT, LONG):
                calls[precision, steps] = network.transition(precision, False, shape, device, steps)
        except ValueError as refusal:
            print(f"{precision} is left out: {refusal}")
    return calls


def _rows(shape: Shape, precision: str, short: list[float], long: list[float], device: torch.device) -> list[Row]:
    """Of seconds of SHORT and of LONG steps, turn by turn."""
    step, share = split(np.array(short), np.array(long))
    measured = {
        f"time of {SHORT} steps": ("ms", 1e3 * np.array(short)),
        f"time of {LONG} steps": ("ms", 1e3 * np.array(long)),
        "time": ("ms", 1e3 * step),
        ACCEPT_SHARE: ("%", 100 * share),
    }
    rows = []
    for metric, (unit, values) in measured.items():
        low, middle, high = np.quantile(values, [0.2, 0.5, 0.8])
        named = "leapfrog", "nishimori", str(shape), metric, unit
        rows.append(row_of(*named, middle, device, (low, high), precision))
    return rows


def split(short: np.ndarray, long: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Seconds a step, and the share of `long` that is none of its steps: both lengths have the rest in common."""
    step = (long - short) / (LONG - SHORT)
    return step, 1 - LONG * step / long
