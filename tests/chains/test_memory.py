"""Memory while sampling grows with the draws by what is recorded, and by nothing else."""

import sys

import pytest
from processes import ROOT

SLACK = 6e6
"""Bytes by which two processes may differ anyway."""


@pytest.fixture
def bench_memory(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    import bench_memory

    yield bench_memory
    for name in ("bench_memory", "common"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("longest", [3_000, pytest.param(100_000, marks=pytest.mark.validate)])
def test_memory_is_flat_but_for_what_is_recorded(bench_memory, longest):
    growth = bench_memory.growth((100, longest))
    scalars = growth["recorded"] / 8 / (longest - 100)
    assert scalars == int(scalars)
    assert growth["sampling"] < growth["recorded"] + SLACK
