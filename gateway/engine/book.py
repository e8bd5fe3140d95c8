"""The calls behind one draft, each from the mark before it leaves to its record."""

from __future__ import annotations

from typing import Literal

from gateway.core.errors import UpstreamDown, UpstreamError
from gateway.core.money import FREE, Usage
from gateway.core.outcome import CallRecord
from gateway.core.plan import Tier
from gateway.core.routing import reply_tokens
from gateway.engine.marking import open_call
from gateway.engine.state import Run

Status = Literal["ok", "failed", "left", "cancelled"]


class Book:
    """One draft's: a first try, and whatever had to be sent anew. `prompt` is the estimate of the
    prompt's tokens, by which a call is booked if nobody ever hears how it ended."""

    def __init__(self, run: Run, tier: Tier, prompt: int, *, bare: bool) -> None:
        self._run, self._tier, self._bare = run, tier, bare
        self._parts, self._job = run.parts, run.job
        self._guess = Usage(prompt, reply_tokens(run.job.signals))
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
        self._slot = open_call(
            *(self._parts, self._job, self.call_id, self._tier, self._guess, self._job.purpose),
            self._upstream,
        )
        self._run.slots.append(self._slot)

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
        record = CallRecord(
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
