"""The gate: tests that run first. No number is reported of what fails them."""

import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from operation import Operation

ROOT = Path(__file__).parents[1]
MOST_WORKERS = 14
"""That share a GPU where pytest-xdist is installed: each of them compiles for itself, most of the time."""


def failure(operation: Operation, device: torch.device) -> str:
    """A sentence where the operation's tests do not pass, empty where they do."""
    tests = operation.tests_on(device)
    if not tests or passes(["-x", *map(str, tests)]):
        return ""
    return f"{operation.name}: its tests fail, so that no number is reported; the end of what pytest says is above"


def gpu_failure() -> str:
    """A sentence where a test that needs a GPU, or runs a kernel of Triton's, does not pass; empty where all do."""
    side_by_side = ["-n", str(min(MOST_WORKERS, os.cpu_count() or 1))] if find_spec("xdist") else []
    if passes(["-m", "gpu or triton", *side_by_side, "tests"]):
        return ""
    return "tests on the GPU fail, so that no number of ours is reported; the end of what pytest says is above"


def passes(arguments: Sequence[str]) -> bool:
    """Whether pytest is content; its last line is printed, or more of what it says where it is not."""
    path = [str(ROOT / "engine"), str(ROOT / "kernels"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:benchmark", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode == 0:
        print(done.stdout.strip().rpartition("\n")[-1], flush=True)
        return True
    print(done.stdout[-2000:], done.stderr[-2000:], sep="\n", file=sys.stderr)
    return False
