"""Numbers reach their arrays, in blocks from a GPU and at once on the CPU."""

import numpy as np
import pytest
import torch
from fake_cuda import Event

from nishimori.chains import staging
from nishimori.chains.staging import MOST_TRANSITIONS, Place, Staging, Values


@pytest.fixture
def on_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies are only begun when they are asked for, and are done when the event of their block is waited for."""
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(Staging, "_on_gpu", lambda self: bool(self._waiting))
    monkeypatch.setattr(staging, "_on_its_way", torch.Tensor.clone)


def put_all(staged: Staging, transitions: int) -> tuple[dict[str, Values], list[int]]:
    """A scalar and a vector a transition; the arrays, and how many transitions had arrived after each."""
    arrays, arrived = {}, []
    for number in range(transitions):
        staged.put(Place(arrays, "scalar", transitions, number), torch.full((2, 3), number, dtype=torch.float32))
        staged.put(Place(arrays, "flag", transitions, number), torch.full((2, 3), number % 2 == 0))
        staged.put(Place(arrays, "vector", transitions, number), torch.full((2, 3, 4), number, dtype=torch.float32))
        staged.pass_on()
        arrived.append(staged.received)
    return arrays, arrived


def assert_whole(arrays: dict[str, Values], transitions: int) -> None:
    numbers = np.arange(transitions)
    np.testing.assert_array_equal(arrays["scalar"], np.broadcast_to(numbers, (2, 3, transitions)))
    np.testing.assert_array_equal(arrays["flag"], np.broadcast_to(numbers % 2 == 0, (2, 3, transitions)))
    np.testing.assert_array_equal(arrays["vector"][..., 1], arrays["scalar"])
    assert arrays["scalar"].dtype == arrays["flag"].dtype == np.float64 and arrays["vector"].dtype == np.float32


def test_on_the_cpu_numbers_arrive_at_once():
    arrays, arrived = put_all(Staging(), 7)
    assert arrived == [1, 2, 3, 4, 5, 6, 7]
    assert_whole(arrays, 7)


def test_from_a_gpu_they_arrive_in_growing_blocks(on_gpu: None):
    staged = Staging()
    arrays, arrived = put_all(staged, 1000)
    late = [number + 1 - received for number, received in enumerate(arrived)]
    assert arrived[2] == 1 and max(late) <= 2 * MOST_TRANSITIONS, "a block under way and one being filled at most"
    assert len(set(arrived)) < 1000 / MOST_TRANSITIONS + 10
    staged.flush()
    assert staged.received == 1000
    assert_whole(arrays, 1000)


def test_large_vectors_are_sent_sooner(on_gpu: None, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(staging, "MOST_BYTES", 1)
    _, arrived = put_all(Staging(), 50)
    assert arrived == list(range(50)), "one is always under way"


def test_nothing_to_flush_is_no_harm():
    staged = Staging()
    staged.flush()
    assert staged.received == 0
