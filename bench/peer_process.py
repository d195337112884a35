"""Other libraries at work: each in a process and an environment of its own, on the problem of a target of ours."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Timer
from typing import Any

import numpy as np

import nishimori as nm
from nishimori.models.layout import Position

PEERS = Path(__file__).with_name("peers")
NAMES = ("blackjax", "numpyro", "pyro", "posteriors")
POINTS, LARGEST_DIFFERENCE = 20, 1e-5
ON_CPU = {"JAX_PLATFORMS": "cpu"}


class TooLong(Exception):
    """A sentence: an order was not answered within the time limit, and its process is gone."""


def python_of(name: str) -> Path:
    return PEERS / f".venv-{name}" / "bin" / "python"


class Peer:
    """A worker process in the environment of `name`, with other environment variables; see peers/worker.py for its
    orders."""

    def __init__(self, name: str, problem: Path, time_limit: float, environment: Mapping[str, str] = ON_CPU) -> None:
        python = python_of(name)
        if not python.exists():
            raise SystemExit(f"{python} is not there: run bench/peers/setup {name} first")
        self.name, self._time_limit, self._environment = name, time_limit, environment
        self._command = [python, "-W", "ignore::FutureWarning", PEERS / "worker.py", name, problem]
        self._start()

    def _start(self) -> None:
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | dict(self._environment),
        )
        facts = self._answer("start")
        self.version: str = facts["version"]
        self.samplers: list[str] = facts["samplers"]
        self.trajectories: str | None = facts["trajectories"]

    def provider(self, sampler: str) -> str:
        """What rows call it: library, version, sampler, and what the library stands on."""
        library, _, ground = self.version.partition(", ")
        return f"{library} {sampler}, {ground}"

    def order(self, kind: str, **details: Any) -> dict[str, Any]:
        """The answer. Raises TooLong where there is none in time; the next order then goes to a new process."""
        if self._process.poll() is not None:
            self.close()
            self._start()
        assert self._process.stdin
        print(json.dumps({"order": kind, **details}), file=self._process.stdin, flush=True)
        return self._answer(details.get("sampler", kind))

    def _answer(self, order: str) -> dict[str, Any]:
        assert self._process.stdout
        ended: list[bool] = []
        timer = Timer(self._time_limit, self._end, (ended,))
        timer.start()
        line = self._process.stdout.readline()
        timer.cancel()
        if ended:
            self._process.wait()
            raise TooLong(f"{self.name} {order}: not done within {self._time_limit:.0f} s; no row is written for it")
        if not line:
            raise SystemExit(f"the process of {self.name} ended; what it said is above")
        return json.loads(line)

    def _end(self, ended: list[bool]) -> None:
        ended.append(True)
        self._process.kill()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()


@contextmanager
def problem_file(target: nm.Posterior, start: np.ndarray) -> Iterator[Path]:
    """What a worker reads: the problem of `target`, start points [chains, num_parameters], points to compare at."""
    problem, teacher = target.problem, target.problem.known_teacher()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "problem.npz"
        np.savez(
            path,
            inputs=problem.inputs[0],
            labels=problem.labels[0],
            test_inputs=teacher.test_inputs[0],
            test_latent=teacher.test_latent[0],
            widths=problem.network.widths,
            noise_variance=problem.channel.noise_variance,
            activation=problem.network.activation_names,
            start=start,
            points=_points(target).to_edge()[0],
        )
        yield path


@contextmanager
def peers_of(
    target: nm.Posterior,
    start: np.ndarray,
    names: Sequence[str],
    time_limit: float,
    environment: Mapping[str, str] = ON_CPU,
    largest_difference: float = LARGEST_DIFFERENCE,
) -> Iterator[dict[str, Peer]]:
    """Workers on the problem of `target`, on the CPU, whose chains begin at `start` [chains, num_parameters].

    First their log densities at prior draws must differ like ours, within `largest_difference` of their size. Who takes
    too long to begin is left out.
    """
    with problem_file(target, start) as path, ExitStack() as stack:
        workers = {}
        for name in names:
            try:
                worker = Peer(name, path, time_limit, environment)
                stack.callback(worker.close)
                _require_the_same_densities(worker, target, largest_difference)
            except TooLong as sentence:
                print(f"    {sentence}", flush=True)
                continue
            workers[name] = worker
        yield workers


def _points(target: nm.Posterior) -> Position:
    return target.initial_position(POINTS, "prior", 1)


def _require_the_same_densities(peer: Peer, target: nm.Posterior, largest_difference: float) -> None:
    ours = -target.energy(_points(target)).numpy()[0]
    theirs = np.array(peer.order("log_density")["values"])
    apart = float((np.abs(np.diff(theirs) - np.diff(ours)) / np.abs(ours).max()).max())
    if not apart <= largest_difference:
        raise SystemExit(f"{peer.name}: differences of log densities are {apart:.1e} off; nothing is reported")
