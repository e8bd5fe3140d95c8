"""The calls that a scorer makes before there is a plan, and those of a check: booked like every
other call."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Literal

from gateway.core.errors import UNBILLED, UpstreamError, UpstreamTimeout
from gateway.core.money import FREE, Usage
from gateway.core.outcome import CallRecord
from gateway.core.plan import Tier
from gateway.core.ports import Answer, Purpose, Send
from gateway.engine.marking import open_call
from gateway.engine.state import Job, Parts, Scoring

Status = Literal["ok", "failed", "cancelled"]


class BookedCalls:
    """One request's book of them; fits `gateway.core.ports.Calls`."""

    def __init__(self, parts: Parts, job: Job, purpose: Purpose = "score") -> None:
        """Begin with none; `purpose` is score or check."""
        self._parts, self._job, self._purpose = parts, job, purpose
        self._records: list[CallRecord] = []
        self._slots: list[int] = []
        self._waited = 0.0

    @property
    def book(self) -> Scoring:
        """What has been called so far."""
        return Scoring(tuple(self._records), tuple(self._slots), self._waited)

    async def make(self, tier: Tier, guess: Usage, seconds: float, send: Send[Answer]) -> Answer:
        """Make one call; see `gateway.core.ports.Calls`."""
        call = _Call(self._parts, self._job, tier, guess, self._purpose)
        began = self._parts.clock()
        try:
            async with asyncio.timeout(seconds):
                answer, usage = await send(call.mark)
            call.end("ok", usage or replace(guess, estimated=True))
        except TimeoutError as error:
            late = UpstreamTimeout(f"The call to {self._purpose} took too long.")
            call.end("failed", call.unreported(), late.kind)
            raise late from error
        except UpstreamError as error:
            used = None if error.kind in UNBILLED else call.unreported()
            call.end("failed", used, error.kind)
            raise
        except BaseException as error:
            gone = isinstance(error, asyncio.CancelledError)
            call.end("cancelled" if gone else "failed", call.unreported())
            raise
        finally:
            self._waited += self._parts.clock() - began
            self._records += call.records
            self._slots += call.slots
        return answer


@dataclass(frozen=True, slots=True)
class _Sent:
    call_id: str
    slot: int
    at: float
    upstream: str


class _Call:
    """From its mark to its record. Sent anew over a dead connection, it is one call more."""

    def __init__(self, parts: Parts, job: Job, tier: Tier, guess: Usage, purpose: Purpose) -> None:
        self._parts, self._job, self._tier, self._guess = parts, job, tier, guess
        self._purpose = purpose
        self._sent: _Sent | None = None
        self.records: list[CallRecord] = []
        self.slots: list[int] = []

    def unreported(self) -> Usage:
        """What is assumed of a call that ended without a reply: its prompt was read."""
        return Usage(self._guess.prompt, 0, estimated=True)

    def mark(self, upstream: str = "") -> None:
        """Write the call down as under way, in the instant before it leaves."""
        self.end("failed", None, "connect")
        call_id, tier = self._parts.new_id(), self._tier
        upstream = upstream or tier.upstream
        slot = open_call(
            *(self._parts, self._job, call_id, tier, self._guess, self._purpose), upstream
        )
        self._sent = _Sent(call_id, slot, self._parts.clock(), upstream)
        self.slots.append(slot)

    def end(self, status: Status, usage: Usage | None, error: str = "") -> None:
        """Write down how it ended; None was billed nothing. What never left leaves no record."""
        sent, self._sent = self._sent, None
        if sent is None:
            return
        record = CallRecord(
            call_id=sent.call_id,
            tier=self._tier.name,
            upstream=sent.upstream,
            model=self._tier.model,
            started=sent.at - self._job.arrived,
            seconds=self._parts.clock() - sent.at,
            status=status,
            usage=usage or Usage(),
            cost=FREE if usage is None else self._tier.price.cost(usage),
            error=error,
            price=self._tier.price,
        )
        self._parts.journal.settle(sent.slot, record)
        self.records.append(record)
