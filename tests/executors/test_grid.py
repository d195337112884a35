"""Every task is done, in its order; what fails is tried again and set aside, and nothing else waits for it."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from experiments import changed

from nishimori.chains.files import DirectoryBusy, StorageFailed, publish_json
from nishimori.chains.stop import Stopped, StopRequest
from nishimori.description.experiment import Experiment, expand
from nishimori.executors.failures import failure_of
from nishimori.executors.grid import ATTEMPTS, LOSSES, Grid
from nishimori.executors.tasks import Outcome, State, Task, config_of, most_at_a_time

DONE = Outcome("done")


@dataclass
class Engine:
    """Ends attempts as `outcome` says, the latest that was submitted first, one at a look."""

    outcome: Callable[[Task, int], Outcome]
    slots: int = 2
    tried: Counter[Task] = field(default_factory=Counter)
    order: list[Task] = field(default_factory=list)
    most: int = 0
    stopped: bool = False
    _open: dict[Task, "Future[Outcome]"] = field(default_factory=dict)

    def submit(self, task: Task) -> "Future[Outcome]":
        assert task not in self._open, "twice at a time"
        future: Future[Outcome] = Future()
        self._open[task] = future
        self.most = max(self.most, len(self._open))
        if len(self._open) == self.slots or self.slots == 1:
            self.end_one()
        return future

    def end_one(self) -> None:
        task, future = self._open.popitem()
        self.tried[task] += 1
        self.order.append(task)
        outcome = self.outcome(task, self.tried[task])
        if outcome.state == "lost":
            future.set_exception(RuntimeError("killed"))
        else:
            future.set_result(outcome)

    def stop(self) -> None:
        self.stopped = True
        while self._open:
            self.end_one()

    def close(self) -> None:
        pass


class View:
    """Ends what is open where the grid waits, as time does."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.finished_points = engine, list[str]()

    def started(self, point: Any, task: Task) -> None:
        pass

    def ended(self, point: Any, task: Task, outcome: Outcome) -> None:
        pass

    def finished(self, point: Any) -> None:
        self.finished_points.append(point.identity)


def experiment_of(count: int, **settings: Any) -> Experiment:
    return expand(changed(**settings, sweep={"data.seed": list(range(count))}))


def run(
    engine: Engine, experiment: Experiment, home: Path, stop: StopRequest | None = None
) -> tuple[Grid, list[str], View]:
    view = View(engine)
    grid = Grid(engine, experiment, home, view, stop or StopRequest())
    return grid, [point.identity for point in grid.run()], view


def test_every_point_is_done_once(tmp_path: Path) -> None:
    experiment = experiment_of(6)
    engine = Engine(lambda task, tried: DONE, slots=1)
    _, aside, view = run(engine, experiment, tmp_path)
    assert aside == [] and sorted(view.finished_points) == sorted(point.identity for point in experiment.points)
    assert set(engine.tried.values()) == {1}
    assert [config_of(task) for task in engine.order] == [point.config for point in experiment.points]


def test_blocks_come_after_their_calibration_and_before_their_point(tmp_path: Path) -> None:
    experiment = experiment_of(3, run__blocks=4)
    engine = Engine(lambda task, tried: DONE, slots=1)
    run(engine, experiment, tmp_path)
    for point in experiment.points:
        parts = [(task.part, task.block) for task in engine.order if task.point == point.identity]
        assert parts[0][0] == "calibration" and parts[-1][0] == "point"
        assert sorted(parts[1:-1]) == [("block", number) for number in range(4)]


def test_as_many_processes_are_of_use_as_there_are_tasks_at_once() -> None:
    assert most_at_a_time(experiment_of(3)) == 3
    assert most_at_a_time(experiment_of(3, run__blocks=4)) == 12
    assert most_at_a_time(experiment_of(1, run__blocks=4, run__error_target={"bayes_error": 0.1})) == 1


def test_batches_are_not_divided(tmp_path: Path) -> None:
    experiment = experiment_of(1, run__blocks=4, run__error_target={"bayes_error": 0.1})
    engine = Engine(lambda task, tried: DONE, slots=1)
    run(engine, experiment, tmp_path)
    assert [task.part for task in engine.order] == ["point"]


