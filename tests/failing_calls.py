"""The system calls that storing is made of, watched, and failing one at a time."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Any, NamedTuple

import pytest

from nishimori.chains.storage import Operations, operations

KINDS = [field.name for field in fields(Operations)]


class Call(NamedTuple):
    """`path` as it was given, or as it was when its descriptor was opened."""

    kind: str
    path: str


@contextmanager
def watched(fails: Callable[[int], int] = lambda number: 0) -> Iterator[list[Call]]:
    """The calls that storing is made of, as they come. Number n fails with the error `fails(n)`, unless that is 0: a
    write after half of it is written, close after it closed, all others before they do anything."""
    calls: list[Call] = []
    opened: dict[Any, str] = {}

    def through(kind: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            error = fails(len(calls))
            calls.append(Call(kind, opened.get(arguments[0], str(arguments[0]))))
            if not error:
                result = original(*arguments)
                if kind == "open":
                    opened[result] = str(arguments[0])
                return result
            if kind == "write" and error != errno.EINTR:
                original(arguments[0], arguments[1][: len(arguments[1]) // 2])
            elif kind == "close":
                original(*arguments)
            raise OSError(error, os.strerror(error))

        return call

    with pytest.MonkeyPatch.context() as patched:
        for kind in KINDS:
            patched.setattr(operations, kind, through(kind, getattr(operations, kind)))
        yield calls
