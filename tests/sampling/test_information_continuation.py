"""The information measured in pieces, stopped, killed or damaged between them, is that of one piece, to the bit."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from continued import StopAt, ticking

import nishimori as nm
from nishimori.adaptation import annealed_steps, trajectory_length
from nishimori.chains.checkpoint_files import LATEST, UNFINISHED, WORK, CheckpointFiles
from nishimori.chains.headway import Stage, read_stage
from nishimori.chains.progress import Progress, silent
from nishimori.chains.segments import publish_arrays, read_stored
from nishimori.chains.stop import Stopped, stopping
from nishimori.chains.storage import StorageFailed, operations
from nishimori.description.errors import BadInput
from nishimori.measurement.information_report import information_document

SETTINGS: dict[str, dict[str, int]] = {
    "ais": {"rungs": 9, "chains": 2},
    "collapsed": {"rungs": 7},
    "immse": {"nodes": 2, "warmup": 3, "draws": 6},
    "chain_rule": {"nodes": 3, "warmup": 3, "draws": 6},
}
Told = tuple[str, int]
"""A phase and the number of its steps that are done."""


class Killed(Exception):
    """Nothing is kept on its way."""


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pilots and calibrations of few transitions."""
    monkeypatch.setattr(annealed_steps, "RUNGS", 4)
    monkeypatch.setattr(trajectory_length, "LEAST_TRAJECTORIES", 8)


@pytest.fixture(scope="module")
def posterior() -> nm.Posterior:
    problem = nm.matched_teacher(nm.Network(4, (3,), "tanh"), nm.GaussianChannel(0.3), 6, 2, test_samples=3)
    return nm.Posterior(problem, "fp64", "cpu")


@pytest.fixture(scope="module")
def whole(posterior: nm.Posterior) -> Callable[[str], tuple[str, list[Told]]]:
    """What a method gives in one piece without files, and its steps."""
    known: dict[str, tuple[str, list[Told]]] = {}

    def find(method: str) -> tuple[str, list[Told]]:
        if method not in known:
            steps: list[Told] = []
            known[method] = measured(posterior, method, None, told_to(steps)), steps
        return known[method]

    return find


def told_to(steps: list[Told], then: Progress = silent) -> Progress:
    def told(phase: str, done: int, total: int, acceptance: float) -> None:
        steps.append((phase, done))
        then(phase, done, total, acceptance)

    return told


def measured(
    posterior: nm.Posterior, method: str, files: CheckpointFiles | None, progress: Progress = silent, **other: Any
) -> str:
    """To the last digit, NaN equal to NaN."""
    settings = {"seed": 1, "point": "p", "data_sets": 2, **SETTINGS[method], **other}
    found = nm.information(posterior, method, **settings, progress=progress, files=files)
    return json.dumps(information_document(found, {}))


def files_in(home: Path, told: list[str] | None = None, seconds: float = 3) -> CheckpointFiles:
    """One about every third step."""
    return CheckpointFiles(home, seconds, (told if told is not None else []).append, clock=ticking())


def killing(after: int) -> Progress:
    steps: list[Told] = []

    def told(phase: str, done: int, total: int, acceptance: float) -> None:
        steps.append((phase, done))
        if len(steps) > after:
            raise Killed

    return told


def kept(home: Path) -> list[Path]:
    return sorted(home.glob("*.h5"))


def is_kept(step: Told) -> bool:
    return not step[0].startswith("calibration")


