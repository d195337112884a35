"""How long calls take that compete."""

import time
from collections.abc import Callable, Mapping
from statistics import median

import torch

LEAST_SECONDS, LEAST_CALLS = 0.05, 5


def median_seconds(
    calls: Mapping[str, Callable[[], object]], device: torch.device, least_calls: int = LEAST_CALLS
) -> dict[str, float]:
    """Of each call, `least_calls` or more, until `device` has done what it asks, after one that does not count.

    The calls take turns, so that other work on the machine hits all of them.
    """
    for call in calls.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    while any(sum(spent) < LEAST_SECONDS or len(spent) < least_calls for spent in times.values()):
        for name, call in calls.items():
            _synchronise(device)
            started = time.perf_counter()
            call()
            _synchronise(device)
            times[name].append(time.perf_counter() - started)
    return {name: median(spent) for name, spent in times.items()}


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
