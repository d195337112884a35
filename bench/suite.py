"""A suite: steps that one command takes in order, and the goals its numbers are held to."""

import argparse
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from common import Row, append
from goals import Goal, table

Found = tuple[list[Row], str]
"""Rows, and a sentence about what is withheld, empty where nothing is."""


@dataclass(frozen=True)
class Step:
    """`measure(repeats, device)` prints what it finds. After a `gate` that withholds anything no step follows."""

    name: str
    said: str
    measure: Callable[[int, torch.device], Found]
    gate: bool = False


@dataclass(frozen=True)
class Suite:
    """Of steps for a CUDA device."""

    steps: tuple[Step, ...]
    goals: tuple[Goal, ...]

    def chosen(self, names: Sequence[str]) -> list[Step]:
        """The steps of these names, and gates in any case; all where no name is given."""
        return [step for step in self.steps if not names or step.gate or step.name in names]


def run_suite(name: str, suite: Suite, options: argparse.Namespace) -> int:
    """Print and keep the numbers of `options.operations`, names of steps; returns 1 where one had to be withheld, and
    2, with a sentence, where there is no device for it."""
    if not torch.cuda.is_available():
        print(f"--suite {name} needs a CUDA device; torch sees none", file=sys.stderr)
        return 2
    print(f"suite {name} on {torch.cuda.get_device_name()}")
    started, code, rows = time.monotonic(), 0, []
    steps = suite.chosen(options.operations)
    for number, step in enumerate(steps, start=1):
        print(f"\n[{number}/{len(steps)}] {step.name}: {step.said}", flush=True)
        found, withheld = taken(step, options)
        rows += found
        if withheld:
            code = 1
            print(withheld, file=sys.stderr, flush=True)
        if withheld and step.gate:
            break
    print(f"\n{table(suite.goals, rows)}\n\n{time.monotonic() - started:.0f} s in all")
    return code


def taken(step: Step, options: argparse.Namespace) -> Found:
    """The step's rows, kept in the results as soon as they are there. A step that breaks off costs its own rows alone:
    time on the device is dear, and the others' are as good."""
    started = time.monotonic()
    try:
        rows, withheld = step.measure(options.repeats, torch.device("cuda"))
    except Exception:
        traceback.print_exc()
        rows, withheld = [], f"{step.name} broke off and has no rows; why is above"
    torch.cuda.empty_cache()
    if not options.dry_run:
        append(rows, options.results)
    print(f"{step.name}: {time.monotonic() - started:.0f} s", flush=True)
    return rows, withheld
