"""JAX's gradients and BlackJAX's transitions on the GPU, at a stated precision of their products, by turns with ours.

bench/peers/.venv-blackjax needs a jax with CUDA for it, `jax[cuda13]` for example; without one nothing is compared.
"""

import os
import subprocess
from collections.abc import Callable

import network_providers as network
import numpy as np
import torch
from common import Row, print_rows, row_of, timed
from leapfrogs import SHORT
from operation import Call
from peer_process import Peer, TooLong, peers_of, python_of
from shapes import CUDA_SHAPES, Shape

import nishimori as nm

PRECISIONS = {"tf32": ("tensorfloat32", 1e-3)}
"""What JAX calls it, and how far log densities may lie apart in it. It is what JAX takes for float32 there."""
SHAPES = CUDA_SHAPES[0], CUDA_SHAPES[2]
ON_CUDA = {"JAX_PLATFORMS": "cuda", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
TURNS, COUNT, TIME_LIMIT = 5, 3, 120.0
Named = tuple[str, str, str]
"""Operation, provider, metric."""


def gpu_peers(repeats: int, device: torch.device) -> tuple[list[Row], str]:
    del repeats
    missing = absent()
    if missing:
        print(missing)
        return [], ""
    rows: list[Row] = []
    for shape in SHAPES:
        for precision in PRECISIONS:
            print(shape, precision, flush=True)
            try:
                found = rows_of(shape, precision, device)
            except (SystemExit, TooLong) as sentence:
                return rows, str(sentence)
            print_rows(found)
            rows += found
    return rows, ""


def absent() -> str:
    """Why JAX and BlackJAX cannot be compared with here, empty where they can."""
    python = python_of("blackjax")
    where = f"bench/peers/{python.parents[1].name}"
    if not python.exists():
        return f"JAX and BlackJAX are left out: {where} is not there; bench/peers/setup blackjax makes it"
    done = subprocess.run([python, "-c", "import jax; jax.devices()"], env=os.environ | ON_CUDA, capture_output=True)
    if done.returncode:
        return f"JAX and BlackJAX are left out: the jax of {where} sees no CUDA device"
    return ""


def rows_of(shape: Shape, precision: str, device: torch.device) -> list[Row]:
    """Median times of a gradient and of a transition of SHORT steps, of all chains; SystemExit where log densities are
    not ours."""
    target = nm.Posterior(shape.problem(), device="cpu")
    start = target.initial_position(shape.chains, "prior", 0).to_edge()[0].numpy()
    jax_name, apart = PRECISIONS[precision]
    environment = ON_CUDA | {"JAX_DEFAULT_MATMUL_PRECISION": jax_name}
    calls = _own_calls(shape, precision, device)
    with peers_of(target, start, ["blackjax"], TIME_LIMIT, environment, apart) as workers:
        for worker in workers.values():
            calls |= _their_calls(worker, shape)
        times = _by_turns(calls)
    return [_row(*named, str(shape), seconds, device, precision) for named, seconds in times.items()]


def _own_calls(shape: Shape, precision: str, device: torch.device) -> dict[Named, Callable[[], float]]:
    """Seconds of one, of COUNT in a row."""

    def seconds(call: Call) -> Callable[[], float]:
        return lambda: timed(lambda: [call() for _ in range(COUNT)], device) / COUNT

    return {
        ("energy gradient", "nishimori", "time beside JAX"): seconds(network.gradient(precision, shape, device)),
        ("leapfrog", "nishimori", f"time of {SHORT} steps beside JAX"): seconds(
            network.transition(precision, False, shape, device, SHORT)
        ),
    }


def _their_calls(worker: Peer, shape: Shape) -> dict[Named, Callable[[], float]]:
    """The same; an order takes COUNT."""
    details = {"step_size": network.step_size_of(shape), "num_steps": SHORT, "count": COUNT}
    ground = worker.version.partition(", ")[2]
    return {
        ("energy gradient", ground, "time"): lambda: worker.order("gradients", count=COUNT)["seconds"] / COUNT,
        ("leapfrog", worker.provider("HMC"), f"time of {SHORT} steps"): lambda: (
            worker.order("trajectories", **details)["seconds"] / COUNT
        ),
    }


def _by_turns(calls: dict[Named, Callable[[], float]]) -> dict[Named, list[float]]:
    """Seconds of TURNS calls after one that does not count."""
    seconds: dict[Named, list[float]] = {named: [] for named in calls}
    for turn in range(TURNS + 1):
        for named, call in calls.items():
            spent = call()
            if turn > 0:
                seconds[named].append(spent)
    return seconds


def _row(
    operation: str, provider: str, metric: str, case: str, seconds: list[float], device: torch.device, precision: str
) -> Row:
    low, middle, high = 1e3 * np.quantile(seconds, [0.2, 0.5, 0.8])
    return row_of(operation, provider, case, metric, "ms", middle, device, (low, high), precision)
