"""What a benchmarked operation is: its cases, the providers that compete, and the tests that must pass first."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

Call = Callable[[], Any]
"""What is timed."""


@dataclass(frozen=True)
class Provider:
    """An implementation of an operation: `make(case, device)` is the call to be timed, everything prepared.

    `values` turns what the call returns into tensors that are comparable between the providers of an operation, None
    where it computes something else; they may differ from the first provider's by `tolerance` times the largest entry.
    `ours` is what a comparison of two versions runs. `make` raises ValueError where the device cannot run it.
    """

    name: str
    make: Callable[[Any, torch.device], Call]
    values: Callable[[Any], Sequence[Tensor]] | None = None
    precision: str = "fp32"
    ours: bool = False
    tolerance: float = 1e-3

    @property
    def label(self) -> str:
        return self.name if self.precision == "fp32" else f"{self.name} {self.precision}"


@dataclass(frozen=True)
class Operation:
    """`work` is what one call has to do on a case: floating-point operations for GFLOP/s, bytes for GB/s. `tests` are
    pytest paths from the root of the repository, none where nothing of ours runs. Times are printed beside that of
    `baseline`, the label of a provider. On CUDA `cuda_cases` and `cuda_tests` take the place of the others, where there
    are any."""

    name: str
    tests: tuple[str | Path, ...]
    cases: tuple[Any, ...]
    providers: tuple[Provider, ...]
    work: Callable[[Any], int]
    baseline: str
    unit: str = "GFLOP/s"
    cuda_cases: tuple[Any, ...] = ()
    cuda_tests: tuple[str | Path, ...] = ()

    def cases_on(self, device: torch.device) -> tuple[Any, ...]:
        return self.cuda_cases if device.type == "cuda" and self.cuda_cases else self.cases

    def tests_on(self, device: torch.device) -> tuple[str | Path, ...]:
        return self.cuda_tests if device.type == "cuda" and self.cuda_tests else self.tests


def disagreement(operation: Operation, case: Any, calls: Mapping[Provider, Call]) -> str:
    """A sentence about a provider whose values are not those of the first one, empty where there is none."""
    expected: Sequence[Tensor] | None = None
    for provider, call in calls.items():
        if provider.values is None:
            continue
        actual = [value.detach().double() for value in provider.values(call())]
        expected = actual if expected is None else expected
        for own, other in zip(actual, expected, strict=True):
            error = float((own - other).abs().max() / other.abs().max())
            if not error <= provider.tolerance:
                return f"{operation.name}: {provider.label} is {error:.1e} off on {case}; no number is reported"
    return ""


def runnable(operation: Operation, case: Any, device: torch.device) -> dict[Provider, Call]:
    """The calls of those providers that run on the device; why another does not is printed."""
    calls = {}
    for provider in operation.providers:
        try:
            calls[provider] = provider.make(case, device)
        except ValueError as refusal:
            _say(f"{provider.label} is left out: {refusal}")
    return calls


@cache
def _say(sentence: str) -> None:
    """Once, whatever the number of cases."""
    print(sentence)
