"""Experiments with a [teacher] section: run, joined with theory, laid over it and read back."""

import json
from pathlib import Path
from typing import Any

import pytest
from experiments import changed, write
from processes import ROOT

import nishimori as nm
from nishimori.cli import main
from nishimori.comparison.figures import label_text, shared_title
from nishimori.comparison.series import build_series, choose_axis
from nishimori.description.experiment import expand, load_experiment
from nishimori.description.teacher import mismatch_of
from nishimori.systems import SYSTEMS

SYSTEM = SYSTEMS["matched_teacher"]
QUICK = {"sampler__step_size": 0.2, "sampler__num_steps": 4, "sampler__start": "prior", "sampler__chains": 2}
NAMES = {"posterior_mean_error", "posterior_variance", "gibbs_error", "generalization_error", "training_energy"}


def parameters(**settings: Any) -> dict[str, Any]:
    return SYSTEM.parameters(expand(changed(sampler__start="prior", **settings)).points[0].config)


def test_parameters_name_what_the_teacher_says_and_what_differs() -> None:
    plain = parameters()
    assert parameters(teacher={"noise_variance": 0.1}) == plain | {"teacher_noise_variance": 0.1}
    assert parameters(teacher={"activation": "erf"}) == plain | {"teacher_activation": "erf"}
    deeper = {"teacher_depth": 2, "teacher_width_ratios": [1.0, 1.0]}
    assert parameters(teacher={"depth": 2}) == plain | deeper
    assert parameters(teacher={"widths": [8]}) == plain | {"teacher_width_ratios": [0.5]}
    fixed = parameters(network__readout="fixed", teacher={"readout": "gaussian"})
    assert fixed == parameters(network__readout="fixed") | {"teacher_readout": "gaussian"}


def test_predictions_are_those_of_the_renormalised_kernel() -> None:
    said = {"noise_variance": 0.05, "activation": "erf", "depth": 2}
    point = parameters(network__width_ratios=0.5, teacher=said)
    student, teacher = nm.Network(16, (8,), "tanh"), nm.Network(16, (1, 1), "erf")
    channels = nm.GaussianChannel(0.1), nm.GaussianChannel(0.05)
    expected = nm.theory.predict_mismatched(student, channels[0], 1.0, teacher, channels[1])
    assert SYSTEM.predict_at(point) == expected.to_dict()
    assert expected.renormalisation != 1


def test_a_matched_point_of_a_sweep_has_both_names() -> None:
    point = SYSTEM.predict_at(parameters(teacher={"noise_variance": 0.1}))
    bayes = SYSTEM.predict_at(parameters())
    assert {name: point[name] for name in bayes} == bayes
    assert point["posterior_mean_error"] == point["posterior_variance"] == bayes["bayes_error"]
    assert point["train_gibbs_error"] == 2 * bayes["train_mmse"]
    assert point["training_energy"] == 0.1


def test_the_experiment_of_mismatched_students_is_valid_at_any_size() -> None:
    path = ROOT / "scripts" / "experiments" / "mismatch.toml"
    for overrides in ([], ["network.input_dim=400"]):
        points = load_experiment(path, overrides).points
        assert len({point.identity for point in points}) == 10
        assert sum(not mismatch_of(point.config) for point in points) == 1
        for point in points:
            theory = SYSTEM.predict(point.config)
            assert theory["posterior_mean_error"] > 0


def test_what_has_no_theory_is_said_to_have_none() -> None:
    point = parameters(channel={"kind": "probit", "noise_variance": 0.1}, teacher={"noise_variance": 0.2})
    with pytest.raises(ValueError, match="Gaussian label noise alone"):
        SYSTEM.predict_at(point)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two believed noise variances, one of them true, and a teacher of another activation."""
    home = tmp_path_factory.mktemp("mismatch")
    sweep = {"channel.noise_variance": [0.1, 0.4], "teacher.activation": ["tanh", "erf"]}
    settings = {**QUICK, "teacher": {"noise_variance": 0.1}, "sweep": sweep}
    experiment = write(home / "experiment.toml", changed(**settings))
    assert main(["run", str(experiment), "--out", str(home / "out")]) in (0, 3)
    return home / "out"


def summaries(out: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in out.glob("points/*/summary.json")]


def test_points_are_joined_with_their_theory(out: Path) -> None:
    matched = 0
    for summary in summaries(out):
        said = summary["parameters"]
        alike = said["teacher_activation"] == "tanh" and said["noise_variance"] == 0.1
        matched += alike
        assert set(summary["z_scores"]) >= NAMES
        assert ("bayes_error" in summary["estimates"]) == alike
        assert summary["theory"]["basis"] == ("theorem" if alike else "conjecture")
        assert ("unchecked" in summary["diagnostics"]) == (not alike)
        assert (set(summary["checks"]) == {"virial"}) == (not alike)
    assert matched == 1


def test_the_overlay_says_what_differs(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (out / "overlay.png").stat().st_size > 10_000
    points = summaries(out)
    assert choose_axis(points) == "noise_variance"
    lines = build_series(points, "posterior_mean_error", "noise_variance", SYSTEM.predict_at)
    assert [label_text(line.label) for line in lines] == ["teacher erf", "teacher tanh"]
    assert all(len(line.curve) for line in lines)
    title = shared_title(points, "noise_variance", {"teacher_activation"})
    assert title.startswith("student tanh") and r"teacher $\Delta = 0.1$" in title
    capsys.readouterr()
    assert main(["overlay", str(out), "--observable", "posterior_variance"]) == 0
    told = capsys.readouterr().out
    assert "activation=erf Delta=0.1" in told
    assert "checks: teacher and student differ in activation, noise_variance" in told


def test_matched_points_beside_them_are_called_matched(out: Path, tmp_path: Path) -> None:
    experiment = write(tmp_path / "experiment.toml", changed(**QUICK))
    assert main(["run", str(experiment), "--out", str(tmp_path / "out")]) in (0, 3)
    points = [*summaries(out), *summaries(tmp_path / "out")]
    lines = build_series(points, "gibbs_error", "noise_variance", SYSTEM.predict_at)
    assert "matched" in label_text(lines[0].label)
    assert main(["overlay", str(out), str(tmp_path / "out"), "--observable", "gibbs_error"]) == 0


def test_a_mismatched_point_is_read_back(out: Path) -> None:
    for home in out.glob("points/*"):
        summary, loaded = json.loads((home / "summary.json").read_text()), nm.load(home)
        for name, estimate in loaded.estimates.items():
            assert estimate.value == pytest.approx(summary["estimates"][name]["value"], rel=1e-12), name
        assert {check.name for check in loaded.checks} == set(summary["checks"])


def test_a_teacher_that_differs_needs_prior_starts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment = write(tmp_path / "experiment.toml", changed(teacher={"activation": "erf"}))
    assert main(["run", str(experiment), "--out", str(tmp_path / "out")]) == 2
    assert 'sampler.start = "both" needs a matched teacher' in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
