"""One connection to an upstream: bytes in and out, back-pressure, and a single lazy timer."""

from __future__ import annotations

import asyncio
import math
import select
from collections.abc import Callable
from typing import cast

from gateway.upstreams.http1.errors import Broken, Stale, TimedOut
from gateway.upstreams.http1.reply import Reply

# Unread body above which the socket is no longer read (bytes).
HIGH_WATER = 256 * 1024
# A kept connection that the upstream had closed when the request left says so within a round trip;
# after a later close the work may have been done, and asking again would bill twice.
# Twice this connection's own round trip, and this much for both ends to wake (seconds).
STALE_SLACK = 0.01
_STALE_MOST = 1.0
# Bodies up to here are cheaper to copy behind the head than to send as a second buffer (bytes).
_JOINED = 64 * 1024
# Clocks of event loops are coarse; a timer this early is on time (seconds).
_GRAIN = 0.002


class Connection(asyncio.Protocol):
    """Carries one exchange after another; `on_lost` is called when its socket is gone."""

    __slots__ = (
        "_loop",
        "_on_lost",
        "_paused",
        "_poll",
        "_reply",
        "_rest_until",
        "_sent",
        "_timer",
        "_timer_at",
        "exchanges",
        "retires_at",
        "round_trip",
        "transport",
    )

    def __init__(self, on_lost: Callable[[Connection], None]) -> None:
        self._on_lost = on_lost
        self._reply: Reply | None = None
        self._paused = False
        self.exchanges = 0  # complete ones
        self.retires_at = math.inf  # loop time from which it is given no more exchanges
        self.round_trip = 0.0  # seconds to the upstream and back, as connecting took; at most
        self._rest_until = 0.0  # 0 of a connection that has never rested
        self._sent = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    # ------------------------------------------------------------------ its life

    def begin(self, reply: Reply, head: bytes, body: bytes) -> None:
        """Sends a request, whose reply is fed to `reply`."""
        self._reply = reply
        self._sent = self._loop.time()
        self._wake_at(reply.clock.due())
        if len(body) < _JOINED:
            self.transport.write(head + body)
        else:
            self.transport.writelines((head, body))

    def usable(self) -> bool:
        """Whether a resting connection is alive and silent, as far as this machine knows by now.

        Looks at the socket itself: a close or stray bytes which have arrived but were not yet read
        would cost a retry, or be taken for the next reply. (0.6 us)
        """
        return not self.transport.is_closing() and not self._poll.poll(0)

    def leave(self, rest_until: float) -> bool:
        """Ends the exchange; whether the connection can carry another. If not, it is aborted.

        A reply left before its end is cut off at once: the upstream must stop working on it.
        """
        reply, self._reply = self._reply, None
        if (
            reply is None
            or not (reply.done and reply.keep)
            or self.transport.is_closing()
            or self.transport.get_write_buffer_size()  # replied before it had our whole request
        ):
            self.transport.abort()
            return False
        self.resume()
        self.exchanges += 1
        self.rest(rest_until)
        return True

    def rest(self, until: float) -> None:
        """Waits for an exchange, and closes if none has come by `until` (loop time)."""
        self._rest_until = until
        self._wake_at(until)

    def resume(self) -> None:
        """Reads the socket again after the reader caught up."""
        if self._paused:
            self._paused = False
            self.transport.resume_reading()
            if self._reply is not None:
                self._reply.clock.last = self._loop.time()

    # -------------------------------------------------------------- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is up, TLS included."""
        self.transport = cast("asyncio.Transport", transport)
        self._loop = asyncio.get_running_loop()
        self._poll = select.poll()
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        """Bytes, cut anywhere."""
        reply = self._reply
        if reply is None:
            self.transport.abort()  # nobody asked: whatever it is, it is not the next reply
            return
        began = reply.clock.last
        if reply.feed(data, self._loop.time()) and began:
            return
        if reply.error is not None:
            self.transport.abort()
        elif reply.size - reply.taken > HIGH_WATER and not self._paused:
            self._paused = True
            self.transport.pause_reading()
        if not began and not reply.done:
            self._wake_at(reply.clock.due())

    def eof_received(self) -> None:
        """The upstream will send no more; asyncio closes the socket."""
        if self._reply is not None:
            self._reply.eof()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        reply = self._reply
        if reply is not None:
            window = min(2 * self.round_trip + STALE_SLACK, _STALE_MOST)
            early = self._loop.time() - self._sent < window
            if self._rest_until and not reply.received and early:
                reply.fail(Stale("the kept connection was already closed"))
            else:
                reply.fail(Broken(f"the connection was lost: {exc or 'closed by the upstream'}"))
        self._on_lost(self)

    # ---------------------------------------------------------------- its one timer

    def _wake_at(self, moment: float) -> None:
        # Seldom moved: it fires, looks, and sleeps on. A timer set and cancelled for every exchange
        # costs 2 us, this one next to nothing.
        if self._timer is not None:
            if self._timer_at <= moment:
                return
            self._timer.cancel()
        self._timer_at = moment
        self._timer = self._loop.call_at(moment, self._look)

    def _look(self) -> None:
        self._timer = None
        now = self._loop.time()
        reply = self._reply
        if reply is None:
            due = self._rest_until
            if due <= now + _GRAIN:
                self.transport.abort()
                return
        elif reply.done:
            return
        else:
            if self._paused:
                reply.clock.last = now  # it is we who are not listening
            due = reply.clock.due()
            if due <= now + _GRAIN:
                reply.fail(TimedOut(reply.clock.phase()))
                self.transport.abort()
                return
        self._wake_at(due)
