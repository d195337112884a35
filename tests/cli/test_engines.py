"""What a command line says of the engine is understood, or refused with a sentence before anything is written."""

from pathlib import Path

import pytest
from experiments import changed, write

from nishimori.chains.files import publish_json
from nishimori.chains.stop import StopRequest
from nishimori.cli import main
from nishimori.cli.engines import Where, engine_of
from nishimori.description.experiment import load_experiment
from nishimori.executors.local import Here, Pool


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--workers", "0"], "--workers 0 is less than one; give 1 or more"),
        (["--executor", "ray", "--ray-cores", "-1"], "--ray-cores -1 is less than one; give 1 or more"),
        (["--ray-address", "auto"], "--ray-address says nothing to --executor local; leave it out, or use"),
        (["--executor", "ray", "--workers", "2"], "--workers says nothing to --executor ray; leave it out, or use"),
        (["--slurm", "time=5"], "--slurm says nothing to --executor local; leave it out, or use --executor slurm"),
        (["--executor", "slurm", "--slurm", "time"], "--slurm time: not KEY=VALUE; write, for example, --slurm part"),
        (["--executor", "slurm", "--slurm", "=5"], "--slurm =5: not KEY=VALUE"),
    ],
)
def test_what_makes_no_sense_is_refused(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = write(tmp_path / "e.toml", changed())
    for command in (["run", str(experiment), "--out", str(tmp_path / "out")], ["resume", str(tmp_path / "out")]):
        if command[0] == "resume":
            publish_run(experiment, tmp_path / "out")
        assert main([*command, *options]) == 2
        assert said in capsys.readouterr().err
    assert not (tmp_path / "out" / "points").exists()


def publish_run(experiment: Path, out: Path) -> None:
    from nishimori.executors.directory import claim

    assert not out.exists()
    claim(out, load_experiment(experiment, []), dict)


def test_one_process_is_this_one_and_several_are_others(tmp_path: Path) -> None:
    experiment = load_experiment(write(tmp_path / "e.toml", changed(run__device="cpu")), [])
    engines = [engine_of(Where(workers=workers), experiment, tmp_path, StopRequest())[0] for workers in (None, 1, 3)]
    assert [type(engine) for engine in engines] == [Here, Here, Pool] and engines[2].slots == 3


def test_a_finished_run_needs_no_engine(tmp_path: Path) -> None:
    """What --executor asks for need not be there."""
    experiment = load_experiment(write(tmp_path / "e.toml", changed(run__device="cpu")), [])
    publish_json(tmp_path / "points" / experiment.points[0].identity / "summary.json", {})
    engine, _ = engine_of(Where("ray", ray_address="127.0.0.1:1"), experiment, tmp_path, StopRequest())
    assert isinstance(engine, Here)