def spoil(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("method", SETTINGS)
def test_files_change_nothing_and_the_latest_few_stay_until_they_are_removed(
    method: str, posterior: nm.Posterior, whole: Any, tmp_path: Path
) -> None:
    home = tmp_path / "information"
    expected, steps = whole(method)
    files = files_in(home)
    assert measured(posterior, method, files) == expected
    assert len(kept(home)) == LATEST and int(kept(home)[-1].stem) > LATEST
    stage = read_stage(home)
    assert stage is not None and (stage.phase, stage.done) in steps
    files.remove()
    assert not home.exists()


@pytest.mark.parametrize("method", SETTINGS)
def test_it_may_be_stopped_after_any_step(method: str, posterior: nm.Posterior, whole: Any, tmp_path: Path) -> None:
    """One that was stopped goes on with the very next step, or makes the calibration again that it was stopped in."""
    expected, steps = whole(method)
    ends = {place for place, step in enumerate(steps) if step[1] == max(d for p, d in steps if p == step[0])}
    for looks in sorted({*range(0, len(steps), len(steps) // 6), *ends}):
        home, gone_on = tmp_path / str(looks), []
        with pytest.raises(Stopped, match="enough"):
            measured(posterior, method, files_in(home, seconds=1e6), stopping(silent, StopAt(looks=looks)))
        assert measured(posterior, method, files_in(home), told_to(gone_on)) == expected
        place = looks + 1 if is_kept(steps[looks]) else steps.index((steps[looks][0], 1))
        assert gone_on == steps[place:]


def test_in_single_precision_and_without_control(posterior: nm.Posterior, tmp_path: Path) -> None:
    single, steps = nm.Posterior(posterior.problem, "fp32", "cpu"), []
    expected = measured(single, "immse", None, told_to(steps), control=False)
    stop = stopping(silent, StopAt(looks=len(steps) - 3))
    with pytest.raises(Stopped):
        measured(single, "immse", files_in(tmp_path), stop, control=False)
    assert measured(single, "immse", files_in(tmp_path), control=False) == expected


@pytest.mark.gpu
@pytest.mark.parametrize("method", SETTINGS)
def test_it_goes_on_to_the_bit_on_a_gpu(method: str, posterior: nm.Posterior, tmp_path: Path) -> None:
    device, steps = nm.Posterior(posterior.problem, "fp32", "cuda"), []
    expected = measured(device, method, None, told_to(steps))
    with pytest.raises(Stopped):
        measured(device, method, files_in(tmp_path), stopping(silent, StopAt(looks=len(steps) - 4)))
    assert measured(device, method, files_in(tmp_path)) == expected


@pytest.mark.parametrize("method", SETTINGS)
def test_it_may_be_stopped_again_and_again(method: str, posterior: nm.Posterior, whole: Any, tmp_path: Path) -> None:
    """By turns after four and after seven steps that are kept."""
    expected, steps = whole(method)
    made: list[Told] = []
    for attempt in range(len(steps)):
        last = len([step for step in made if is_kept(step)]) + (4, 7)[attempt % 2]

        def stop(phase: str, done: int, total: int, acceptance: float, last: int = last) -> None:
            if is_kept((phase, done)) and len([step for step in made if is_kept(step)]) == last:
                raise Stopped("enough")

        try:
            assert measured(posterior, method, files_in(tmp_path, seconds=100), told_to(made, stop)) == expected
            break
        except Stopped:
            continue
    else:
        pytest.fail("it never ended")
    assert attempt >= 1 and made == steps


@pytest.mark.parametrize("method", SETTINGS)
def test_killed_it_goes_on_from_what_was_kept_last(
    method: str, posterior: nm.Posterior, whole: Any, tmp_path: Path
) -> None:
    """And from the one before where the newest is not there or is damaged."""
    expected, steps = whole(method)
    after = len(steps) - 3
    with pytest.raises(Killed):
        measured(posterior, method, files_in(tmp_path / "killed"), killing(after))
    assert len(kept(tmp_path / "killed")) == LATEST
    begun = []
    for spoilt in (None, Path.unlink, spoil):
        home, told, gone_on = tmp_path / getattr(spoilt, "__name__", "as it is"), [], []
        shutil.copytree(tmp_path / "killed", home)
        if spoilt:
            spoilt(kept(home)[-1])
        assert measured(posterior, method, files_in(home, told), told_to(gone_on)) == expected
        assert len(told) == (spoilt is spoil) and all("it lies at" in sentence for sentence in told)
        begun.append(steps.index(gone_on[0]))
    assert after - 4 <= begun[0] <= after
    assert begun[1] == begun[2] < begun[0] and begun[1] > 0


def test_without_a_whole_file_it_starts_anew_and_says_so(posterior: nm.Posterior, whole: Any, tmp_path: Path) -> None:
    expected, steps = whole("ais")
    with pytest.raises(Killed):
        measured(posterior, "ais", files_in(tmp_path), killing(len(steps) - 2))
    for path in kept(tmp_path):
        spoil(path)
    told, gone_on, files = [], [], files_in(tmp_path)
    files.tell = told.append
    assert measured(posterior, "ais", files, told_to(gone_on)) == expected
    assert gone_on == steps
    assert len(told) == LATEST + 1 and "starts anew" in told[-1] and str(tmp_path) in told[-1]
    files.remove()
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".damaged"] * LATEST


def test_what_may_be_whole_is_not_set_aside(
    posterior: nm.Posterior, whole: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, steps = whole("ais")
    with pytest.raises(Killed):
        measured(posterior, "ais", files_in(tmp_path), killing(len(steps) - 2))
    before = kept(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr("nishimori.chains.segments._content", lambda path: bytes(2**60))
        with pytest.raises(BadInput, match=f"{before[-1]} cannot be read .memory ended.; it may be whole and is left"):
            measured(posterior, "ais", files_in(tmp_path))
    assert kept(tmp_path) == before
    assert measured(posterior, "ais", files_in(tmp_path, told := [])) == expected and not told


@pytest.mark.parametrize("other", [{"seed": 2}, {"point": "q"}, {"rungs": 10}, {"control": False}], ids=str)
def test_files_of_another_measurement_are_set_aside(
    other: dict[str, Any], posterior: nm.Posterior, whole: Any, tmp_path: Path
) -> None:
    expected, steps = whole("ais")
    with pytest.raises(Killed):
        measured(posterior, "ais", files_in(tmp_path), killing(len(steps) - 2), **other)
    told: list[str] = []
    assert measured(posterior, "ais", files_in(tmp_path, told)) == expected
    assert "is of other settings, another point or another version; it lies at" in told[0] and "anew" in told[-1]


def test_files_of_other_data_or_another_method_are_set_aside(
    posterior: nm.Posterior, whole: Any, tmp_path: Path
) -> None:
    known = posterior.problem
    problem = nm.matched_teacher(known.network, known.channel, known.samples, 2, test_samples=3, seed=5)
    measured(nm.Posterior(problem, "fp64", "cpu"), "ais", files_in(tmp_path))
    for method in ("ais", "collapsed"):
        told: list[str] = []
        assert measured(posterior, method, files_in(tmp_path, told)) == whole(method)[0]
        assert len(told) == LATEST + 1


def test_what_is_kept_is_what_is_gone_on_from(posterior: nm.Posterior, whole: Any, tmp_path: Path) -> None:
    """Negative control: with another log weight in a file that is whole it comes out otherwise."""
    expected, steps = whole("ais")
    with pytest.raises(Stopped):
        measured(posterior, "ais", files_in(tmp_path), stopping(silent, StopAt(looks=len(steps) - 2)))
    stored = read_stored(kept(tmp_path)[-1])
    stored.arrays["annealing"]["log_weights"][0, 0] += 1e-12
    publish_arrays(kept(tmp_path)[-1], stored.arrays, {name: stored.attributes[name] for name in (WORK, UNFINISHED)})
    assert measured(posterior, "ais", files_in(tmp_path)) != expected


def test_a_file_that_cannot_be_stored_ends_it(
    posterior: nm.Posterior, whole: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the file before in its place, to go on from."""
    expected, steps = whole("immse")
    calls = iter(range(2))
    plain = operations.replace

    def full(source: Path, target: Path) -> None:
        if target.suffix == ".h5" and next(calls, None) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        plain(source, target)

    monkeypatch.setattr(operations, "replace", full)
    with pytest.raises(StorageFailed, match=r"\.h5 cannot be written"):
        measured(posterior, "immse", files_in(tmp_path))
    monkeypatch.setattr(operations, "replace", plain)
    assert len(kept(tmp_path)) == LATEST and len(list(tmp_path.iterdir())) == LATEST + 1
    gone_on: list[Told] = []
    assert measured(posterior, "immse", files_in(tmp_path), told_to(gone_on)) == expected
    assert 0 < len(gone_on) < len(steps)


def test_how_far_it_has_come_is_read_without_trust(tmp_path: Path) -> None:
    for content in (
        "",
        "{",
        "[]",
        '{"phase": "a", "done": -1, "total": 2}',
        '{"phase": "\\u001b[2J", "done": 1, "total": 2}',
    ):
        (tmp_path / "progress.json").write_text(content, encoding="utf-8")
        assert read_stage(tmp_path) is None
    (tmp_path / "progress.json").write_text('{"phase": "annealing", "done": 1, "total": 2}', encoding="utf-8")
    assert read_stage(tmp_path) == Stage("annealing", 1, 2)


def test_a_stop_is_left_to_phases_that_commit() -> None:
    told = stopping(silent, StopAt(looks=0))
    told("sampling", 1, 2, 0.5)
    told("sampling, block 2 of 4", 1, 2, 0.5)
    with pytest.raises(Stopped):
        told("calibration, immse", 1, 2, 0.5)
