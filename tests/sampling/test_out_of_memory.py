"""Where memory ends, a GPU's or the host's, the user hears how many chains fit."""

import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from experiments import changed, write

import nishimori as nm
from nishimori.chains.progress import silent
from nishimori.cli import main
from nishimori.description.errors import BadInput
from nishimori.models.footprint import footprint
from nishimori.sampling.free_space import free_host_memory

FIXED = nm.HMC(step_size=0.1, num_steps=2)
PLENTY = 2**50
Fill = Callable[[int], None]


HOST_SHORTAGES: dict[str, Callable[[], object]] = {
    "python": lambda: bytes(2**60),
    "numpy": lambda: np.empty(2**50),
    "torch": lambda: torch.empty(2**50),
}


@pytest.fixture
def fill(monkeypatch: pytest.MonkeyPatch) -> Fill:
    """A GPU with so many bytes left, which the first kick overruns."""

    def exhausted(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    def fill(free: int) -> None:
        monkeypatch.setattr("torch.cuda.mem_get_info", lambda device=None: (free, 2 * free))
        monkeypatch.setattr("nishimori_kernels.leapfrog.add_scaled_", exhausted)

    return fill


@pytest.fixture
def fill_host(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], object]], None]:
    """A host with so many bytes left, which the first kick overruns."""

    def fill(free: int, overrun: Callable[[], object]) -> None:
        monkeypatch.setattr("nishimori.sampling.memory.free_host_memory", lambda: free)
        monkeypatch.setattr("nishimori_kernels.leapfrog.add_scaled_", lambda *_: overrun())

    return fill


def posterior(instances: int = 2) -> nm.Posterior:
    problem = nm.matched_teacher(nm.Network(50, (60,), "tanh"), nm.GaussianChannel(0.1), 80, instances, test_samples=9)
    return nm.Posterior(problem, device="cpu")


def said(target: nm.Posterior | nm.DensityTarget, **arguments) -> str:
    settings = {"sampler": FIXED, "warmup": 1, "draws": 1, "progress": silent} | arguments
    with pytest.raises(BadInput) as refusal:
        nm.sample(target, **settings)
    return str(refusal.value)


def mebibytes(count: int) -> str:
    return f"{count / 2**20:.1f} MiB"


def test_how_many_chains_fit(fill: Fill):
    target = posterior()
    known = footprint(target)
    free = known.of(48) + 1
    fill(free)
    assert said(target, chains=64, start="prior") == (
        f"64 chains of 2 instances need about {mebibytes(known.of(64))} on the GPU and {mebibytes(free)} are free; "
        "ask for 48 chains or fewer, or a smaller network"
    )


def test_chains_are_counted_as_they_are_asked_for(fill: Fill):
    target = posterior(instances=1)
    fill(footprint(target).of(3))
    sentence = said(target, chains=4, start="both")
    assert sentence.startswith("4 chains per start of 1 instance need about")
    assert sentence.endswith("ask for 1 chain per start or fewer, or a smaller network")


def test_every_temperature_takes_its_share(fill: Fill):
    target = posterior()
    fill(footprint(target).of(7))
    sentence = said(target, sampler=nm.ReplicaExchange(FIXED, (1.0, 0.5, 0.25)), chains=4, start="prior")
    assert "ask for 2 chains or fewer" in sentence


def test_where_not_even_one_fits(fill: Fill):
    fill(1000)
    sentence = said(posterior(), chains=4, start="prior")
    assert sentence.startswith("not even one chain of 2 instances fits on the GPU: it needs about")
    assert sentence.endswith('use a smaller network, fewer samples or instances, or device "cpu"')


def test_an_estimate_that_is_too_low_is_not_told(fill: Fill):
    fill(PLENTY)
    sentence = said(posterior(), chains=4, start="prior")
    assert sentence == (
        "4 chains of 2 instances need more than the 1048576.0 GiB that are free on the GPU; "
        "ask for 2 chains or fewer, or a smaller network"
    )
    assert said(posterior(), chains=1, start="prior").endswith("; use a smaller network")


def test_a_density_has_no_estimate(fill: Fill):
    fill(1000)
    target = nm.DensityTarget(lambda x: -x.square().sum(-1) / 2, dim=3, device="cpu")
    assert said(target, chains=5).endswith("ask for 2 chains or fewer, or a smaller density")


@pytest.mark.parametrize("sampler", [{}, {"sampler__step_size": 0.1, "sampler__num_steps": 2}], ids=["", "given"])
def test_the_command_ends_with_code_2(sampler, fill: Fill, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """In calibration, and where nothing is calibrated."""
    fill(1000)
    experiment = write(tmp_path / "experiment.toml", changed(**sampler))
    assert main(["run", str(experiment), "--out", str(tmp_path / "out"), "--device", "cpu"]) == 2
    sentence = capsys.readouterr().err.splitlines()[-1]
    assert sentence.startswith("nishimori: not even one chain of 4 instances fits on the GPU")


@pytest.mark.parametrize("shortage", HOST_SHORTAGES)
def test_how_many_chains_fit_into_the_memory_of_the_host(shortage: str, fill_host):
    target = posterior()
    known = replace(footprint(target), activations=0)
    free = known.of(48) + 1
    fill_host(free, HOST_SHORTAGES[shortage])
    assert said(target, chains=64, start="prior") == (
        f"64 chains of 2 instances need about {mebibytes(known.of(64))} in memory and {mebibytes(free)} are free; "
        "ask for 48 chains or fewer, fewer instances, fewer draws, or a smaller network"
    )


def test_what_is_not_counted_may_be_what_does_not_fit_into_the_host(fill_host):
    fill_host(PLENTY, HOST_SHORTAGES["numpy"])
    room = "need more than the 1048576.0 GiB that are free in memory; "
    assert said(posterior(), chains=4, start="prior") == (
        f"4 chains of 2 instances {room}ask for 2 chains or fewer, fewer instances, fewer draws, or a smaller network"
    )
    assert said(posterior(1), chains=1, start="prior").endswith(f"{room}use fewer draws, or a smaller network")
    target = nm.DensityTarget(lambda x: -x.square().sum(-1) / 2, dim=3, device="cpu")
    assert said(target, chains=5).endswith(f"{room}ask for 2 chains or fewer, fewer draws, or a smaller density")
    fill_host(1000, HOST_SHORTAGES["torch"])
    assert said(posterior(), chains=4, start="prior").endswith(
        "are free; use a smaller network, or fewer samples or instances"
    )


def test_what_a_limit_leaves_counts(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("resource.getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    unlimited = free_host_memory()
    assert unlimited > 2**20
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * resource.getpagesize() + unlimited // 2
    monkeypatch.setattr("resource.getrlimit", lambda _: (limit, resource.RLIM_INFINITY))
    assert free_host_memory() == pytest.approx(unlimited / 2, rel=0.01)
    monkeypatch.setattr("resource.getrlimit", lambda _: (2**20, resource.RLIM_INFINITY))
    assert free_host_memory() == 0


def test_other_errors_are_not_taken_for_a_shortage(fill_host):
    fill_host(PLENTY, lambda: torch.ones(2) + torch.ones(3))
    with pytest.raises(RuntimeError, match="size of tensor"):
        said(posterior(), chains=4, start="prior")
