"""How much of the time the GPU has nothing to do: between the first and the last kernel of many transitions."""

from collections.abc import Iterable, Sequence
from typing import Any

import network_providers as network
import torch
from common import Row, print_rows, row_of, timed
from operation import Call
from shapes import CUDA_SHAPES, TRANSITION_STEPS, Shape
from torch.profiler import ProfilerActivity, profile

IDLE_SHAPES = CUDA_SHAPES[3], CUDA_SHAPES[0]
TRANSITIONS, PRECISION = 100, "bf16"
"""The fastest force leaves the host the least time."""
Interval = tuple[float, float]
"""Begin and end."""


def idle_case(shape: Shape) -> str:
    return f"{shape} num_steps={TRANSITION_STEPS} transitions={TRANSITIONS}"


def idle(repeats: int, device: torch.device) -> tuple[list[Row], str]:
    del repeats
    rows: list[Row] = []
    for shape in IDLE_SHAPES:
        print(shape, flush=True)
        for provider, observed in (("nishimori", False), ("nishimori, observed", True)):
            found = rows_of(shape, provider, network.transition(PRECISION, observed, shape, device), device)
            print_rows(found)
            rows += found
    return rows, ""


def rows_of(shape: Shape, provider: str, call: Call, device: torch.device) -> list[Row]:
    """Under the profiler, and its kernels' time against the clock without it: profiling holds the host up."""

    def transitions() -> None:
        for _ in range(TRANSITIONS):
            call()

    _profiled(call)
    wall = timed(transitions, device)
    intervals = _profiled(transitions)
    shares = {"idle": idle_share(intervals), "idle by the clock": 1 - 1e-6 * busy(intervals) / wall}
    return [
        row_of("idle", provider, idle_case(shape), metric, "%", 100 * share, device, precision=PRECISION)
        for metric, share in shares.items()
    ]


def _profiled(call: Call) -> list[Interval]:
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        call()
        torch.cuda.synchronize()
    return kernel_intervals(seen.events() or [])


def kernel_intervals(events: Iterable[Any]) -> list[Interval]:
    """When kernels, copies and fills ran on the GPU, in microseconds: no ranges that a user has named."""
    return [
        (event.time_range.start, event.time_range.end)
        for event in events
        if event.device_type.name == "CUDA" and not event.is_user_annotation
    ]


def busy(intervals: Iterable[Interval]) -> float:
    """The time in which at least one of them is open."""
    total, until = 0.0, float("-inf")
    for begin, end in sorted(intervals):
        total += max(0.0, end - max(begin, until))
        until = max(until, end)
    return total


def idle_share(intervals: Sequence[Interval]) -> float:
    """The share of the time from the first begin to the last end in which none is open; ValueError where there are
    none."""
    if not intervals:
        raise ValueError("the profiler saw no kernel; is another profiler attached?")
    span = max(end for _, end in intervals) - min(begin for begin, _ in intervals)
    return 1 - busy(intervals) / span if span > 0 else 0.0
