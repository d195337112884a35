"""A run from the command line: what it leaves, how it goes on, and what it says."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from experiments import changed, write
from processes import ENVIRONMENT, nishimori

SWEEP = {"data.sample_ratio": [1.0, 2.0], "network.depth": [0, 1]}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An experiment file and the directory of its finished run."""
    home = tmp_path_factory.mktemp("run")
    experiment = write(home / "experiment.toml", changed(run__draws=300, sweep=SWEEP))
    done = nishimori("run", str(experiment), "--out", str(home / "out"), "--json")
    assert done.returncode in (0, 3), done.stderr
    summary = json.loads(done.stdout)
    assert summary["verdict"]["passed"] == (done.returncode == 0)
    return experiment, home / "out"


def points(out: Path) -> dict[str, dict[str, Any]]:
    summaries = [json.loads(path.read_text()) for path in sorted(out.glob("points/*/summary.json"))]
    return {summary["id"]: summary for summary in summaries}


def test_the_run_directory_holds_what_the_contract_names(finished: tuple[Path, Path]) -> None:
    _, out = finished
    manifest = json.loads((out / "run.json").read_text())
    assert (out / "overlay.png").stat().st_size > 10_000
    assert (out / "summary.json").exists()
    assert {"schema", "experiment", "identity", "versions", "device"} <= manifest.keys()
    assert len(points(out)) == 4
    for point in manifest["points"]:
        home = out / "points" / point["id"]
        names = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}
        assert names == {
            *("config.json", "calibration.json", "progress.json", "summary.json", "lock"),
            *("segments/000000.h5", "states/000000.h5"),
        }


def test_every_default_is_written_back(finished: tuple[Path, Path]) -> None:
    _, out = finished
    document = json.loads((out / "run.json").read_text())["experiment"]
    assert document["sampler"]["integrator"] == "leapfrog"
    assert document["sampler"]["target_acceptance"] == 0.8
    assert document["run"]["precision"] == "fp32"
    assert document["sweep"] == SWEEP
    config = json.loads(next(out.glob("points/*/config.json")).read_text())
    assert config["data"]["common"] is False


def test_segment_and_state(finished: tuple[Path, Path]) -> None:
    _, out = finished
    for identity, summary in points(out).items():
        home = out / "points" / identity
        with (
            h5py.File(home / "segments" / "000000.h5") as segment,
            h5py.File(home / "states" / "000000.h5") as state,
        ):
            draws = segment["draws/gibbs_error"]
            assert isinstance(draws, h5py.Dataset)
            assert draws.shape == (4, 2, 300)
            assert np.isfinite(draws[:]).all()
            position = state["state/position"]
            assert isinstance(position, h5py.Dataset)
            width = 16 if summary["parameters"]["depth"] == 0 else 16 * 16 + 16
            assert position.shape == (4, 2, width)


def test_summary_says_estimates_theory_checks_and_verdict(finished: tuple[Path, Path]) -> None:
    _, out = finished
    for summary in points(out).values():
        assert set(summary["estimates"]["bayes_error"]) == {"value", "standard_error"}
        assert summary["theory"]["bayes_error"] > 0
        layers = [f"layer_norm_{layer + 1}" for layer in range(summary["parameters"]["depth"] + 1)]
        assert set(summary["checks"]) == {
            *layers,
            *("train_energy", "virial", "teacher_replica", "teacher_replica_overlap", "function_norm", "coverage"),
            *("stationary_training_energy", "stationary_function_norm", "train_test_relation"),
            *("rank_training_energy", "rank_function_norm", "rank_effective_norm"),
            *("starts_training_energy", "starts_gibbs_error", "starts_overlap"),
        }
        assert all("z" in check for check in summary["checks"].values())
        assert summary["diagnostics"]["decay_time"] > 0
        norms = summary["diagnostics"]["layer_norms"]
        assert len(norms) == summary["parameters"]["depth"] + 1


