"""A grid on Slurm: the same bits as in one process, whatever becomes of jobs. What is checked here is our side, and
submitit's: the Slurm is a stand-in that runs arrays, requeues and answers as Slurm does."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, nullcontext
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fake_slurm
import pytest
from grids import FEW, digests, run, same_as_far_as, written
from processes import ENVIRONMENT

from nishimori.chains.stop import StopRequest
from nishimori.cli import main
from nishimori.description.experiment import load_experiment
from nishimori.executors import slurm_array
from nishimori.executors.directory import claim
from nishimori.executors.local import WorkerLost
from nishimori.executors.points import run_points
from nishimori.executors.slurm_array import SlurmArray
from nishimori.executors.slurm_command import Command
from nishimori.executors.tasks import Outcome, Task, publish_config

pytestmark = pytest.mark.skipif(
    find_spec("submitit") is None, reason="submitit is not installed; pip install 'nishimori[slurm]'"
)
OPTIONS = ("--executor", "slurm", "--slurm", "time=60", "cpus_per_task=1")


class Silent:
    """A view of nothing."""

    def started(self, point: Any, task: Task) -> None: ...

    def ended(self, point: Any, task: Task, outcome: Outcome) -> None: ...

    def finished(self, point: Any) -> None: ...


@pytest.fixture
def slurm(tmp_path: Path) -> dict[str, str]:
    return {**ENVIRONMENT, **fake_slurm.install(tmp_path)}


def started(home: Path, slurm: dict[str, str], command: str = "run", **settings: Any) -> "subprocess.Popen[str]":
    words = ["resume", str(home / "out")]
    if command == "run":
        words = ["run", str(written(home, sweep=FEW, **settings)), "--out", str(home / "out")]
    return subprocess.Popen(
        [sys.executable, "-m", "nishimori.cli", *words, *OPTIONS],
        env=slurm,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(happened: Callable[[], Any], process: "subprocess.Popen[str]") -> Any:
    end = time.monotonic() + 120
    while not (found := happened()):
        assert process.poll() is None and time.monotonic() < end, process.communicate()
        time.sleep(0.02)
    return found


def at_work(home: Path) -> "Callable[[], str]":
    """An element whose point has committed something and is not done; its log names the point."""

    def found() -> str:
        for log in home.glob("out.jobs/*_log.err"):
            element, said = log.name.removesuffix("_0_log.err"), log.read_text()
            place = home / "out" / "points" / said.partition(" ")[0]
            if said and (place / "segments" / "000002.h5").exists() and not (place / "summary.json").exists():
                return element
        return ""

    return found


def ended(process: "subprocess.Popen[str]") -> str:
    _, said = process.communicate(timeout=180)
    assert process.returncode in (0, 3), said
    return said


def test_jobs_of_submitit_do_the_same(one_by_one: dict[str, str], tmp_path: Path) -> None:
    """Its executor for one machine, without any Slurm."""
    import submitit

    experiment, out = load_experiment(written(tmp_path), []), tmp_path / "out"
    claim(out, experiment, dict)
    executor = submitit.LocalExecutor(folder=tmp_path / "jobs")
    executor.update_parameters(timeout_min=10)
    with closing(SlurmArray(executor, "grid", out, print, slots=2)) as engine:
        done = run_points(engine, experiment, out, Silent(), StopRequest())
    assert not done.aside and digests(tmp_path) == one_by_one


def test_an_array_does_the_same(slurm: dict[str, str], one_by_one: dict[str, str], tmp_path: Path) -> None:
    done = run(tmp_path, *OPTIONS, environment=slurm)
    assert done.returncode in (0, 3), done.stderr
    assert digests(tmp_path) == one_by_one
    (asked,) = (json.loads(path.read_text()) for path in (tmp_path / "slurm").glob("*.json"))
    assert asked["array"].startswith("0-11%") and "requeue" in asked and asked["open-mode"] == "append"
    assert asked["signal"] == "USR2@120" and asked["time"] == "60" and asked["job-name"].startswith("nishimori-")
    assert asked["output"].startswith(str(tmp_path / "out.jobs"))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("lock", "overlay.png", "points", "run.json", "summary.json", "verdict.json")
    }


def test_blocks_are_elements_of_their_own(slurm: dict[str, str], one_by_one: dict[str, str], tmp_path: Path) -> None:
    done = run(tmp_path, *OPTIONS, environment=slurm, run__blocks=2, sweep={"data.sample_ratio": [0.5, 1.0]})
    assert done.returncode in (0, 3), done.stderr
    assert len(digests(tmp_path)) == 2 and digests(tmp_path).items() <= one_by_one.items()
    assert len(list((tmp_path / "slurm").glob("*_*.state"))) == 2 * (1 + 2 + 1)


@pytest.mark.parametrize("name", ["SIGUSR2", "SIGTERM"])
def test_a_preempted_job_goes_on(name: str, slurm: dict[str, str], one_by_one: dict[str, str], tmp_path: Path) -> None:
    """SIGUSR2 commits and requeues the job; SIGTERM commits and ends it, and the task is submitted again."""
    process = started(tmp_path, slurm, run__segment_seconds=0.01)
    element = wait_for(at_work(tmp_path), process)
    fake_slurm.preempt(tmp_path / "slurm", element, getattr(signal, name))
    assert "lost" not in ended(process)
    assert same_as_far_as(tmp_path, one_by_one)
    log = (tmp_path / "out.jobs" / f"{element}_0_log.out").read_text()
    again = len(list((tmp_path / "slurm").glob("*.sh"))) > 1
    assert again == (name == "SIGTERM")
    assert ("Requeued job" in log) == (name == "SIGUSR2")


def test_a_node_that_fails_loses_nothing(slurm: dict[str, str], one_by_one: dict[str, str], tmp_path: Path) -> None:
    process = started(tmp_path, slurm, run__segment_seconds=0.01)
    element = wait_for(at_work(tmp_path), process)
    fake_slurm.fail_node(tmp_path / "slurm", element)
    said = ended(process)
    assert f"its worker was lost (job {element}: NODE_FAIL" in said and "out.jobs" in said
    assert same_as_far_as(tmp_path, one_by_one)


def test_bad_parameters_at_one_value_are_set_aside(slurm: dict[str, str], tmp_path: Path) -> None:
    settings: dict[str, Any] = {"sweep": {"sampler.step_size": [0.2, 5.0]}, "sampler": {"kind": "pcn", "chains": 1}}
    done = run(tmp_path, *OPTIONS, environment=slurm, **settings)
    assert done.returncode == 4, done.stderr
    assert "step_size must lie in (0, 1]" in done.stderr and len(digests(tmp_path)) == 1


def test_jobs_outlive_their_driver(slurm: dict[str, str], one_by_one: dict[str, str], tmp_path: Path) -> None:
    process = started(tmp_path, slurm)
    wait_for(lambda: list(tmp_path.glob("out/points/*/calibration.json")), process)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 75 and "4 jobs go on" in said and "scancel --name nishimori-" in said
    said = ended(started(tmp_path, slurm, "resume"))
    assert "of this run are in Slurm's queue already; waiting for them" in said
    assert same_as_far_as(tmp_path, one_by_one)
    assert len(list((tmp_path / "slurm").glob("*.sh"))) == 1, "nothing was left to submit"


def test_without_slurm_or_submitit_a_sentence_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["run", str(written(tmp_path)), "--out", str(tmp_path / "out"), "--executor", "slurm"]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(command) == 2
    assert "sbatch and srun are not found; run this where jobs are submitted" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "submitit", None)
    for options in ([], ["--dry-run"]):
        assert main([*command, *options]) == 2
        assert "pip install 'nishimori[slurm]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_script_can_be_read_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where there is no Slurm, too; and nothing is written."""
    monkeypatch.setenv("PATH", str(tmp_path))
    before = [written(tmp_path)]
    command = ["run", str(before[0]), "--out", str(tmp_path / "out"), "--executor", "slurm", "--dry-run"]
    options = ["--workers", "3", "--slurm", "partition=gpu", "time=1-02:30:00", "mem=32GB", "reservation=ours"]
    assert main([*command, *options, "--device", "cuda"]) == 0
    said = capsys.readouterr().out.splitlines()
    for flag in ("array=0-11%3", "partition=gpu", "time=1590", "mem=32GB", "reservation=ours", "gpus-per-node=1"):
        assert f"#SBATCH --{flag}" in said
    assert "unset TRITON_CACHE_DIR" in said, "then nishimori_kernels.cache chooses a folder of the node"
    assert "export NUMBA_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1}" in said
    assert list(tmp_path.iterdir()) == before


