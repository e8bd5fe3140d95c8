"""Opens a stream that is still held, and keeps it open with comments, where a route says so."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from gateway.api.http import Headers, Send

COMMENT = b": waterfall is on it\n\n"


class KeepAlive:
    """One stream's. Inside it, a comment leaves each time `seconds` have passed, until it is
    stopped."""

    def __init__(self, send: Send, headers: Headers, seconds: float) -> None:
        """`headers` are those to open the stream with."""
        self._send, self._headers, self._seconds = send, headers, seconds
        self._sending = asyncio.Lock()
        self._opened = self._stopped = False

    async def __aenter__(self) -> Self:
        """Begin to count."""
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave nothing running."""
        self._task.cancel()
        await asyncio.wait((self._task,))
        if not self._task.cancelled():
            self._task.exception()  # the line is broken: the reply's own next send finds that too

    async def stop(self) -> bool:
        """Send no more comments; returns whether the stream has been opened."""
        async with self._sending:
            self._stopped = True
        return self._opened

    async def _run(self) -> None:
        while not self._stopped:
            await asyncio.sleep(self._seconds)
            async with self._sending:  # a line is never left half sent
                if not self._stopped:
                    await self._comment()

    async def _comment(self) -> None:
        if not self._opened:
            start = {"type": "http.response.start", "status": 200, "headers": self._headers}
            await self._send(start)
            self._opened = True
        await self._send({"type": "http.response.body", "body": COMMENT, "more_body": True})
