"""Turns requests away that are one too many, before anything is spent on them: at once, with 503
and when to come back."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from gateway.api.http import Message, Receive
from gateway.api.service import InFlight
from gateway.core.errors import Overloaded
from gateway.core.room import Room

COME_BACK = 1.0
"""Seconds: of Retry-After."""


class Place:
    """One request's place in a room, from when it is taken to the end of the context; within that
    it is `under_way`.

    It is taken when the body is here: a client that is slow with it, on purpose or not, keeps
    nobody else out. Until then a request is charged for the bytes that have come, and no more.
    """

    __slots__ = ("_receive", "_room", "_size", "_taken", "_under_way")

    def __init__(self, room: Room, under_way: InFlight, receive: Receive) -> None:
        self._room, self._under_way, self._receive = room, under_way, receive
        self._size = 0
        self._taken = False

    def __enter__(self) -> Self:
        self._under_way.enter()
        return self

    def look(self) -> None:
        """Raise Overloaded where there is none: who cannot have one now is told so unread."""
        if self._room.full:
            raise _crowded()

    def take(self) -> None:
        """Take it. Raises Overloaded where there is none."""
        if not self._room.enter():
            raise _crowded()
        self._taken = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._room.give_back(self._size)
        if self._taken:
            self._room.leave()
        self._under_way.leave()

    async def receive(self) -> Message:
        """Receive a message of the client's. Raises Overloaded for more of a body than there is
        room for."""
        message = await self._receive()
        size = len(message.get("body", b""))
        if size:
            if not self._room.charge(size):
                told = "This gateway has as many bytes of requests under way as it takes."
                raise Overloaded(told, code="too_many_bytes_under_way", retry_after=COME_BACK)
            self._size += size
        return message


def _crowded() -> Overloaded:
    told = "This gateway has as many requests under way as it takes; try again soon."
    return Overloaded(told, code="too_many_requests_under_way", retry_after=COME_BACK)
