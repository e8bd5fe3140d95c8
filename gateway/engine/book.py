"""The calls behind one draft, or one answer of a scorer's or check's model, each from the mark
before it leaves to its record."""

from __future__ import annotations

from typing import Literal

from gateway.core.errors import UpstreamDown, UpstreamError
from gateway.core.money import FREE, Usage
from gateway.core.outcome import CallRecord, new_call_record
from gateway.core.plan import Tier
from gateway.core.ports import OpenCall, Purpose, new_open_call
from gateway.engine.state import Job, Parts

Status = Literal["ok", "failed", "left", "cancelled"]


class Book:
    """What is called for one purpose: a first try, and whatever had to be sent anew. A call is
    booked as `guess` if nobody ever hears how it ended; the slots of all marks go to `slots`."""

    def __init__(
        self,
        parts: Parts,
        job: Job,
        tier: Tier,
        guess: Usage,
        slots: list[int],
        purpose: Purpose,
        bare: bool = False,
    ) -> None:
        self._parts, self._job, self._tier, self._bare = parts, job, tier, bare
        self._guess, self._slots, self._purpose = guess, slots, purpose
        self._upstream = tier.upstream
        self._slot: int | None = None
        self._records: tuple[CallRecord, ...] = ()
        self._first: float | None = None
        self._named = ""
        self._began()

    def _began(self) -> None:
        self.call_id = self._parts.new_id()
        self._started = self._parts.clock()

    def heard(self) -> None:
        """Something of a reply is here."""
        if self._first is None:
            self._first = self._parts.clock()

    def name(self, provider_id: str) -> None:
        """Note what the upstream calls it."""
        self._named = provider_id

    def mark(self, upstream: str = "") -> None:
        """Write a call down as under way. Sent anew, for its kept connection was dead, it is one
        call more: the upstream may have seen both."""
        if self._slot is not None:
            self._lose(UpstreamDown("Its connection was dead."), None)
        self._upstream = upstream or self._tier.upstream
        self._slot = self._parts.journal.open(self._mark())
        self._slots.append(self._slot)

    def _mark(self) -> OpenCall:
        """What a crash in the middle of the call leaves to be booked by."""
        price, guess = self._tier.price, self._guess
        return new_open_call(
            call_id=self.call_id,
            entry_id=self._job.origin.entry_id,
            route=self._job.route.name,
            tier=self._tier.name,
            upstream=self._upstream,
            model=self._tier.model,
            opened_at=self._parts.wall(),
            prompt_estimate=guess.prompt,
            completion_estimate=guess.completion,
            cost_estimate=price.total(guess),
            purpose=self._purpose,
            price_version=price.version,
            price_hash=price.digest,
        )

    def retried(self, error: UpstreamError, usage: Usage | None) -> None:
        """Close a call that is made once more, with what it used (None: nothing is billed); one
        that never left has no record."""
        if self._slot is not None:
            self._lose(error, usage)
        self._started = self._parts.clock()

    def _lose(self, error: UpstreamError, usage: Usage | None) -> None:
        self._settle("failed", usage, error)
        self._named = ""
        self._began()

    def close(
        self, status: Status, usage: Usage | None, failure: UpstreamError | None
    ) -> tuple[CallRecord, ...]:
        """Settle what is still open, and return every call that has left."""
        if self._slot is not None:
            self._settle(status, usage, failure)
        return self._records

    def _settle(self, status: Status, usage: Usage | None, failure: UpstreamError | None) -> None:
        """Write the call down; it is free where nothing is billed, not where nothing was used."""
        record = new_call_record(
            call_id=self.call_id,
            tier=self._tier.name,
            upstream=self._upstream,
            model=self._tier.model,
            started=self._started - self._job.arrived,
            seconds=self._parts.clock() - self._started,
            status=status,
            usage=usage or Usage(),
            cost=FREE if usage is None else self._tier.price.cost(usage),
            first_token=None if self._first is None else self._first - self._started,
            bare=self._bare,
            error=failure.kind if failure else "",
            price=self._tier.price,
            provider_id=self._named,
        )
        if self._slot is not None:
            self._parts.journal.settle(self._slot, record)
        self._records, self._slot = (*self._records, record), None
