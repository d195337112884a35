"""A GPU made of the CPU, for the code around the launches: Triton's kernels run in its interpreter, and what a CUDA
graph would record is noted on a tape, with the very tensors, and done again at every replay.

As on a GPU, numbers of Python are frozen when a graph is recorded, and reading a tensor's value meanwhile is an error.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves

from nishimori.chains import staging
from nishimori.samplers import recorded

READS_A_VALUE = torch.ops.aten._local_scalar_dense.default


class Graph(TorchDispatchMode):
    """In place of torch.cuda.CUDAGraph; `replays` counts those of all graphs."""

    replays = 0
    recording: "Graph | None" = None

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Callable[[], None]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func is not READS_A_VALUE, "a value is read while a graph is recorded"
        made = func(*args, **(kwargs or {}))
        self.calls.append(partial(_again, func, args, kwargs or {}, made))
        return made

    def replay(self) -> None:
        assert Graph.recording is None, "a graph is replayed while another one is recorded"
        Graph.replays += 1
        for call in self.calls:
            call()


def _again(function: Any, arguments: Any, options: Any, made: Any) -> None:
    """A call with the same arguments, its results in the tensors of the first one."""
    for old, new in zip(tree_leaves(made), tree_leaves(function(*arguments, **options)), strict=True):
        if isinstance(old, Tensor) and old.data_ptr() != new.data_ptr():
            old.copy_(new)


@contextmanager
def _recording(graph: Graph) -> Iterator[None]:
    Graph.recording = graph
    try:
        with graph:
            yield
    finally:
        Graph.recording = None


class _Stream:
    def wait_stream(self, other: "_Stream") -> None:
        del other


@contextmanager
def _on_stream(stream: _Stream) -> Iterator[None]:
    del stream
    yield


class Event:
    """Of a copy that arrives when it is waited for."""

    def record(self) -> None:
        self.done = False

    def query(self) -> bool:
        return self.done

    def synchronize(self) -> None:
        self.done = True


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    from triton.runtime.interpreter import InterpretedFunction

    run = InterpretedFunction.run

    def noted(kernel: Any, *arguments: Any, **options: Any) -> None:
        call = partial(run, kernel, *arguments, **options)
        with _disable_current_modes():
            call()
        if Graph.recording is not None:
            Graph.recording.calls.append(call)

    Graph.replays = 0
    monkeypatch.setattr(InterpretedFunction, "run", noted)
    monkeypatch.setattr(recorded, "can_record", lambda device: True)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", _recording)
    monkeypatch.setattr(torch.cuda, "Stream", _Stream)
    monkeypatch.setattr(torch.cuda, "stream", _on_stream)
    monkeypatch.setattr(torch.cuda, "current_stream", _Stream)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(staging.Staging, "_on_gpu", lambda self: bool(self._waiting))
    monkeypatch.setattr(staging, "_on_its_way", Tensor.clone)
