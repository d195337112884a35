"""A run that was stopped, killed or damaged and goes on is the run that never was, to the bit."""

import shutil
from pathlib import Path

import h5py
import pytest
from continued import SAMPLERS, TRANSITIONS, Case, StopAt, assert_same, journal, record_of, segments

import nishimori as nm
from nishimori.chains.stop import Stopped
from nishimori.description.errors import BadInput
from nishimori.sampling import Run
from nishimori.sampling.in_time import whole


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def test_segments_change_nothing(case: Case, uninterrupted: Run, finished: Path, tmp_path: Path) -> None:
    assert_same(case.run(journal(tmp_path)), uninterrupted)
    assert_same(case.run(journal(finished)), uninterrupted)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_goes_on_to_the_bit(sampler: str, tmp_path: Path) -> None:
    case = Case.of(sampler)
    with pytest.raises(Stopped, match="enough"):
        case.run(journal(tmp_path, stop=StopAt(looks=11)))
    assert_same(case.run(journal(tmp_path)), case.run())


def test_the_readout_integrated_out_goes_on_to_the_bit(tmp_path: Path) -> None:
    case = Case.of(target=nm.CollapsedPosterior)
    with pytest.raises(Stopped):
        case.run(journal(tmp_path, stop=StopAt(looks=9)))
    assert_same(case.run(journal(tmp_path)), case.run())


def test_an_annealed_warm_up_goes_on_to_the_bit(tmp_path: Path) -> None:
    case = Case.of(kind="own data")
    with pytest.raises(Stopped):
        case.run(journal(tmp_path, stop=StopAt(looks=1)))
    assert_same(case.run(journal(tmp_path)), case.run())


def test_it_may_be_stopped_after_any_transition(case: Case, uninterrupted: Run, tmp_path: Path) -> None:
    """And again and again: N = a + b for every a, then in steps of every size."""
    for after in range(TRANSITIONS - 1):
        home = tmp_path / str(after)
        with pytest.raises(Stopped):
            case.run(journal(home, stop=StopAt(looks=after), seconds=5))
        assert_same(case.run(journal(home)), uninterrupted)
    for step in range(1, 6):
        home = tmp_path / f"steps of {step}"
        for _ in range(TRANSITIONS):
            try:
                assert_same(case.run(journal(home, stop=StopAt(looks=step), seconds=100)), uninterrupted)
                break
            except Stopped:
                continue
        else:
            pytest.fail("it never ended")


def test_a_run_without_its_newest_segments_goes_on(case: Case, uninterrupted: Run, copy: Path) -> None:
    """As after a kill: the state is there, its segment is not."""
    for path in segments(copy)[-2:]:
        path.unlink()
    assert_same(case.run(journal(copy)), uninterrupted)


def test_a_damaged_newest_segment_costs_its_draws_alone(case: Case, uninterrupted: Run, copy: Path) -> None:
    spoil(segments(copy)[-1])
    told: list[str] = []
    assert_same(case.run(journal(copy, told)), uninterrupted)
    assert len(told) == 1 and segments(copy)[-1].name in told[0] and "drawn again" in told[0]
    assert (copy / "segments" / f"{segments(copy)[-1].name}.damaged").exists()


@pytest.mark.parametrize("number", [0, 1, 4])
def test_an_older_segment_is_computed_again_as_it_was(case: Case, uninterrupted: Run, copy: Path, number: int) -> None:
    before = content(segments(copy)[number])
    spoil(segments(copy)[number])
    told: list[str] = []
    assert_same(case.run(journal(copy, told)), uninterrupted)
    assert "their segment is lost" in told[1]
    assert content(segments(copy)[number]) == before
    assert_same(case.run(journal(copy)), uninterrupted)


def test_a_missing_segment_is_computed_again_too(case: Case, uninterrupted: Run, copy: Path) -> None:
    segments(copy)[3].unlink()
    assert_same(case.run(journal(copy)), uninterrupted)