def test_a_finished_run_prints_its_summary_and_computes_nothing(finished: tuple[Path, Path]) -> None:
    experiment, out = finished
    before = {path: path.stat().st_mtime_ns for path in out.glob("points/**/*") if path.is_file()}
    again = nishimori("run", str(experiment), "--out", str(out))
    assert again.returncode in (0, 3)
    assert "bayes_error against theory over 4 points" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in out.glob("points/**/*") if path.is_file()} == before


def test_overlay_joins_measurement_and_theory(finished: tuple[Path, Path], tmp_path: Path) -> None:
    _, out = finished
    figure = tmp_path / "overlap.png"
    done = nishimori("overlay", str(out), "--observable", "overlap", "--out", str(figure), "--json")
    assert done.returncode == 0
    rows = json.loads(done.stdout)["points"]
    assert len(rows) == 4
    assert all(row["prediction"] == points(out)[row["identity"]]["theory"]["overlap"] for row in rows)
    assert figure.stat().st_size > 10_000


def test_an_unknown_observable_is_refused(finished: tuple[Path, Path]) -> None:
    _, out = finished
    done = nishimori("overlay", str(out), "--observable", "bayes_eror")
    assert done.returncode == 2
    assert "bayes_eror" in done.stderr and "bayes_error" in done.stderr


def test_information_that_was_not_measured_is_refused_with_how_to(finished: tuple[Path, Path]) -> None:
    _, out = finished
    done = nishimori("overlay", str(out), "--observable", "mutual_information")
    assert done.returncode == 2
    assert "set information.method" in done.stderr


