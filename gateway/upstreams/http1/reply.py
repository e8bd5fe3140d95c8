"""One reply being read: the parser's callbacks, the unread part of the body, and its reader."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NoReturn

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from gateway.upstreams.http1.errors import Broken, HttpError, TooLarge
from gateway.upstreams.http1.timeouts import Clock

_BODYLESS = (204, 304)
Sink = Callable[[list[bytes]], bool]
"""Takes parts of a body, as they were framed; False: no more for now."""


class _Stop(Exception):
    """Leaves the parser from within a callback, after `fail` has noted why."""


class Reply:
    """Fed by its connection, read by one reader; every reply has a parser of its own, so that
    nothing of an earlier one can colour it."""

    __slots__ = (
        "_blocks",
        "_head_size",
        "_informational",
        "_lines",
        "_max_body",
        "_max_head",
        "_parser",
        "_sink",
        "_thrown",
        "_to_head_only",
        "_unproductive",
        "_until_eof",
        "_waiter",
        "clock",
        "done",
        "error",
        "headers",
        "keep",
        "received",
        "size",
        "started",
        "status",
        "taken",
    )

    def __init__(self, clock: Clock, *, to_head: bool, max_head: int, max_body: int) -> None:
        self.clock = clock
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.started = False  # the final head is in
        self.done = False  # the whole message is in
        self.keep = False  # its end was clean: the connection may carry another exchange
        self.error: HttpError | None = None
        self.received = False  # at least one byte came
        self.size = self.taken = 0  # bytes of the body that are here, and that were read of them
        self._blocks: list[bytes] = []
        self._lines: list[tuple[bytes, bytes]] = []
        self._head_size = 0  # and one for each step of the reply's: it grows where one is taken
        self._unproductive = 0
        self._informational = False
        self._until_eof = False
        self._to_head_only = to_head
        self._max_head = max_head
        self._max_body = max_body
        self._waiter: asyncio.Future[None] | None = None
        self._sink: Sink | None = None
        self._thrown: Exception | None = None
        self._parser = HttpResponseParser(self)

    # ------------------------------------------------------------- the reader's side

    def more(self) -> asyncio.Future[None]:
        """What to wait for until more has come, of the head or of the body; raises what has gone
        wrong instead. A reader that was cancelled has left it."""
        if self.error is not None:
            raise self.error
        if self._waiter is not None and not self._waiter.done():
            raise RuntimeError("a reply has one reader")
        self._waiter = asyncio.get_running_loop().create_future()
        return self._waiter

    def close(self) -> None:
        """Let go of the parser: it knows its reply by five callbacks, and so would both outlive
        their exchange until the collector finds them. Nothing is fed from here on."""
        del self._parser

    async def read(self) -> bytes:
        """All that has arrived since the last call, or b"" at the end of a complete message.

        What arrived before a failure is given before the failure is raised.
        """
        while not self._blocks:
            if self.done:
                return b""
            await self.more()
        return self.rest()

    def rest(self) -> bytes:
        """Take out all that has come, in one piece."""
        blocks = self._taken()
        return blocks[0] if len(blocks) == 1 else b"".join(blocks)

    def _taken(self) -> list[bytes]:
        """Take out all that has come."""
        blocks, self._blocks, self.taken = self._blocks, [], self.size
        return blocks

    async def pour(self, sink: Sink) -> None:
        """Hand what has come to `sink`, and what comes in the moment in which it comes, until that
        says False, or raises, or nothing more will come. What it raises is raised here."""
        if self._blocks and not sink(self._taken()):
            return
        if self.done or self.error is not None:
            return
        self._sink = sink
        try:
            await self.more()
        finally:
            self._sink = None
        thrown, self._thrown = self._thrown, None
        if thrown is not None:
            raise thrown

    def _wake(self) -> None:
        self._sink = None
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # --------------------------------------------------------- the connection's side

    def feed(self, data: bytes, now: float) -> bool:
        """Takes bytes as they came, at loop time `now`; whether what they hold of the body was
        handed on, and more may follow."""
        if self.done:
            self.keep = False  # whatever it is, it was not asked for
            return False
        head_size, size = self._head_size, self.size
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            self.fail(Broken("the upstream switched protocols unasked"))
        except HttpParserError as error:
            self.keep = False
            self.fail(Broken(f"not HTTP/1.1: {error}"))
        if self.size != size:
            self._unproductive = 0
            self.clock.last = now
            return self._hand_on()
        self._hear_no_more(len(data), head_size, now)
        return False

    def _hand_on(self) -> bool:
        """Let whoever there is have the parts of the body that have come."""
        sink, blocks = self._sink, self._blocks
        if sink is None:
            self._wake()
            return False
        self._blocks, self.taken = [], self.size
        try:
            more = sink(blocks)
        except Exception as error:  # noqa: BLE001 - raised where the reader waits
            self._thrown, more = error, False
        if more and not self.done and self.error is None:
            return True
        self._wake()
        return False

    def _hear_no_more(self, size: int, head_size: int, now: float) -> None:
        """Bytes came, and none of them were the body's."""
        self.received = True
        if self._head_size != head_size:
            self._unproductive = 0
        else:
            self._lead_nowhere(size)
        if self.size:
            self.clock.last = now
        if self.done or self.error is not None or (self.started and self._sink is None):
            self._wake()

    def eof(self) -> None:
        """The upstream said that it will send no more; some bodies end that way."""
        if self._until_eof and self.error is None:
            self.done = True
            self._wake()

    def fail(self, error: HttpError) -> None:
        """Ends the reply with `error`, unless it has already ended."""
        if not self.done and self.error is None:
            self.error = error
            self._wake()

    def _lead_nowhere(self, size: int) -> None:
        # The parser keeps an unfinished header to itself and says nothing of a long chunk
        # extension: bytes that lead to nothing are counted here, so that neither is an open tap.
        self._unproductive += size
        if self._unproductive > self._max_head:
            self.fail(TooLarge("more bytes of head than allowed"))

    def _refuse(self, error: HttpError) -> NoReturn:
        self.fail(error)
        raise _Stop

    # ---------------------------------------------------------- the parser's callbacks

    def on_message_begin(self) -> None:
        """Something follows: legal only once, or after an interim reply."""
        if self.done:
            self.keep = False
            raise _Stop
        self.received = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer."""
        self._head_size = size = self._head_size + len(name) + len(value) + 4
        if size > self._max_head:
            self._refuse(TooLarge("more bytes of head than allowed"))
        if not self.started:  # a trailer is counted, and of no use here
            self._lines.append((name, value))

    def on_headers_complete(self) -> None:
        """The end of an interim or of the final head."""
        self._head_size += 1
        status = self._parser.get_status_code()
        if 100 <= status < 200:
            # Interim heads count towards the cap too, so that an endless row of them ends.
            self._head_size += 16
            if self._head_size > self._max_head:
                self._refuse(TooLarge("more interim replies than allowed"))
            self._lines.clear()
            self._informational = True
            return
        if not 200 <= status <= 599:
            self._refuse(Broken(f"no such status: {status}"))
        self.status = status
        for line in self._lines:
            name, value = line[0].lower(), line[1].rstrip(b" \t")  # leading blanks are gone
            known = self.headers.get(name)
            self.headers[name] = value if known is None else b"%b, %b" % (known, value)
        if not self._to_head_only and status not in _BODYLESS:
            self._check_body(self.headers)
        self.started = True
        if self._to_head_only:
            self._finish()
            # A body that is sent all the same could look like nothing at all to the parser.
            self.keep = self.keep and b"transfer-encoding" not in self.headers

    def _check_body(self, headers: dict[bytes, bytes]) -> None:
        coding = headers.get(b"content-encoding", b"identity").lower()
        if coding != b"identity" and self.status < 300:  # of an error the status says enough
            self._refuse(Broken("encoded reply"))
        transfer = headers.get(b"transfer-encoding")
        if transfer is not None and transfer.lower() != b"chunked":
            self._refuse(Broken("encoded reply"))
        length = headers.get(b"content-length")
        if length is not None and int(length) > self._max_body:
            self._refuse(TooLarge("a longer body than allowed"))
        self._until_eof = length is None and transfer is None

    def on_body(self, block: bytes) -> None:
        """A piece of the body, without its framing."""
        if self.done:  # a body after the head of a reply to HEAD
            self.keep = False
            raise _Stop
        self._blocks.append(block)
        self.size = size = self.size + len(block)
        if size > self._max_body:
            self._refuse(TooLarge("a longer body than allowed"))

    def on_message_complete(self) -> None:
        """The end of an interim reply or of the reply."""
        if self._informational:
            self._informational = False
        elif not self.done:
            self._finish()

    def _finish(self) -> None:
        self._head_size += 1
        self.done = True
        self.keep = not self._until_eof and self._parser.should_keep_alive()
