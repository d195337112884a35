"""The gate: an operation's own tests, run first. No number is reported of an operation whose tests fail."""

import os
import subprocess
import sys
from pathlib import Path

import torch
from operation import Operation

ROOT = Path(__file__).parents[1]


def failure(operation: Operation, device: torch.device) -> str:
    """A sentence where the operation's tests do not pass, empty where they do."""
    tests = operation.tests_on(device)
    if not tests:
        return ""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in ("engine", "kernels"))}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *map(str, tests)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode == 0:
        return ""
    print(done.stdout[-2000:], done.stderr[-2000:], sep="\n", file=sys.stderr)
    return f"{operation.name}: its tests fail, so that no number is reported; the end of what pytest says is above"
