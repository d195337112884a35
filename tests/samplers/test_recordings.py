"""What a target keeps of recorded moves, wherever they would run."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from nishimori.models.layout import Layout, Position
from nishimori.samplers import recorded
from nishimori.samplers.recorded import LONGEST, MOST_KEPT, MOST_RECORDED, is_recorded, parts_of, recording


class Still:
    """Moves that move nothing."""

    def begin(self) -> None: ...

    def step(self) -> None: ...

    def end(self) -> None: ...


@pytest.fixture(autouse=True)
def on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded, "can_record", lambda device: device.type == "cuda")
    monkeypatch.setattr(recorded, "Recorded", lambda moves: SimpleNamespace(moves=moves, reach=lambda num_steps: None))


def target(device: str = "cuda", **attributes: Any) -> Any:
    return SimpleNamespace(device=torch.device(device), **attributes)


def position(chains: int = 2, size: int = 3) -> Position:
    return Position(torch.empty(chains * size, device="meta"), Layout(1, chains, ((size,),)))


def test_a_recording_is_made_once_for_a_key_and_a_layout():
    kept = target(recordings={})
    first = recording(kept, position(), "leapfrog", Still, 3)
    assert recording(kept, position(), "leapfrog", Still, 3) is first
    assert recording(kept, position(chains=3), "leapfrog", Still, 3) is not first
    assert recording(kept, position(), "rotation", Still, 3) is not first


def test_the_oldest_recording_goes_first():
    kept = target(recordings={})
    made = [recording(kept, position(), number, Still, 3) for number in range(MOST_KEPT + 1)]
    assert len(kept.recordings) == MOST_KEPT
    assert recording(kept, position(), MOST_KEPT, Still, 3) is made[-1]
    assert recording(kept, position(), 0, Still, 3) is not made[0]


def test_nothing_is_recorded_where_it_does_not_pay_or_cannot_be():
    assert is_recorded(target(recordings={}), position())
    assert not is_recorded(target(), position()), "the target keeps none"
    assert not is_recorded(target("cpu", recordings={}), position())
    assert not is_recorded(target(recordings={}), position(1, MOST_RECORDED + 1))


@pytest.mark.parametrize("steps", [0, 1, 2, 13, LONGEST - 1, LONGEST, 3 * LONGEST + 5])
def test_steps_are_taken_by_powers_of_two(steps):
    parts = parts_of(steps)
    assert sum(parts) == steps and all(part.bit_count() == 1 and part <= LONGEST for part in parts)
    assert len(parts) == len(set(parts)) + max(0, parts.count(LONGEST) - 1)
