"""What a target keeps of recorded moves, wherever they would run."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from nishimori.models.layout import Layout, Position
from nishimori.samplers import recorded
from nishimori.samplers.recorded import MOST_KEPT, MOST_RECORDED, is_recorded, recording


class Still:
    """Moves that move nothing."""

    def begin(self) -> None: ...

    def step(self) -> None: ...

    def end(self) -> None: ...


@pytest.fixture(autouse=True)
def on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded, "can_record", lambda device: device.type == "cuda")
    monkeypatch.setattr(recorded, "Recorded", lambda moves: SimpleNamespace(moves=moves))


def target(device: str = "cuda", **attributes: Any) -> Any:
    return SimpleNamespace(device=torch.device(device), **attributes)


def position(chains: int = 2, size: int = 3) -> Position:
    return Position(torch.empty(chains * size, device="meta"), Layout(1, chains, ((size,),)))


def test_a_recording_is_made_once_for_a_key_and_a_layout():
    kept = target(recordings={})
    first = recording(kept, position(), "leapfrog", Still)
    assert recording(kept, position(), "leapfrog", Still) is first
    assert recording(kept, position(chains=3), "leapfrog", Still) is not first
    assert recording(kept, position(), "rotation", Still) is not first


def test_the_oldest_recording_goes_first():
    kept = target(recordings={})
    made = [recording(kept, position(), number, Still) for number in range(MOST_KEPT + 1)]
    assert len(kept.recordings) == MOST_KEPT
    assert recording(kept, position(), MOST_KEPT, Still) is made[-1]
    assert recording(kept, position(), 0, Still) is not made[0]


def test_nothing_is_recorded_where_it_does_not_pay_or_cannot_be():
    assert is_recorded(target(recordings={}), position())
    assert not is_recorded(target(), position()), "the target keeps none"
    assert not is_recorded(target("cpu", recordings={}), position())
    assert not is_recorded(target(recordings={}), position(1, MOST_RECORDED + 1))
