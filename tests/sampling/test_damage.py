"""Whatever is damaged of a run's segments and states, it ends as if nothing had been, or says what cannot be."""

import random
import shutil
from pathlib import Path

import pytest
from continued import Case, assert_same, journal, segments

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
