"""Where a GPU's memory ends, the user hears how many chains fit."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from experiments import changed, write

import nishimori as nm
from nishimori.chains.progress import silent
from nishimori.cli import main
from nishimori.description.errors import BadInput
from nishimori.models.footprint import footprint

FIXED = nm.HMC(step_size=0.1, num_steps=2)
PLENTY = 2**50
Fill = Callable[[int], None]


@pytest.fixture
def fill(monkeypatch: pytest.MonkeyPatch) -> Fill:
    """A GPU with so many bytes left, which the first kick overruns."""

    def exhausted(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    def fill(free: int) -> None:
        monkeypatch.setattr("torch.cuda.mem_get_info", lambda device=None: (free, 2 * free))
        monkeypatch.setattr("nishimori_kernels.leapfrog.add_scaled_", exhausted)

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
