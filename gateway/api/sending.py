"""A send that is begun at once, and waited for only where it has to wait."""

from __future__ import annotations

from collections.abc import Awaitable, Generator
from functools import partial
from typing import Any


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
