"""Memory of the GPU while a tiny network makes very many transitions: it must not grow."""

import time
from collections import deque
from dataclasses import dataclass

import torch
from common import Row, print_rows, row_of

import nishimori as nm
from nishimori.chains.loop import Schedule, chain_loop
from nishimori.models.randomness import Randomness
from nishimori.samplers.base import Kernel, State

SETTLING, TRANSITIONS = 1_000, 100_000
DIM, SAMPLES, CHAINS, NUM_STEPS = 8, 16, 4, 3
MEMORY_CASE = (
    f"input_dim={DIM} width={DIM} depth=1 samples={SAMPLES} chains={CHAINS} num_steps={NUM_STEPS} "
    f"transitions={TRANSITIONS}"
)


@dataclass(frozen=True)
class Memory:
    """Bytes that torch has handed out: now, and at most since the last look."""

    allocated: int
    peak: int


def device_memory(repeats: int, device: torch.device) -> tuple[list[Row], str]:
    del repeats
    kernel, state = _tiny(device)
    state, settled, _ = _moved(kernel, state, SETTLING)
    _, ended, seconds = _moved(kernel, state, TRANSITIONS)
    rows = rows_of(settled, ended, seconds, device)
    print_rows(rows)
    return rows, ""


def rows_of(settled: Memory, ended: Memory, seconds: float, device: torch.device) -> list[Row]:
    measured = {
        "growth": ("B", ended.allocated - settled.allocated),
        "growth of the peak": ("B", ended.peak - settled.peak),
        "peak": ("MB", ended.peak / 1e6),
        "time of a transition": ("us", 1e6 * seconds / TRANSITIONS),
    }
    return [
        row_of("device memory", "nishimori", MEMORY_CASE, metric, unit, value, device)
        for metric, (unit, value) in measured.items()
    ]


def _tiny(device: torch.device) -> tuple[Kernel, State]:
    problem = nm.matched_teacher(nm.Network(DIM, (DIM,), "tanh"), nm.GaussianChannel(0.1), SAMPLES, test_samples=1)
    target = nm.Posterior(problem, device=device.type)
    randomness = Randomness.of(0, "", target.instances, range(CHAINS))
    step_size = torch.full((1,), 0.1, dtype=torch.float64)
    kernel = nm.HMC().kernel(target, step_size, NUM_STEPS, randomness)
    return kernel, kernel.init(target.initial_position(CHAINS, "prior", 0))


def _moved(kernel: Kernel, state: State, transitions: int) -> tuple[State, Memory, float]:
    """The last state, the memory, and the seconds it took."""
    torch.cuda.reset_peak_memory_stats()
    started = time.monotonic()
    (last,) = deque(chain_loop(kernel, state, Schedule(0, transitions)), maxlen=1)
    torch.cuda.synchronize()
    seconds = time.monotonic() - started
    return last.state, Memory(torch.cuda.memory_allocated(), torch.cuda.max_memory_allocated()), seconds