@pytest.mark.parametrize("option", ["time=soon", "time=0", "cpus_per_task=many", "gpus_per_node=1.5"])
def test_what_is_no_number_is_refused(option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["run", str(written(tmp_path)), "--out", str(tmp_path / "out"), "--executor", "slurm", "--dry-run"]
    assert main([*command, "--slurm", option]) == 2
    assert f"--slurm {option}: " in capsys.readouterr().err


def test_what_sbatch_refuses_is_told(slurm: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "bin" / "sbatch").write_text("#!/bin/sh\necho 'sbatch: error: invalid partition: gpu' >&2\nexit 1\n")
    done = run(tmp_path, *OPTIONS, environment=slurm)
    assert done.returncode == 2 and "invalid partition: gpu" in done.stderr


def test_more_jobs_than_slurm_takes_are_submitted_by_halves(
    slurm: dict[str, str], one_by_one: dict[str, str], tmp_path: Path
) -> None:
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.rename(sbatch.with_name("real"))
    refusal = "echo 'sbatch: error: AssocMaxSubmitJobLimit' >&2; exit 1"
    sbatch.write_text(f'#!/bin/sh\nif grep -q "array=0-[2-9]" "$1"; then {refusal}; fi\nexec real "$@"\n')
    sbatch.chmod(0o755)
    said = ended(started(tmp_path, slurm))
    assert "AssocMaxSubmitJobLimit; trying again with 2 at a time" in said
    assert same_as_far_as(tmp_path, one_by_one)
    assert len(list((tmp_path / "slurm").glob("*.sh"))) == 2


@pytest.mark.parametrize(("there", "lost"), [(set(), True), ({"7_0"}, False), (None, False)])
def test_a_job_that_left_the_queue_without_a_word_is_lost(
    there: set[str] | None, lost: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As accounting may call it preempted for ever; not where the queue cannot be asked."""
    monkeypatch.setattr(slurm_array, "BETWEEN_LOOKS", 0.01)
    monkeypatch.setattr(slurm_array, "BETWEEN_STATES", 0.05)
    monkeypatch.setattr(slurm_array, "PAUSE", 0.0)
    monkeypatch.setattr(slurm_array, "queued", lambda name: there)
    job = SimpleNamespace(job_id="7_0", done=lambda: False, paths=SimpleNamespace(stderr="the log"))
    executor = SimpleNamespace(batch=nullcontext, submit=lambda command: job)
    monkeypatch.setattr(SlurmArray, "_wait_for_others", lambda self: None)
    with closing(SlurmArray(executor, "grid", tmp_path, print)) as engine:
        outcome = engine.submit(Task(str(tmp_path), "0" * 12, 1))
        if lost:
            with pytest.raises(WorkerLost, match="job 7_0: not in Slurm's queue any more; its log is the log"):
                outcome.result(timeout=20)
        else:
            time.sleep(1.0)
            assert not outcome.done()


@pytest.mark.parametrize(("longest", "arrays"), [(60.0, 1), (0.0, 2)])
def test_tasks_that_come_slowly_are_one_array(
    longest: float, arrays: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless the first has waited for long."""
    monkeypatch.setattr(slurm_array, "BETWEEN_LOOKS", 0.01)
    monkeypatch.setattr(slurm_array, "PAUSE", 60.0)
    monkeypatch.setattr(slurm_array, "LONGEST", longest)
    monkeypatch.setattr(slurm_array, "queued", lambda name: None)
    batches: list[list[Any]] = []

    def sent(command: Command) -> SimpleNamespace:
        batches[-1].append(command)
        return SimpleNamespace(job_id="7_0", done=lambda: False)

    executor = SimpleNamespace(batch=lambda: nullcontext(batches.append([])), submit=sent)
    with closing(SlurmArray(executor, "grid", tmp_path, print)) as engine:
        for number in range(2):
            engine.submit(Task(str(tmp_path), f"{number:012}", 1))
            time.sleep(0.3)
        monkeypatch.setattr(slurm_array, "PAUSE", 0.0)
        end = time.monotonic() + 20
        while len(sum(batches, [])) < 2 and time.monotonic() < end:
            time.sleep(0.01)
    assert [len(batch) for batch in batches] == [2 // arrays] * arrays


def test_nobody_waits_for_a_thread_that_broke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> int:
        raise KeyError("no user")

    monkeypatch.setattr(slurm_array, "queued", broken)
    with closing(SlurmArray(None, "grid", tmp_path, print)) as engine:
        early = engine.submit(Task(str(tmp_path), "0" * 12, 1))
        engine._thread.join()
        for outcome in (early, engine.submit(Task(str(tmp_path), "1" * 12, 1))):
            with pytest.raises(WorkerLost, match="KeyError: 'no user'"):
                outcome.result(timeout=10)


def test_a_job_is_stored_as_words_alone(tmp_path: Path) -> None:
    import cloudpickle

    command = Command(Task(str(tmp_path), "0" * 12, 1).words())
    again = cloudpickle.loads(cloudpickle.dumps(command))
    assert again.words == command.words and vars(again) == {"words": command.words, "_child": None}


def test_an_attempt_says_what_came_of_it(tmp_path: Path) -> None:
    """The last line of a process of its own."""
    (point,) = load_experiment(written(tmp_path, sweep={}), []).points
    task = Task(str(tmp_path), point.identity, 1)
    missing = Command(task.words())()
    assert json.loads(missing)["state"] == "refused"
    publish_config(task, point.config)
    assert json.loads(Command(task.words())()) == {"state": "done", "message": "", "details": ""}
    assert (task.home / "summary.json").exists()
