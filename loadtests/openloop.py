"""The open-loop runner: sends each request at its time and measures from that time.

Latency is the end of the reply minus the *intended* moment of sending: a stall of the server, or of
this very process, is in every request that should have been sent meanwhile. The time from the
actual sending is kept beside it (`service`), so that the difference can be seen.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hdrh.histogram import HdrHistogram

from gateway.upstreams.http1 import HttpError, Pool, Timeouts
from loadtests.harness import CHAT

_JSON = (b"content-type", b"application/json")
_MOST = 3_600_000_000
"""Microseconds: an hour."""
CONNECTIONS = 8192
KEPT = 2.0
"""Seconds for which this client keeps a connection that nobody uses: less than servers do (5 is
usual), or a request meets the server's closing of it, and fails by the client's fault."""
HISTOGRAMS = ("latency", "service", "first", "gap", "late")
"""Of a tally, by their names in it."""
_TAIL = 64
"""Bytes that are kept of a stream, in which its end is looked for."""


def histogram() -> HdrHistogram:
    """Make one of microseconds, true to three digits from 1 µs to an hour."""
    return HdrHistogram(1, _MOST, 3)


def note(into: HdrHistogram, seconds: float) -> None:
    """Record a time; what is below a microsecond is one."""
    into.record_value(min(max(1, round(seconds * 1e6)), _MOST))


@dataclass(frozen=True, slots=True)
class Kind:
    """A request of a class, made ready: bytes to send, and how its client behaves.

    stream: the reply has to be a stream.
    leave: the client hangs up so many seconds after sending, drawn evenly between the two.
    pause: seconds between two of a slow reader's reads.
    within: seconds in which a whole reply counts as good.
    """

    name: str
    body: bytes
    stream: bool = False
    headers: tuple[tuple[bytes, bytes], ...] = ()
    leave: tuple[float, float] | None = None
    pause: float = 0.0
    within: float = 10.0


@dataclass
class Tally:
    """What became of a class in a phase. Times in microseconds; `good` are whole replies with
    status 200 within the class's bound, from the intended time. Latency has every reply that came
    to its end, whatever its status; a request without one is in `ends` alone, and in `failed`."""

    sent: int = 0
    good: int = 0
    left: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    latency: HdrHistogram = field(default_factory=histogram)
    service: HdrHistogram = field(default_factory=histogram)
    first: HdrHistogram = field(default_factory=histogram)
    gap: HdrHistogram = field(default_factory=histogram)
    late: HdrHistogram = field(default_factory=histogram)
    bytes: int = 0

    def figures(self, seconds: float) -> dict[str, Any]:
        """Write it as JSON: milliseconds, and each histogram in HDR's own encoding.

        seconds: from the phase's beginning until all of it was answered, which goodput is over: a
        queue that is worked off after the last sending is not sold as speed. `failed` got no
        whole 200, late ones included, and its client had not left.
        """
        named = {
            "latency": self.latency,
            "service": self.service,
            "first_byte": self.first,
            "gap": self.gap,
            "sent_late": self.late,
        }
        return {
            "sent": self.sent,
            "good": self.good,
            "goodput": round(self.good / seconds, 2),
            "left": self.left,
            "failed": self.sent - self.ends["200"] - self.left,
            "ends": dict(sorted(self.ends.items())),
            "bytes": self.bytes,
            **{name: quantiles(each) for name, each in named.items()},
            "hdr": {name: each.encode().decode("ascii") for name, each in named.items()},
        }


def quantiles(of: HdrHistogram) -> dict[str, float | int]:
    """Milliseconds at the usual places; only the count where there is nothing."""
    if not of.get_total_count():
        return {"n": 0}
    at = {"p50": 50, "p90": 90, "p99": 99, "p99.9": 99.9}
    told = {name: round(of.get_value_at_percentile(p) / 1e3, 3) for name, p in at.items()}
    return {"n": of.get_total_count(), **told, "max": round(of.get_max_value() / 1e3, 3)}


@dataclass
class Run:
    """Sends one phase at a time to one address, and waits for what it has sent."""

    pool: Pool
    timeouts: Timeouts
    dice: random.Random
    under_way: set[asyncio.Task[None]] = field(default_factory=set)

    async def phase(
        self,
        plan: Sequence[tuple[float, Kind]],
        seconds: float,
        told: Callable[[float, int], None] | None = None,
    ) -> dict[str, Tally]:
        """Send `plan` (seconds into the phase, what); return the tallies by class.

        `told(elapsed, under way)` is called now and then. Ends when the phase is over and all that
        was sent is answered, broken, or given up by its time-out.
        """
        tallies: dict[str, Tally] = {}
        began = time.perf_counter()
        for at, kind in plan:
            due = began + at
            while (wait := due - time.perf_counter()) > 0:
                if told is not None:
                    told(time.perf_counter() - began, len(self.under_way))
                await asyncio.sleep(min(wait, 0.25) if told else wait)
            tally = tallies.setdefault(kind.name, Tally())
            tally.sent += 1
            task = asyncio.create_task(self._one(kind, due, tally))
            self.under_way.add(task)
            task.add_done_callback(self._ended)
            if time.perf_counter() - due > 0.001:
                await asyncio.sleep(0)  # behind time: replies must not wait for the rest
        while (rest := began + seconds - time.perf_counter()) > 0:
            if told is not None:
                told(time.perf_counter() - began, len(self.under_way))
            await asyncio.sleep(min(rest, 0.25))
        if self.under_way:
            await asyncio.wait(list(self.under_way))
        return tallies

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.under_way.discard(task)

    async def _one(self, kind: Kind, due: float, tally: Tally) -> None:
        sent = time.perf_counter()
        note(tally.late, sent - due)
        leave = self.dice.uniform(*kind.leave) if kind.leave else None
        try:
            async with asyncio.timeout(leave):
                end = await self._ask(kind, due, tally)
        except TimeoutError:
            tally.left += 1
            tally.ends["left"] += 1
            return
        except HttpError as error:
            tally.ends[type(error).__name__] += 1
            return
        now = time.perf_counter()
        tally.ends[end] += 1
        note(tally.latency, now - due)
        note(tally.service, now - sent)
        if end == "200" and now - due <= kind.within:
            tally.good += 1

    async def _ask(self, kind: Kind, due: float, tally: Tally) -> str:
        """Send it and read all; return how it ended: the status, or `broken` after a 200."""
        headers = (_JSON, *kind.headers)
        data, before = b"", 0.0
        async with self.pool.exchange("POST", CHAT, headers, kind.body, self.timeouts) as exchange:
            while block := await exchange.read():
                now = time.perf_counter()
                if before:
                    note(tally.gap, now - before)
                else:
                    note(tally.first, now - due)
                before = now
                tally.bytes += len(block)
                data = (data[-_TAIL:] if kind.stream else data) + block
                if kind.pause:
                    await asyncio.sleep(kind.pause)
                    before = time.perf_counter()
            if exchange.status == 200 and not _whole(kind, data):
                return "broken"
            return str(exchange.status)


def _whole(kind: Kind, data: bytes) -> bool:
    """See whether a reply is what was asked for, to its end: by its bytes, not by what its head
    says that it is."""
    end = data.rstrip()
    if kind.stream:
        return end.endswith((b"data: [DONE]", b"data:[DONE]"))
    return end.endswith(b"}") and b'"choices"' in end


def merged(tallies: Mapping[str, Tally]) -> Tally:
    """Put the classes of a phase together."""
    whole = Tally()
    for each in tallies.values():
        whole.sent += each.sent
        whole.good += each.good
        whole.left += each.left
        whole.bytes += each.bytes
        whole.ends += each.ends
        for name in HISTOGRAMS:
            getattr(whole, name).add(getattr(each, name))
    return whole
