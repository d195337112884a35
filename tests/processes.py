"""Running the product as its user would: in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = [str(ROOT / "engine"), str(ROOT / "kernels")]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(SOURCES)}


def python(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run the interpreter on the two source roots."""
    return subprocess.run(
        [sys.executable, *arguments],
        **{"env": ENVIRONMENT, "capture_output": True, "text": True, **options},  # type: ignore[call-overload]
    )


def nishimori(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a command of the product."""
    return python("-m", "nishimori.cli", *arguments, **options)
