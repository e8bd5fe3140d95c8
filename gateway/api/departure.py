"""A client that hangs up: whoever works for it is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, cast

from gateway.api.http import Message, Receive

GONE = "the client has left"
"""The message of the cancel."""


class Departure:
    """Cancels the task inside it when the client hangs up. That cancel is an end, and so is the
    server's when the drain's time is up: whoever is still there has heard of it.

    What the client does is heard without a task of its own, which would cost a plain request 3 % of
    its CPU: the server's `receive` is run up to what it waits for, and on from there by a callback.
    """

    __slots__ = ("_hearing", "_over", "_receive", "_task")

    def __init__(self, receive: Receive) -> None:
        self._receive: Receive | None = receive
        self._hearing: Coroutine[Any, Any, Message] | None = None
        self._over = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("an endpoint runs in a task")
        self._task = task
        self._hear()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        self._over = True
        if self._hearing is not None:
            self._hearing.close()
            # What was waited for may know us, as its callback, for as long as it lives.
            self._hearing = self._receive = None
        if kind is asyncio.CancelledError:
            self._task.uncancel()
            return True
        return False

    def _hear(self) -> None:
        """Ask for the client's next message, and go on with it."""
        if self._receive is not None:
            self._hearing = cast("Coroutine[Any, Any, Message]", self._receive())
            self._go_on()

    def _go_on(self, _: asyncio.Future[Any] | None = None) -> None:
        """Run `receive` until it waits again, or has a message."""
        hearing = self._hearing
        if self._over or hearing is None:
            return
        try:
            # As a task would: what has failed is told where it is asked for its result.
            wanted = hearing.send(None)
        except StopIteration as ended:
            self._heard(ended.value)
            return
        if wanted is None:  # it only gives others a turn
            asyncio.get_running_loop().call_soon(self._go_on)
            return
        wanted._asyncio_future_blocking = False  # noqa: SLF001 - a future's word to whoever runs it
        wanted.add_done_callback(self._go_on)

    def _heard(self, message: Message) -> None:
        if message["type"] != "http.disconnect":
            self._hear()
            return
        # Not at once: where it had left before, a cancel would reach beyond what never waits.
        asyncio.get_running_loop().call_soon(self._leave)

    def _leave(self) -> None:
        if not self._over:
            self._task.cancel(GONE)
