"""A grid on Ray: the same bits as in one process, whatever becomes of workers and nodes."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from grids import FEW, digests, killer, resume, run, same_as_far_as, written
from processes import ENVIRONMENT

from nishimori.cli import main
from nishimori.description.errors import BadInput
from nishimori.executors import ray_cluster, ray_connection
from nishimori.executors.local import WorkerLost
from nishimori.executors.ray_cluster import RayCluster, attempt_at
from nishimori.executors.ray_connection import LOOPBACK, QUIET
from nishimori.executors.tasks import Outcome, Task

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed; pip install 'nishimori[ray]'")

NODES = Path(__file__).parents[1] / "ray_nodes.py"
ON_LOOPBACK = {**ENVIRONMENT, **LOOPBACK, **QUIET}


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("auto", "Could not find any running Ray instance"),
        ("127.0.0.1:1", "no Ray answers there"),
        ("here", "not HOST:PORT; give auto"),
        ("127.0.0.1:99999", "no Ray answers there"),
        ("ray://127.0.0.1:10001", "not HOST:PORT; give auto"),
    ],
)
def test_an_address_without_a_cluster_is_refused(address: str, said: str, tmp_path: Path) -> None:
    """And nothing is written. Before a cluster of these tests is there, which "auto" would find."""
    began = time.monotonic()
    options = ("--executor", "ray", "--ray-address", address)
    done = run(tmp_path, *options, environment=ON_LOOPBACK)
    assert done.returncode == 2 and f"--ray-address {address}: {said}" in done.stderr, done.stderr
    assert time.monotonic() - began < 60 and not (tmp_path / "out").exists()


def test_what_listens_but_is_not_ray_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray itself would try for minutes."""
    monkeypatch.setattr(ray_connection, "SECONDS_TO_JOIN", 4.0)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(BadInput, match="no Ray answers there within 4 seconds"):
            ray_connection._join(FakeRay(), address)
    assert time.monotonic() - began < 30


def test_without_ray_a_sentence_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["run", str(written(tmp_path)), "--out", str(tmp_path / "out"), "--executor", "ray"]) == 2
    assert "pip install 'nishimori[ray]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


