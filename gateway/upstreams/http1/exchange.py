"""One request and its reply, as a context which never leaves a connection half used."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

from gateway.upstreams.http1.connection import Connection
from gateway.upstreams.http1.errors import Broken, Stale
from gateway.upstreams.http1.reply import Reply, Sink
from gateway.upstreams.http1.timeouts import Clock, Timeouts

if TYPE_CHECKING:
    from gateway.upstreams.http1.pool import Pool


class Exchange:
    """Entering sends the request and waits for the head of the reply; leaving before the reply is
    complete, for whatever reason, closes the upstream's socket at once.

    Raises (entering and reading) ConnectFailed, Broken, TooLarge, TimedOut: all HttpError.
    """

    __slots__ = (
        "_body",
        "_connection",
        "_head",
        "_on_sent",
        "_pool",
        "_reply",
        "_timeouts",
        "_to_head",
    )

    def __init__(
        self,
        pool: Pool,
        head: bytes,
        body: bytes,
        timeouts: Timeouts,
        on_sent: Callable[[], None] | None,
        *,
        to_head: bool,
    ) -> None:
        self._pool = pool
        self._head = head
        self._body = body
        self._timeouts = timeouts
        self._on_sent = on_sent
        self._to_head = to_head
        self._connection: Connection | None = None
        self._reply: Reply | None = None

    @property
    def status(self) -> int:
        """The reply's final status, 200 to 599."""
        return self._entered().status

    @property
    def headers(self) -> Mapping[bytes, bytes]:
        """The reply's headers: lower-case names, repeated ones joined with a comma."""
        return self._entered().headers

    async def read(self) -> bytes:
        """The next part of the body: all that has arrived, waiting if that is nothing.

        b"" means that the reply is complete; an incomplete one never ends that way.
        """
        block = await self._entered().read()
        if self._connection is not None:
            self._connection.resume()
        return block

    async def pour(self, sink: Sink) -> None:
        """Hand the body to `sink` as it comes, in the call that reads it from the socket, until it
        says False, or nothing more will come; then `read` goes on. Raises what `sink` raises."""
        reply = self._entered()
        if self._connection is not None:
            self._connection.resume()  # all that is unread is taken at once
        await reply.pour(sink)

    async def read_all(self) -> bytes:
        """The whole rest of the body."""
        reply = self._entered()
        if reply.done:  # as nearly always of a short one: it came with its head
            return reply.rest()
        blocks = []
        while block := await self.read():
            blocks.append(block)
        return blocks[0] if len(blocks) == 1 else b"".join(blocks)

    async def __aenter__(self) -> Self:
        total_at = asyncio.get_running_loop().time() + self._timeouts.total
        if not self._pool.take():
            await self._pool.acquire(total_at)
        try:
            try:
                await self._send(total_at, fresh=False)
            except Stale:
                # No byte of a reply came, and the connection was gone too soon for the upstream to
                # have read the request. Once, and not on another connection that may be as old.
                self._drop()
                await self._send(total_at, fresh=True)
        except BaseException:
            self._leave()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave()

    async def _send(self, total_at: float, *, fresh: bool) -> None:
        connection = None if fresh else self._pool.rested()
        if connection is None:
            connection = await self._pool.dial(self._timeouts.connect, total_at)
        self._connection = connection
        clock = Clock(self._timeouts, total_at, asyncio.get_running_loop().time())
        self._reply = self._pool.reply(clock, to_head=self._to_head)
        if self._on_sent is not None:
            # Each time: the upstream may have read the first, and a ledger must know of both. And
            # last: whoever is killed between this and the write has noted a call that never was.
            self._on_sent()
        connection.begin(self._reply, self._head, self._body)
        while not self._reply.started:
            await self._reply.more()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.put_back(connection)

    def _leave(self) -> None:
        self._drop()
        if self._reply is not None:
            if not self._reply.done:
                self._reply.fail(Broken("the exchange was left before the end of the reply"))
            self._reply.close()
        self._pool.release()

    def _entered(self) -> Reply:
        if self._reply is None:
            raise RuntimeError("the exchange was not entered")
        return self._reply
