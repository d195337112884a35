"""Two versions of the product, by turns: each in a process of its own, both under the benchmarks of this checkout."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

import torch
from common import Row, timing_rows
from operation import Operation, Provider
from verify import ROOT

WORKER = Path(__file__).with_name("version_worker.py")


class Version:
    """A worker that times one case of an operation with the engine and kernels of `root`."""

    def __init__(self, root: Path, operation: Operation, case: int, device: torch.device) -> None:
        path = os.pathsep.join(str(root / part) for part in ("engine", "kernels"))
        command = [sys.executable, WORKER, operation.name, str(case), device.type]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        self.labels: list[str] = self._answer()

    def seconds(self, label: str) -> float:
        """Of one call of a provider."""
        assert self._process.stdin
        print(label, file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self):
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("the process of a version ended; what it said is above")
        return json.loads(line)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def versions_timed(
    operation: Operation, case: object, ref: str, repeats: int, device: torch.device
) -> tuple[list[Row], str]:
    """Rows of our providers that exist in both versions; or none, and why."""
    ours = [provider for provider in operation.providers if provider.ours]
    number = operation.cases.index(case)
    with ExitStack() as stack:
        roots = {"": ROOT, f" at {_short(ref)}": stack.enter_context(checked_out(ref))}
        versions = {}
        for suffix, root in roots.items():
            versions[suffix] = Version(root, operation, number, device)
            stack.callback(versions[suffix].close)
        known = [each for each in ours if all(each.label in version.labels for version in versions.values())]
        if not known:
            return [], f"{operation.name}: none of our providers runs in both versions; leave out --against"
        times = _by_turns(versions, known, repeats)
    rows: list[Row] = []
    for (suffix, provider), seconds in times.items():
        named, work = (operation.name, f"{provider.name}{suffix}", str(case)), operation.work(case)
        rows += timing_rows(*named, seconds, work, device, provider.precision, operation.unit)
    return rows, ""


def ratios(rows: Sequence[Row], ref: str) -> str:
    """A line for each of our providers: the median of this checkout over that of `ref`."""
    times = {(row["provider"], row["precision"]): float(row["value"]) for row in rows if row["metric"] == "time"}
    then = f" at {_short(ref)}"
    return "\n".join(
        f"{name} {precision}: {time / times[name + then, precision]:.3f} of the time it took{then}"
        for (name, precision), time in times.items()
        if not name.endswith(then)
    )


def _by_turns(
    versions: dict[str, Version], providers: Sequence[Provider], repeats: int
) -> dict[tuple[str, Provider], list[float]]:
    """Seconds of `repeats` calls after two that do not count; who goes first changes from turn to turn."""
    times: dict[tuple[str, Provider], list[float]] = {(suffix, each): [] for suffix in versions for each in providers}
    for repeat in range(repeats + 2):
        for suffix in list(versions)[:: 1 if repeat % 2 else -1]:
            for provider in providers:
                seconds = versions[suffix].seconds(provider.label)
                if repeat >= 2:
                    times[suffix, provider].append(seconds)
    return times


@contextmanager
def checked_out(ref: str) -> Iterator[Path]:
    """A temporary worktree of `ref`."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        _git("worktree", "add", "--quiet", "--detach", str(tree), ref)
        try:
            yield tree
        finally:
            _git("worktree", "remove", "--force", str(tree))


@cache
def _short(ref: str) -> str:
    return _git("rev-parse", "--short", f"{ref}^{{commit}}")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"git {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout.strip()
