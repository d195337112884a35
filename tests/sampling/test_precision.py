"""The precision of the force is chosen by what it loses and saves on the very problem, recorded, and then kept."""

import pytest
import torch

import nishimori as nm
from nishimori.adaptation.calibration import CalibrationRecord, PrecisionChoice
from nishimori.chains.progress import silent
from nishimori.sampling import precision as choosing
from nishimori.sampling.precision import as_calibrated, with_precision


def problem(noise_variance: float = 0.1) -> nm.Problem:
    return nm.matched_teacher(nm.Network(20, (20,), "tanh"), nm.GaussianChannel(noise_variance), 40, 2, test_samples=5)


def choices(posterior: nm.Posterior, sampler, record: CalibrationRecord) -> dict[str, PrecisionChoice]:
    found = with_precision(posterior, sampler, record, 0, "", 4, 2, lambda *_: None)
    return {choice.precision: choice for choice in found.precisions}


def record(step_size: float, num_steps: int = 5) -> CalibrationRecord:
    return CalibrationRecord((0, 1), (step_size, step_size), num_steps)


class Emulated(nm.Posterior):
    """Every force, by emulation, so that the choice can be looked at on any machine."""

    def precisions(self) -> tuple[str, ...]:
        return ("fp32", "bf16", "tf32")

    def at_precision(self, precision: str) -> nm.Posterior:
        return nm.Posterior(self.problem, precision, "cpu", "emulated")


def test_the_fastest_that_loses_little_is_chosen(monkeypatch):
    posterior, seconds = Emulated(problem(), "auto", "cpu"), {"fp32": 3.0, "bf16": 1.0, "tf32": 2.0}
    monkeypatch.setattr(choosing, "_seconds", lambda *_: seconds)
    found = choices(posterior, nm.HMC(), record(0.1))
    assert [choice.precision for choice in found.values() if choice.chosen] == ["bf16"]
    assert found["fp32"].loss_of_acceptance == 0.0
    assert abs(found["bf16"].loss_of_acceptance) < 0.05
    assert found["bf16"].standard_error > 0
    assert {name: choice.seconds_per_gradient for name, choice in found.items()} == seconds


def test_what_loses_acceptance_is_not_taken_however_fast(monkeypatch):
    posterior, seconds = Emulated(problem(1e-6), "auto", "cpu"), {"fp32": 3.0, "bf16": 1.0, "tf32": 4.0}
    monkeypatch.setattr(choosing, "_seconds", lambda *_: seconds)
    found = choices(posterior, nm.HMC(), record(3e-4, 20))
    assert found["bf16"].loss_of_acceptance > 0.05
    assert found["fp32"].chosen
    assert "loses" in found["bf16"].reason
    assert found["tf32"].reason == "slower" or "loses" in found["tf32"].reason


def test_a_run_records_the_measurement_and_samples_in_what_it_chose():
    run = nm.sample(
        nm.Posterior(problem(), "auto", "cpu"), nm.HMC(num_steps=4), chains=2, warmup=2, draws=4, start="teacher"
    )
    assert isinstance(run.target, nm.Posterior)
    assert run.target.precision == run.calibration.precision != "auto"
    assert {choice.precision for choice in run.calibration.precisions} == set(run.target.precisions())
    again = nm.sample(
        nm.Posterior(problem(), "auto", "cpu"),
        nm.HMC(num_steps=4),
        chains=2,
        warmup=2,
        draws=4,
        start="teacher",
        calibration=run.calibration,
    )
    assert (again.draws["gibbs_error"] == run.draws["gibbs_error"]).all()


@pytest.mark.gpu
def test_a_gpu_has_more_to_choose_from():
    target = nm.Posterior(problem(), "auto", "cuda")
    assert target.precisions() == ("fp32", "bf16", "fp16", "tf32", "bf16x3")
    run = nm.sample(target, nm.HMC(num_steps=4), chains=2, warmup=2, draws=4, start="teacher", progress=silent)
    assert [choice.precision for choice in run.calibration.precisions] == list(target.precisions())
    assert isinstance(run.target, nm.Posterior) and run.target.precision == run.calibration.precision


def test_a_record_without_a_choice_is_refused():
    with pytest.raises(ValueError, match="chose no precision"):
        as_calibrated(nm.Posterior(problem(), "auto", "cpu"), record(0.1))


@pytest.mark.parametrize(
    "sampler",
    [nm.PCN(), nm.MCLMC(step_size=0.1, adjusted=False), nm.UnderdampedLangevin(adjusted=False)],
    ids=lambda s: type(s).__name__,
)
def test_samplers_without_a_test_keep_the_exact_force(sampler):
    coarse = nm.Posterior(problem(), "bf16", "cpu", "emulated")
    with pytest.raises(ValueError, match="needs a sampler with gradients and a Metropolis test"):
        nm.sample(coarse, sampler, chains=2, warmup=1, draws=2)
    found = choices(Emulated(problem(), "auto", "cpu"), sampler, record(0.1))
    assert list(found) == ["fp32"]


def test_other_targets_refuse_a_precision_of_the_force():
    for make in (
        nm.CollapsedPosterior,
        lambda *given: nm.DensityTarget(lambda x: -x.square().sum(-1), 2, precision=given[1]),
    ):
        for precision in ("bf16", "auto"):
            with pytest.raises(ValueError, match=f"precision '{precision}' is for the force of a Posterior alone"):
                make(problem(), precision)


def test_a_coarse_force_leaves_energies_alone_and_reports_no_virial():
    exact, coarse = nm.Posterior(problem(), "fp32", "cpu"), nm.Posterior(problem(), "bf16", "cpu", "emulated")
    position = exact.initial_position(3, "prior", 0)
    assert torch.equal(exact.energy(position), coarse.energy(position))
    assert torch.equal(coarse.energy_and_gradient(position)[0], exact.energy(position))
    assert not torch.equal(exact.gradient(position).flat, coarse.gradient(position).flat)
    run = nm.sample(coarse, nm.HMC(num_steps=3, step_size=0.1), chains=2, warmup=2, draws=4, start="teacher")
    assert "virial" not in run.draws
    assert not any("virial" in check.name for check in run.checks)
