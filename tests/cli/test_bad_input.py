"""Bad input: exit code 2, one sentence naming key and remedy, nothing written."""

import json
from pathlib import Path
from typing import Any

import pytest
from experiments import changed, write

from nishimori.cli import main
from nishimori.description.experiment import expand

CASES: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    (changed(data__sampel_ratio=2.0), ("data.sampel_ratio", "not a known key", "sample_ratio")),
    (changed(sampling={"chains": 2}), ("[sampling]", "not a known key", "sampler")),
    (changed(channel__noise_variance=-0.1), ("channel.noise_variance", "> 0")),
    (changed(channel__noise_variance=0), ("channel.noise_variance", "> 0")),
    (changed(channel__noise_variance=None), ("channel.noise_variance", "missing", "add it")),
    (changed(channel__kind="probti"), ("channel.kind", "did you mean 'probit'")),
    (changed(channel__kind="logistic"), ("channel.temperature", "missing", "add it")),
    (changed(channel__temperature=0.3), ("channel.temperature", "does not go with", "give channel.noise_variance")),
    (changed(channel__kind="probit", sampler__target="collapsed"), ("sampler.target", "channel.kind", "use", "plain")),
    (changed(channel__kind="tanh", run__precision="bf16"), ("run.precision", "channel.kind", "use", "fp32")),
    (changed(data__sample_ratio=0.01), ("data.sample_ratio", "zero samples", "raise")),
    (changed(data__sample_ratio=None), ("data", "sample_ratio or samples", "give one")),
    (changed(network__activation="tanhh"), ("network.activation", "tanhh", "did you mean 'tanh'")),
    (changed(network__activation=["tanh", "erf"]), ("network.activation", "2 entries for 1", "single name")),
    (changed(network__activation=[], network__depth=0), ("network.activation", "0 entries", "single name")),
    (changed(network__activation=["tanhh"]), ("network.activation", "tanhh", "did you mean 'tanh'")),
    (changed(network__weight_variance=[1.0, 2.0, 3.0]), ("network.weight_variance", "3 entries for 1", "give 2")),
    (changed(network__weight_variance=0.0), ("network.weight_variance", "> 0")),
    (changed(network__bias_variance=-0.5), ("network.bias_variance", ">= 0")),
    (changed(network__bias_variance=0.5, sampler__target="collapsed"), ("sampler.target", "bias_variance", "plain")),
    (
        changed(network__bias_variance=0.5, information={"method": "collapsed"}),
        ("information.method", "network.bias_variance", "use", "ais"),
    ),
    (changed(network__bias_variance=0.5, run__precision="bf16"), ("run.precision", "no biases", "use fp32")),
    (changed(network__readout="ones"), ("network.readout", "ones", "gaussian", "fixed")),
    (changed(network__readout="fixed", network__depth=0), ("network.readout", "no weights", "add a layer")),
    (changed(network__readout="fixed", sampler__target="collapsed"), ("sampler.target", "readout", "use", "plain")),
    (changed(network__depth=0, sampler__target="collapsed"), ("sampler.target", "hidden layers", "use", "plain")),
    (changed(sampler__readouts=8), ("sampler.readouts", "collapsed", "remove")),
    (changed(sampler__target="collapsed", sampler__readouts=0), ("sampler.readouts", ">= 1")),
    (changed(sampler__kind="pcn", sampler__over_relaxed=True), ("sampler", "over-relaxed", "step_size")),
    (changed(sampler__kind="nuts"), ("sampler.kind", "nuts", "use one of auto, hmc, mala")),
    (changed(sampler__integrator="leapfrg"), ("sampler.integrator", "did you mean 'leapfrog'")),
    (changed(sampler__friction=1.0), ("sampler.friction", "hmc", "remove it", "underdamped_langevin")),
    (changed(sampler__kind="auto", sampler__step_size=0.1), ("sampler.step_size", "auto", "remove it", "hmc")),
    (changed(sampler__kind="pcn", sampler__step_size=1.5), ("sampler", "step_size", "(0, 1]")),
    (
        changed(sampler__kind="replica_exchange", sampler__inverse_temperatures=[0.5, 1.0]),
        ("sampler", "inverse_temperatures", "fall from 1"),
    ),
    (changed(sampler__kind="underdamped_langevin", sampler__num_steps=2000), ("sampler", "num_steps", "1024")),
    (changed(run__keep="all"), ("run.keep", "all", "position")),
    (changed(network__widths=[16]), ("widths", "depth", "give one")),
    (changed(network__width_ratios=[1.0, 2.0]), ("network.width_ratios", "depth 1")),
    (changed(network__width_ratios=0.001), ("network.width_ratios", "without units")),
    (changed(network__input_dim=1.5), ("network.input_dim", "int")),
    (
        changed(sampler__num_steps=5, sampler__path_length=1.0),
        ("sampler.num_steps", "path_length", "keep one"),
    ),
    (changed(run__draws=0), ("run.draws", ">= 1")),
    (changed(run__device="gpu"), ("run.device", "gpu", "cuda")),
    (changed(run__precision="fp8"), ("run.precision", "fp8", "use one of fp32, fp64, bf16")),
    (changed(run__precision="tf32", run__device="cpu"), ("run.precision", "tf32", "cannot be had", "use fp32")),
    (changed(run__precision="bf16", sampler__target="collapsed"), ("run.precision", "use")),
    (changed(run__precision="bf16", sampler__kind="pcn"), ("run.precision", "use")),
    (changed(information__method="imse"), ("information.method", "did you mean 'immse'")),
    (changed(information__nodes=4), ("information.nodes", "information.method", "ais, collapsed, immse, chain_rule")),
    (
        changed(information__method="immse", information__rungs=9),
        ("information.rungs", "immse", "remove it", "ais, collapsed"),
    ),
    (changed(information__method="ais", information__rungs=1), ("information.rungs", ">= 2")),
    (
        changed(information__method="collapsed", network__readout="fixed"),
        ("information.method", "collapsed", "readout", "use", "ais"),
    ),
    (changed(information__method="collapsed", network__depth=0), ("information.method", "hidden layers", "use")),
    *(
        (changed(information__method=method, channel__kind="probit"), ("information.method", "probit", "chain_rule"))
        for method in ("collapsed", "immse")
    ),
    (changed(sweep={"data.sampel_ratio": [1.0, 2.0]}), ("data.sampel_ratio", "not a known key")),
    (changed(sweep={"data.sample_ratio": []}), ("sweep.data.sample_ratio", "at least one value")),
    (changed(sweep={"data.sample_ratio": [1.0, 1.0]}), ("same point twice", "remove")),
    (changed(data__sample_ratio=1e300), ("data.sample_ratio", "<=")),
    (changed(channel__noise_variance=1e300), ("channel.noise_variance", "<=")),
    (changed(sampler__num_steps=10**12), ("sampler.num_steps", "<=")),
    (changed(sweep={"zip": [1, 2]}), ("sweep.zip", "tables")),
    (changed(sweep={"sample_ratio": [1.0]}), ("sample_ratio", "dotted")),
]