class Nodes:
    """A cluster in a process of its own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(NODES)],
            env=ON_LOOPBACK,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdin and self._process.stdout
        self._asked, self._said = self._process.stdin, self._process.stdout

    @cached_property
    def address(self) -> str:
        """It comes up meanwhile."""
        return self._said.readline().strip()

    def replace_one(self) -> None:
        print(file=self._asked, flush=True)
        assert self._said.readline().strip() == "replaced"

    def end(self) -> None:
        self._asked.close()
        self._process.wait(60)
        self._said.close()


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    made = Nodes()
    try:
        yield made
    finally:
        made.end()


def on_ray(home: Path, nodes: Nodes, **settings: Any) -> subprocess.CompletedProcess[str]:
    assert nodes.address.startswith("127.0.0.1:")
    options = ("--executor", "ray", "--ray-address", nodes.address)
    return run(home, *options, environment=ON_LOOPBACK, **settings)


def started(home: Path, nodes: Nodes, **settings: Any) -> "subprocess.Popen[str]":
    experiment = str(written(home, **settings))
    options = ["--out", str(home / "out"), "--executor", "ray", "--ray-address", nodes.address]
    return subprocess.Popen(
        [sys.executable, "-m", "nishimori.cli", "run", experiment, *options],
        env=ON_LOOPBACK,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(home: Path, pattern: str, process: "subprocess.Popen[str]") -> None:
    while not list(home.glob(pattern)):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


@pytest.mark.parametrize("settings", [{}, {"run__blocks": 2, "sweep": FEW}], ids=["points", "blocks"])
def test_nodes_do_the_same(settings: dict[str, Any], nodes: Nodes, one_by_one: dict[str, str], tmp_path: Path) -> None:
    done = on_ray(tmp_path, nodes, **settings)
    assert done.returncode in (0, 3), done.stderr
    assert digests(tmp_path) == one_by_one if not settings else same_as_far_as(tmp_path, one_by_one)
    assert "points done, 0 running" in done.stderr


def test_killed_workers_lose_nothing(nodes: Nodes, one_by_one: dict[str, str], tmp_path: Path) -> None:
    with killer(tmp_path, most=2) as killed:
        done = on_ray(tmp_path, nodes, run__segment_seconds=0.01, sweep=FEW)
    assert done.returncode in (0, 3), done.stderr
    assert same_as_far_as(tmp_path, one_by_one)
    assert len(killed) == 2 and done.stderr.count("its worker was lost") == 2


def test_a_node_that_is_removed_loses_nothing(nodes: Nodes, one_by_one: dict[str, str], tmp_path: Path) -> None:
    """Removed while both are at work: where one is only about to be, Ray itself chooses another."""
    process = started(tmp_path, nodes, run__segment_seconds=0.01)
    while points_at_work(tmp_path) < 2:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    nodes.replace_one()
    _, said = process.communicate(timeout=240)
    assert process.returncode in (0, 3), said
    assert digests(tmp_path) == one_by_one and "its worker was lost" in said


def points_at_work(home: Path) -> int:
    """That have committed something and are not done."""
    places = [path for path in home.glob("out/points/*") if not (path / "summary.json").exists()]
    return sum(bool(list(place.glob("segments/*.h5"))) for place in places)


def test_bad_parameters_at_one_value_are_set_aside(nodes: Nodes, tmp_path: Path) -> None:
    done = on_ray(tmp_path, nodes, sweep={"sampler.step_size": [0.2, 5.0]}, sampler={"kind": "pcn", "chains": 1})
    assert done.returncode == 4, done.stderr
    assert "step_size must lie in (0, 1]" in done.stderr and len(digests(tmp_path)) == 1


def test_on_request_all_commit_and_can_go_on(nodes: Nodes, one_by_one: dict[str, str], tmp_path: Path) -> None:
    process = started(tmp_path, nodes, run__segment_seconds=1e6, sweep=FEW)
    wait_for(tmp_path, "out/points/*/calibration.json", process)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 75 and "SIGTERM came" in said, said
    assert list(tmp_path.glob("out/points/*/segments/*.h5")) and len(digests(tmp_path)) < len(FEW["data.sample_ratio"])
    assert resume(tmp_path).returncode in (0, 3)
    assert same_as_far_as(tmp_path, one_by_one)


def test_ray_of_this_machine_listens_to_it_alone(tmp_path: Path) -> None:
    """Whatever listens while the run goes on and did not before."""
    before = listening()
    experiment = written(tmp_path, sweep={"data.seed": [1, 2]}, run__draws=500)
    command = ["run", str(experiment), "--out", str(tmp_path / "out"), "--executor", "ray", "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "nishimori.cli", *command],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(tmp_path, "out/points/*/calibration.json", process)
    found = listening() - before
    said, _ = process.communicate(timeout=120)
    assert process.returncode in (0, 3) and len(json.loads(said)["points"]) == 2
    assert found and all(address in LOOPBACK_ADDRESSES for address, _ in found)


LOOPBACK_ADDRESSES = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}


def listening() -> set[tuple[str, str]]:
    """Hexadecimal addresses and ports of all sockets of this machine that listen."""
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()]
    return {cast(tuple[str, str], tuple(words[1].split(":"))) for words in lines if words[3] == "0A"}


class FakeRay:
    """A cluster of `nodes`, which notes what it is asked for and what would travel, and answers with `answer`."""

    def __init__(self, *nodes: dict[str, float], answer: str = "") -> None:
        import ray.exceptions

        self.exceptions, self.asked, self.sent = ray.exceptions, dict[str, Any](), list[Any]()
        self._nodes, self._answer = nodes or ({"CPU": 64.0, "GPU": 8.0},), answer

    def init(self, **asked: Any) -> None:
        self.asked = asked

    def shutdown(self) -> None:
        self.asked = {}

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": node} for node in self._nodes]

    def cluster_resources(self) -> dict[str, float]:
        return {name: sum(node.get(name, 0.0) for node in self._nodes) for name in ("CPU", "GPU")}

    def remote(self, **asked: Any) -> Any:
        self.asked = asked
        return lambda function: SimpleNamespace(remote=self._sent)

    def _sent(self, *arguments: Any) -> Any:
        self.sent.append(arguments)
        ended: Future[str] = Future()
        ended.set_result(self._answer)
        return _Reference(ended)


class _Reference:
    def __init__(self, ended: "Future[str]") -> None:
        self._ended = ended

    def future(self) -> "Future[str]":
        return self._ended


def test_ray_is_started_here_whatever_runs_already() -> None:
    """Left to itself Ray joins a cluster of this machine, or that of RAY_ADDRESS, and takes all cores there are."""
    ray = FakeRay()
    ray_connection._start(ray)
    assert ray.asked["address"] == "local" and ray.asked["num_cpus"] == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("cores", "device", "gpus", "lacking"),
    [
        (4, "cpu", 0, ""),
        (4, "auto", 1, ""),
        (8, "auto", 1, "--ray-cores 8 and a GPU"),  # there are eight cores, but on the node that has no GPU
        (9, "cpu", 0, "--ray-cores 9"),
    ],
)
def test_a_task_that_no_node_can_hold_is_told_of(
    cores: int, device: Any, gpus: int, lacking: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster may get such a node; this machine alone never will."""
    ray, told = FakeRay({"CPU": 8.0}, {"CPU": 4.0, "GPU": 1.0}), list[str]()
    monkeypatch.setattr(ray_cluster, "connected", lambda address: ray)
    assert RayCluster.connect("auto", cores, device, told.append).gpus == gpus
    assert [lacking in sentence and "tasks wait" in sentence for sentence in told] == [True] * bool(lacking)
    if lacking:
        with pytest.raises(BadInput, match=f"{lacking}, which are not on this machine"):
            RayCluster.connect(None, cores, device)
        assert not ray.asked  # it was left


