"""Whatever is damaged of a run's segments and states, it ends as if nothing had been, or says what cannot be."""

import errno
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from continued import Case, assert_same, journal, segments

from nishimori.chains import segments as reading
from nishimori.chains.segments import read_stored
from nishimori.description.errors import BadInput
from nishimori.sampling import Run

TRIES = [pytest.param(60), pytest.param(500, marks=pytest.mark.validate)]
MOST_FILES = 3


class Counted:
    """A progress that counts the transitions which were made."""

    def __init__(self) -> None:
        self.transitions = 0

    def __call__(self, phase: str, done: int, total: int, acceptance: float) -> None:
        del done, total, acceptance
        self.transitions += phase == "sampling"


def damage(path: Path, chance: random.Random) -> None:
    """The end is cut off, or one bit is another."""
    content = bytearray(path.read_bytes())
    if chance.random() < 0.5:
        content = content[: chance.randrange(len(content))]
    else:
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(bytes(content))


def length(path: Path) -> int:
    """Transitions in a segment."""
    return len(read_stored(path).arrays["statistics"]["num_steps"])


@pytest.mark.parametrize("tries", TRIES)
def test_a_damaged_run_ends_the_same_or_is_refused(
    tries: int, case: Case, uninterrupted: Run, finished: Path, tmp_path: Path
) -> None:
    """One damaged file is never refused, and where several are, nothing but the loss of the first two is."""
    chance, same = random.Random(tries), 0
    files = sorted(finished.rglob("*.h5"))
    for number in range(tries):
        home = Path(shutil.copytree(finished, tmp_path / str(number)))
        damaged = chance.sample(files, chance.randint(1, MOST_FILES))
        for path in damaged:
            damage(home / path.relative_to(finished), chance)
        try:
            assert_same(case.run(journal(home, told := [])), uninterrupted)
        except BadInput as refusal:
            assert len(damaged) > 1 and "going on would start from zero: remove" in str(refusal), (damaged, refusal)
        else:
            same += 1
            assert_same(case.run(journal(home, again := [])), uninterrupted)
            assert not again, (damaged, told)
        shutil.rmtree(home)
    assert same > 0.9 * tries


@pytest.mark.parametrize("folder", ["segments", "states"])
def test_damage_in_the_newest_costs_that_segment(
    folder: str, case: Case, uninterrupted: Run, finished: Path, tmp_path: Path
) -> None:
    chance, newest = random.Random(folder), segments(finished)[-1]
    most, costs = length(newest), []
    for number in range(12):
        home = Path(shutil.copytree(finished, tmp_path / str(number)))
        damage(home / folder / newest.name, chance)
        made = Counted()
        assert_same(case.run(journal(home), made), uninterrupted)
        costs.append(made.transitions)
        assert case.run(journal(home), idle := Counted()) and idle.transitions == 0
    # A bit that means nothing, in the space between what a file holds, costs nothing.
    assert set(costs) <= {0, most} and costs.count(most) > 2


@contextmanager
def unreadable(path: Path, error: Exception) -> Iterator[None]:
    original = reading._content

    def content(asked: Path) -> bytes:
        if asked == path:
            raise error
        return original(asked)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(reading, "_content", content)
        yield


@pytest.mark.parametrize("folder", ["segments", "states"])
@pytest.mark.parametrize("error", [MemoryError(), PermissionError(errno.EACCES, "denied")], ids=repr)
def test_what_may_be_whole_is_not_taken_for_damaged(
    error: Exception, folder: str, case: Case, uninterrupted: Run, finished: Path, tmp_path: Path
) -> None:
    home, newest = Path(shutil.copytree(finished, tmp_path / "run")), segments(finished)[-1].name
    before = sorted(home.rglob("*"))
    with unreadable(home / folder / newest, error):
        with pytest.raises(BadInput, match=f"{newest} cannot be read .*; it may be whole and is left as it is; "):
            case.run(journal(home))
    assert sorted(home.rglob("*")) == before
    assert_same(case.run(journal(home, told := [])), uninterrupted)
    assert not told


@pytest.mark.parametrize("folder", ["segments", "states"])
def test_what_the_device_cannot_read_is_damaged(
    folder: str, case: Case, uninterrupted: Run, finished: Path, tmp_path: Path
) -> None:
    home, newest = Path(shutil.copytree(finished, tmp_path / "run")), segments(finished)[-1].name
    with unreadable(home / folder / newest, OSError(errno.EIO, "worn out")):
        case.run(journal(home, told := []))
    assert f"{newest} cannot be read (worn out); it lies at" in told[0]
    assert_same(case.run(journal(home)), uninterrupted)