def run(experiment: Path, out: Path, *options: str) -> int:
    return main(["run", str(experiment), "--out", str(out), *options])


@pytest.mark.parametrize(("document", "words"), CASES, ids=[words[0] for _, words in CASES])
def test_wrong_experiment(
    document: dict[str, Any], words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = write(tmp_path / "experiment.toml", document)
    assert run(experiment, tmp_path / "out") == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert str(experiment) in message
    assert all(word in message for word in words), message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[network\n", ("not valid TOML", "line")),
        ("network = 3\n", ("network", "object")),
        ("", ("[network]", "missing")),
    ],
)
def test_broken_file(text: str, words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment = tmp_path / "broken.toml"
    experiment.write_text(text, encoding="utf-8")
    assert run(experiment, tmp_path / "out") == 2
    message = capsys.readouterr().err
    assert all(word in message for word in words), message
    assert not (tmp_path / "out").exists()


def test_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path / "nowhere.toml", tmp_path / "out") == 2
    assert "no such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("data.instances", ("--set", "section.key=value")),
        ("data.instances=0", ("data.instances", ">= 1")),
        ("data.instancse=3", ("data.instancse", "instances")),
    ],
)
def test_wrong_override(
    override: str, words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = write(tmp_path / "experiment.toml", changed())
    assert run(experiment, tmp_path / "out", "--set", override) == 2
    message = capsys.readouterr().err
    assert all(word in message for word in words), message
    assert not (tmp_path / "out").exists()


def test_an_override_that_the_sweep_undoes_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    together = {"network.input_dim": [16, 24], "data.instances": [4, 8]}
    swept = {"data.sample_ratio": [1.0, 2.0], "zip": [together]}
    experiment = write(tmp_path / "experiment.toml", changed(sweep=swept))
    for key, remedy in [
        ("data.sample_ratio", "write sweep.data.sample_ratio=[...]"),
        ("network.input_dim", "edit its [[sweep.zip]] table"),
    ]:
        assert run(experiment, tmp_path / "out", "--set", f"{key}=3") == 2
        assert f"--set {key}: the file sweeps this key; {remedy}" in capsys.readouterr().err
    assert run(experiment, tmp_path / "out", "--dry-run", "--set", "sweep.data.sample_ratio=[3.0]") == 0
    assert not (tmp_path / "out").exists()


def test_directory_of_another_experiment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment, out = write(tmp_path / "experiment.toml", changed()), tmp_path / "out"
    out.mkdir()
    (out / "run.json").write_text('{"schema": 1, "identity": "of something else"}', encoding="utf-8")
    assert run(experiment, out) == 2
    assert "holds another experiment; give another directory" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["run.json"]


def test_directory_of_something_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment, out = write(tmp_path / "experiment.toml", changed()), tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("precious", encoding="utf-8")
    assert run(experiment, out) == 2
    assert "not empty and holds no run" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["thesis.tex"]


def test_infinity_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment = write(tmp_path / "experiment.toml", changed())
    for key in ("channel.noise_variance", "data.sample_ratio", "sampler.step_size"):
        for value in ("inf", "nan"):
            assert run(experiment, tmp_path / "out", "--set", f"{key}={value}") == 2
            assert key in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_step_size_that_nothing_survives_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment = write(tmp_path / "experiment.toml", changed(sampler__step_size=100.0))
    assert run(experiment, tmp_path / "out") == 2
    assert "lower sampler.step_size" in capsys.readouterr().err


def test_a_damaged_calibration_record_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment, out = write(tmp_path / "experiment.toml", changed()), tmp_path / "out"
    (point,) = expand(changed()).points
    assert run(experiment, out) in (0, 3)
    (out / "points" / point.identity / "summary.json").unlink()
    record = out / "points" / point.identity / "calibration.json"
    record.write_text('{"instances": [0]}', encoding="utf-8")
    assert run(experiment, out) == 2
    said = capsys.readouterr().err
    assert f"{record}: not a calibration record" in said and f"remove {record.parent} to sample anew" in said
    record.unlink()
    assert run(experiment, out) == 2
    assert f"{record} is missing beside draws" in capsys.readouterr().err
    record.mkdir()
    assert run(experiment, out) == 2
    assert f"{record} cannot be read (Is a directory); remove the cause" in capsys.readouterr().err
    record.rmdir()
    record.write_text('{"instances": [0]}', encoding="utf-8")
    (out / "points" / point.identity / "segments/000000.h5").unlink()
    assert run(experiment, out) == 2
    message = capsys.readouterr().err
    assert str(record) in message and "remove the file" in message


def test_what_a_killed_start_leaves_is_no_obstacle(tmp_path: Path) -> None:
    experiment, out = write(tmp_path / "experiment.toml", changed()), tmp_path / "out"
    out.mkdir()
    (out / ".123.tmp.run.json").write_text("{", encoding="utf-8")
    assert run(experiment, out) in (0, 3)


def test_a_figure_of_unknown_format_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment, out = write(tmp_path / "experiment.toml", changed(data__instances=1)), tmp_path / "out"
    assert run(experiment, out) == 3
    assert "use at least two instances" in capsys.readouterr().out
    assert main(["overlay", str(out), "--out", str(tmp_path / "figure.xyz")]) == 2
    assert "figure format" in capsys.readouterr().err
    assert main(["overlay", str(out), str(out), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["points"]
    assert row["z"] is None


@pytest.mark.parametrize(
    ("text", "word"),
    [("{", "cannot be read"), ("[1]", "is missing"), ('{"schema": 1}', "is missing")],
)
def test_overlay_of_a_damaged_summary(text: str, word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summary = tmp_path / "points" / "0123456789ab" / "summary.json"
    summary.parent.mkdir(parents=True)
    summary.write_text(text, encoding="utf-8")
    assert main(["overlay", str(tmp_path)]) == 2
    message = capsys.readouterr().err
    assert str(summary) in message and word in message


def test_out_is_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment = write(tmp_path / "experiment.toml", changed())
    assert run(experiment, experiment) == 2
    assert "is a file; give a directory" in capsys.readouterr().err


def test_no_gpu_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    experiment = write(tmp_path / "experiment.toml", changed())
    assert run(experiment, tmp_path / "out", "--device", "cuda") == 2
    assert "sees no GPU" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("options", [[], ["--observable", "bayes_eror"]])
def test_overlay_of_nothing(options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["overlay", str(tmp_path), *options]) == 2
    assert "holds no finished point" in capsys.readouterr().err


def test_unknown_option_and_command(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["theory", "--depht", "2"], ["runn"]):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 2