def test_words_travel_there_and_json_back(tmp_path: Path) -> None:
    task = Task(str(tmp_path), "0" * 12, 1)
    answer = attempt_at(task.words())
    ray = FakeRay(answer=answer)
    outcome = RayCluster(ray, 1, 0).submit(task).result(1)
    ((words,),) = ray.sent
    assert json.loads(json.dumps(words)) == words == task.words() and Task.of_words(words) == task
    assert isinstance(answer, str) and Outcome(**json.loads(answer)) == outcome
    assert outcome.state == "refused" and "config.json cannot be read" in outcome.message


def test_the_function_travels_by_its_name() -> None:
    """Nodes run their own nishimori."""
    import ray.cloudpickle

    pickled = ray.cloudpickle.dumps(attempt_at)  # pyright: ignore[reportPrivateImportUsage]
    assert b"nishimori.executors.ray_cluster" in pickled and len(pickled) < 200


@pytest.mark.parametrize(("cores", "gpus", "slots"), [(1, 0, 128), (8, 1, 16), (16, 1, 8), (64, 0, 4)])
def test_twice_as_many_tasks_as_nodes_hold_are_submitted(cores: int, gpus: int, slots: int) -> None:
    ray = FakeRay()
    engine = RayCluster(ray, cores, gpus)
    assert engine.slots == slots
    assert ray.asked["num_cpus"] == cores and ray.asked["num_gpus"] == gpus and ray.asked["max_retries"] == 0
    assert set(ray.asked["runtime_env"]["env_vars"].values()) == {str(cores)}


def test_what_became_of_a_task_is_told() -> None:
    ray = FakeRay()
    engine = RayCluster(ray, 1, 0)

    def ended(result: Any) -> "Future[str]":
        future: Future[str] = Future()
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)
        return future

    assert engine._outcome(ended('{"state": "done", "message": "", "details": ""}')) == Outcome("done")
    assert engine._outcome(ended(ray.exceptions.TaskCancelledError())).state == "stopped"
    broken = ray.exceptions.RayTaskError(
        "attempt_at", "ModuleNotFoundError: No module named 'nishimori'", ImportError()
    )
    assert engine._outcome(ended(broken)).message.endswith("install nishimori there")
    with pytest.raises(WorkerLost, match="^The worker died unexpectedly while executing this task$"):
        engine._outcome(ended(ray.exceptions.WorkerCrashedError()))


def test_signals_stay_ours() -> None:
    def ours(*_: Any) -> None: ...

    before = signal.signal(signal.SIGTERM, ours)
    try:
        with ray_connection.handlers_kept():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        assert signal.getsignal(signal.SIGTERM) is ours
    finally:
        signal.signal(signal.SIGTERM, before)
