"""Sending without waiting: a part of a body is written at once where the server offers that, or its
`send` is begun at once, and waited for only where it has to wait."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from functools import partial
from typing import Any

from gateway.api.http import Scope

Write = Callable[[bytes], bool]
"""Writes the next part of a body that has begun. False: nothing is written, since the client reads
slowly; what `send` is given waits until it has read."""
WRITE = "waterfall.write"
"""The extension of ASGI as which our own listener offers one (launcher/connection.py). `send` makes
a message and a coroutine of each part: 7,200 instructions of the processor more, of 23,700 that a
chunk took in all."""


def writer(scope: Scope) -> Write | None:
    """Return what writes parts of a request's answer, where its server offers that."""
    write: Write | None = scope.get("extensions", {}).get(WRITE)
    return write


def unwritten(scope: Scope) -> Scope:
    """Return a scope without it, for whoever has to see all that is sent."""
    return {name: value for name, value in scope.items() if name != "extensions"}


class Unfinished:
    """What is left of something that was begun and has to wait; awaiting it goes on with it."""

    __slots__ = ("_steps", "_wanted")

    def __init__(self, steps: Generator[Any, Any, None], wanted: Any) -> None:
        self._steps, self._wanted = steps, wanted

    def __await__(self) -> Generator[Any, Any, None]:
        wanted = self._wanted
        while True:
            try:
                yield wanted
            except BaseException as error:  # noqa: BLE001 - a cancel is theirs as well
                go_on = partial(self._steps.throw, error)
            else:
                go_on = partial(next, self._steps)
            try:
                wanted = go_on()
            except StopIteration:
                return


def begun(work: Awaitable[None]) -> Unfinished | None:
    """Do what can be done without waiting; return what is left, None where that is nothing.

    Raises what that raises. It is no task: nothing is scheduled, and where nothing waits (a server
    whose client reads what it gets) it is a call.
    """
    steps = work.__await__()
    try:
        wanted = next(steps)
    except StopIteration:
        return None
    return Unfinished(steps, wanted)
