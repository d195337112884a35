"""Ranges on a GPU's time line: opened and closed by name on CUDA, free elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

import pytest
import torch

import nishimori as nm
from nishimori.chains.progress import silent
from nishimori.models.ranges import named_range

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
WHERE = ("nishimori.sampling.sample", "nishimori.chains.loop", "nishimori.measurement.observers")


@contextmanager
def noted(name: str, names: list[str]) -> Iterator[None]:
    names.append(name)
    try:
        yield
    finally:
        names.append(f"end of {name}")


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What NVTX is told."""
    told: list[str] = []
    monkeypatch.setattr("torch.cuda.nvtx.range", lambda name: noted(name, told))
    return told


def test_on_cuda_a_range_is_opened_and_closed_whatever_happens(names: list[str]):
    with pytest.raises(KeyError), named_range("outer", CUDA), named_range("inner", CUDA):
        raise KeyError
    assert names == ["outer", "inner", "end of inner", "end of outer"]


def test_elsewhere_nothing_is_told(names: list[str]):
    with named_range("outer", CPU), named_range("inner", CPU):
        pass
    assert names == []
    assert named_range("outer", CPU) is named_range("inner", CPU)


def test_a_run_names_calibration_transitions_and_observations(names: list[str], monkeypatch: pytest.MonkeyPatch):
    for module in WHERE:
        monkeypatch.setattr(import_module(module), "named_range", lambda name, device: named_range(name, CUDA))
    problem = nm.matched_teacher(nm.Network(3, (4,), "tanh"), nm.GaussianChannel(0.1), 5, test_samples=2)
    nm.sample(nm.Posterior(problem, device="cpu"), chains=1, warmup=1, draws=2, thin=2, start="prior", progress=silent)
    assert names[0] == "calibration"
    run = names[names.index("end of calibration") + 1 :]
    observed, moved = ["observe", "end of observe"], ["transition", "end of transition"]
    assert run == [*observed, *moved, *observed, *2 * [*moved, *moved, *observed]]