def test_another_experiment_is_refused_and_nothing_changes(finished: tuple[Path, Path], tmp_path: Path) -> None:
    _, out = finished
    before = sorted(str(path) for path in out.rglob("*"))
    other = write(tmp_path / "other.toml", changed(data__seed=4))
    done = nishimori("run", str(other), "--out", str(out))
    assert done.returncode == 2
    assert "another experiment" in done.stderr
    assert sorted(str(path) for path in out.rglob("*")) == before


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT])
def test_killed_and_run_again_equals_the_uninterrupted_run(
    kill: signal.Signals, finished: tuple[Path, Path], tmp_path: Path
) -> None:
    experiment, reference = finished
    out = tmp_path / "out"
    command = [sys.executable, "-m", "nishimori.cli", "run", str(experiment), "--out", str(out)]
    victim = subprocess.Popen(
        command,
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # Where these tests run in a shell's background, the Ctrl-C that they send would be ignored.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    while not list(out.glob("points/*/summary.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(victim.pid, kill)
    _, message = victim.communicate()
    assert 1 <= len(points(out)) < 4
    if kill == signal.SIGINT:
        assert victim.returncode == 75
        assert f"nishimori resume {out} goes on" in message
    assert not list(out.rglob("*.tmp.*")) or kill == signal.SIGKILL
    done = nishimori("run", str(experiment), "--out", str(out))
    assert done.returncode in (0, 3), done.stderr
    digests = {identity: summary["digest"] for identity, summary in points(reference).items()}
    assert {identity: summary["digest"] for identity, summary in points(out).items()} == digests


def test_relu_is_laid_over_a_conjecture_which_is_said(tmp_path: Path) -> None:
    experiment = write(tmp_path / "relu.toml", changed(network__activation="relu"))
    done = nishimori("run", str(experiment), "--out", str(tmp_path / "out"))
    assert done.returncode in (0, 3), done.stderr
    (summary,) = points(tmp_path / "out").values()
    assert summary["theory"]["basis"] == "conjecture"
    assert summary["theory"]["bias_variance"] > 0
    assert "conjecture" in done.stdout


def test_a_committee_is_sampled_and_its_missing_theory_is_said(tmp_path: Path) -> None:
    experiment = write(tmp_path / "committee.toml", changed(network__readout="fixed"))
    done = nishimori("run", str(experiment), "--out", str(tmp_path / "out"))
    assert done.returncode in (0, 3), done.stderr
    (summary,) = points(tmp_path / "out").values()
    assert summary["theory"] is None
    assert "fixed" in summary["theory_refusal"]
    assert summary["estimates"]["bayes_error"]["value"] > 0


def test_without_independent_chains_the_gibbs_error_is_drawn_and_the_reason_said(tmp_path: Path) -> None:
    experiment = write(tmp_path / "teacher.toml", changed(sampler__start="teacher"))
    done = nishimori("run", str(experiment), "--out", str(tmp_path / "out"))
    assert done.returncode in (0, 3), done.stderr
    assert "gibbs_error against theory over 1 points" in done.stdout
    assert "bayes_error needs two independent chains" in done.stdout
    (summary,) = points(tmp_path / "out").values()
    assert "bayes_error" not in summary["estimates"]


def test_a_failed_verdict_sets_exit_code_three_and_says_which(tmp_path: Path) -> None:
    experiment = write(tmp_path / "short.toml", changed(run__warmup=0, run__draws=8))
    done = nishimori("run", str(experiment), "--out", str(tmp_path / "out"))
    assert done.returncode == 3
    assert "warm-up of 0 is shorter than five decay times" in done.stdout
    (line,) = [line for line in done.stderr.splitlines() if "the verdict failed" in line]
    assert line.startswith("nishimori: the verdict failed: tanh L=1 d=16 alpha=1 Delta=0.1: ")
    assert line.endswith("verdict.json")


def test_chains_that_have_not_converged_are_caught(tmp_path: Path) -> None:
    """Low noise, random starts, few draws: no chain has found the posterior, and none of the numbers is believed."""
    settings = {"channel__noise_variance": 1e-4, "sampler__start": "prior", "sampler__chains": 2, "run__draws": 20}
    experiment = write(tmp_path / "hard.toml", changed(**settings, run__warmup=5))
    done = nishimori("run", str(experiment), "--out", str(tmp_path / "out"), "--json")
    assert done.returncode == 3, done.stderr
    assert "the verdict failed" in done.stderr
    document = json.loads((tmp_path / "out" / "verdict.json").read_text())
    failed = {one["name"] for one in document["points"][0]["criteria"] if one["failure"]}
    assert not document["passed"]
    assert {"r_hat", "split_r_hat", "bulk_sample_size", "monte_carlo_ratio"} <= failed


def test_the_verdict_is_one_table_and_one_file(finished: tuple[Path, Path]) -> None:
    experiment, out = finished
    printed = nishimori("run", str(experiment), "--out", str(out)).stdout
    header = next(line for line in printed.splitlines() if "bulk ESS" in line)
    assert {"least", "R-hat", "split", "nested", "tail", "warm-up/needed"} <= set(header.split())
    document = json.loads((out / "verdict.json").read_text())
    assert len(document["points"]) == 4
    for point in document["points"]:
        assert all(set(one) == {"name", "subject", "value", "bound", "failure"} for one in point["criteria"])
        assert point["passed"] == (not any(one["failure"] for one in point["criteria"]))
        exact = {name for name, check in point["checks"].items() if check["exact"]}
        assert exact == {one["subject"] for one in point["criteria"] if one["name"] == "p_value"}


def test_common_teachers_share_rows(tmp_path: Path) -> None:
    """With data.common a longer data set extends a shorter one; without, points are independent."""
    from nishimori.description.experiment import expand
    from nishimori.sampling.build import problem_of

    for common in (True, False):
        experiment = expand(changed(data__common=common, sweep={"data.sample_ratio": [1.0, 2.0]}))
        short, long = (problem_of(point.config, point.identity) for point in experiment.points)
        same = bool((long.inputs[:, : short.samples] == short.inputs).all())
        assert same is common