@pytest.mark.parametrize(("state", "tries"), [("failed", ATTEMPTS), ("lost", LOSSES), ("refused", 1)])
def test_what_fails_is_set_aside_after_some_tries(state: State, tries: int, tmp_path: Path) -> None:
    experiment = experiment_of(4)
    poisoned = experiment.points[1].identity
    engine = Engine(lambda task, tried: Outcome(state, "poison", "where") if task.point == poisoned else DONE, slots=1)
    _, aside, view = run(engine, experiment, tmp_path)
    assert aside == [poisoned] and len(view.finished_points) == 3
    assert max(engine.tried.values()) == tries
    failure = failure_of(tmp_path / "points" / poisoned)
    assert failure and failure.attempts == tries and ("killed" if state == "lost" else "poison") in failure.message


def test_what_fails_once_is_done(tmp_path: Path) -> None:
    engine = Engine(lambda task, tried: Outcome("failed", "once") if tried == 1 else DONE, slots=1)
    _, aside, view = run(engine, experiment_of(3), tmp_path)
    assert aside == [] and len(view.finished_points) == 3 and set(engine.tried.values()) == {2}


def test_losses_do_not_count_where_it_gets_on(tmp_path: Path) -> None:
    def outcome(task: Task, tried: int) -> Outcome:
        if tried > 3 * LOSSES:
            return DONE
        publish_json(task.home / "segments" / f"{tried:06d}.h5", {})
        return Outcome("lost")

    _, aside, view = run(Engine(outcome, slots=1), experiment_of(1), tmp_path)
    assert aside == [] and len(view.finished_points) == 1


def test_a_point_that_is_set_aside_starts_no_other_task(tmp_path: Path) -> None:
    experiment = experiment_of(1, run__blocks=4)
    engine = Engine(lambda task, tried: Outcome("refused", "no") if task.block == 1 else DONE, slots=1)
    run(engine, experiment, tmp_path)
    assert "point" not in {task.part for task in engine.order}
    assert not any(task.block > 1 for task in engine.order)


def test_a_point_that_was_set_aside_is_tried_again(tmp_path: Path) -> None:
    experiment = experiment_of(2)
    run(Engine(lambda task, tried: Outcome("refused", "no"), slots=1), experiment, tmp_path)
    homes = [tmp_path / "points" / point.identity for point in experiment.points]
    assert all(map(failure_of, homes))
    run(Engine(lambda task, tried: DONE, slots=1), experiment, tmp_path)
    assert not any(map(failure_of, homes))


def test_a_worker_that_is_asked_to_end_is_no_failure(tmp_path: Path) -> None:
    engine = Engine(lambda task, tried: Outcome("stopped", "SIGTERM came") if tried < 9 else DONE, slots=1)
    _, aside, view = run(engine, experiment_of(2), tmp_path)
    assert aside == [] and len(view.finished_points) == 2


def test_a_stop_ends_what_runs_and_starts_nothing(tmp_path: Path) -> None:
    stop = StopRequest()

    def outcome(task: Task, tried: int) -> Outcome:
        stop._signal = "SIGINT came"
        return Outcome("stopped", "SIGINT came")

    engine = Engine(outcome)
    with pytest.raises(Stopped, match="SIGINT"):
        run(engine, experiment_of(9), tmp_path, stop)
    assert engine.stopped and len(engine.order) == 2


def test_a_stop_at_the_very_end_stops_nothing(tmp_path: Path) -> None:
    stop = StopRequest()

    def outcome(task: Task, tried: int) -> Outcome:
        stop._signal = "SIGINT came"
        return DONE

    _, aside, view = run(Engine(outcome, slots=1), experiment_of(1), tmp_path, stop)
    assert aside == [] and len(view.finished_points) == 1


@pytest.mark.parametrize(("state", "error"), [("busy", DirectoryBusy), ("unstored", StorageFailed)])
def test_where_files_are_not_ours_the_grid_ends(state: State, error: type[Exception], tmp_path: Path) -> None:
    engine = Engine(lambda task, tried: Outcome(state, "a sentence"))
    with pytest.raises(error, match="a sentence"):
        run(engine, experiment_of(9), tmp_path)
    assert engine.stopped and len(engine.order) == 2


def test_finished_points_are_left_alone(tmp_path: Path) -> None:
    experiment = experiment_of(3)
    publish_json(tmp_path / "points" / experiment.points[0].identity / "summary.json", {})
    engine = Engine(lambda task, tried: DONE, slots=1)
    run(engine, experiment, tmp_path)
    assert len(engine.order) == 2
