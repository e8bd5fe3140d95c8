"""The calls that a scorer makes before there is a plan, and those of a check: booked like every
other call."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from gateway.core.errors import UNBILLED, UpstreamError, UpstreamTimeout
from gateway.core.money import Usage
from gateway.core.outcome import CallRecord
from gateway.core.plan import Tier
from gateway.core.ports import Answer, Purpose, Send
from gateway.engine.book import Book
from gateway.engine.state import Job, Parts, Scoring


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
        known = self._parts, self._job, tier, guess, self._slots
        book = Book(*known, self._purpose)
        read = Usage(guess.prompt, 0, estimated=True)  # of what ended without a reply
        began = self._parts.clock()
        try:
            async with asyncio.timeout(seconds):
                answer, usage = await send(book.mark)
            self._records += book.close("ok", usage or replace(guess, estimated=True), None)
        except TimeoutError as error:
            late = UpstreamTimeout(f"The call to {self._purpose} took too long.")
            self._records += book.close("failed", read, late)
            raise late from error
        except UpstreamError as error:
            used = None if error.kind in UNBILLED else read
            self._records += book.close("failed", used, error)
            raise
        except BaseException as error:
            gone = isinstance(error, asyncio.CancelledError)
            self._records += book.close("cancelled" if gone else "failed", read, None)
            raise
        finally:
            self._waited += self._parts.clock() - began
        return answer