def test_a_lost_segment_that_comes_out_otherwise_is_refused(copy: Path) -> None:
    """Another calibration stands for another machine."""
    spoil(segments(copy)[2])
    other = Case.of()
    record = other.calibration
    changed = Case(other.target, nm.HMC("rotation", step_size=0.11, num_steps=3), record_of(other.target, nm.HMC()))
    assert record.step_size != changed.calibration.step_size
    with pytest.raises(BadInput, match=r"segment [12] was computed again and came out otherwise"):
        Case(other.target, nm.HMC("rotation"), changed.calibration).run(journal(copy))


def test_damaged_states_are_walked_back_over(case: Case, uninterrupted: Run, copy: Path) -> None:
    states = sorted((copy / "states").glob("*.h5"))
    spoil(states[-1])
    spoil(states[-2])
    told: list[str] = []
    assert_same(case.run(journal(copy, told)), uninterrupted)
    assert any("their state is lost" in sentence for sentence in told)
    assert (copy / "states" / segments(copy)[-1].name).exists()
    assert_same(case.run(journal(copy, told := [])), uninterrupted)
    assert not told


def test_a_state_of_another_segment_is_walked_back_over(case: Case, uninterrupted: Run, copy: Path) -> None:
    states = sorted((copy / "states").glob("*.h5"))
    shutil.copy(states[-2], states[-1])
    told: list[str] = []
    assert_same(case.run(journal(copy, told)), uninterrupted)
    assert f"{states[-1]} is no state of that number" in told[0]


def test_without_any_state_it_goes_on_from_the_start(case: Case, uninterrupted: Run, copy: Path) -> None:
    shutil.rmtree(copy / "states")
    assert_same(case.run(journal(copy)), uninterrupted)


def test_where_nothing_can_be_read_it_does_not_start_from_zero(case: Case, copy: Path) -> None:
    for path in segments(copy):
        spoil(path)
    before = sorted(copy.rglob("*"))
    with pytest.raises(BadInput, match="would start from zero: remove"):
        case.run(journal(copy))
    assert sorted(copy.rglob("*")) == before


def test_the_segments_of_another_run_are_refused(case: Case, copy: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    case.run(journal(other, seconds=2))
    shutil.copy(segments(other)[3], segments(copy)[3])
    with pytest.raises(BadInput, match="does not follow the segment before it"):
        case.run(journal(copy))


def test_states_are_kept_of_the_latest_and_every_twentieth_segment(case: Case, tmp_path: Path) -> None:
    case.run(journal(tmp_path, seconds=0))
    assert len(segments(tmp_path)) == TRANSITIONS
    kept = [int(path.stem) for path in sorted((tmp_path / "states").glob("*.h5"))]
    assert kept == [0, 20, TRANSITIONS - 3, TRANSITIONS - 2, TRANSITIONS - 1]


def test_states_of_segments_that_are_gone_are_not_kept(case: Case, uninterrupted: Run, copy: Path) -> None:
    """The draws of the three newest segments are drawn again in one; the state before it had been removed and is made
    again."""
    for path in segments(copy)[-3:]:
        path.unlink()
    assert_same(case.run(journal(copy, seconds=10**6)), uninterrupted)
    newest = len(segments(copy)) - 1
    assert [int(path.stem) for path in sorted((copy / "states").glob("*.h5"))] == [0, newest - 1, newest]


def test_joined_segments_are_what_one_segment_holds(finished: Path, tmp_path: Path, case: Case) -> None:
    from nishimori.chains.segments import digest, read_arrays

    case.run(journal(tmp_path, seconds=10**6))
    (single,) = segments(tmp_path)
    assert digest(whole([read_arrays(path) for path in segments(finished)])) == digest(read_arrays(single))


def spoil(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    path.write_bytes(bytes(data))


def content(path: Path) -> str:
    with h5py.File(path, "r") as file:
        return str(file.attrs["digest"])
