"""A check that waits, and what it comes to when nothing can be had from it: an abstention."""

from __future__ import annotations

from typing import Protocol

from gateway.core.ports import Calls, Question
from gateway.core.verdict import Finding
from gateway.waiting.guard import GaveUp, Guard


class Waiting(Protocol):
    """A check that waits, bare."""

    async def ask(self, question: Question, seconds: float, calls: Calls) -> Finding:
        """Examine a reply; from when there is one, for `seconds` at most.

        Raises UpstreamError, TimeoutError, Unusable, Raised, or OSError for what cannot be run.
        """
        ...


class Guarded:
    """A Waiting that at worst abstains; fits `gateway.core.ports.Examiner`."""

    def __init__(self, name: str, inner: Waiting, timeout: float) -> None:
        """`timeout` is in seconds, for each reply."""
        self._inner = inner
        self._guard = Guard(f"The check {name}", "abstained", timeout)

    async def examine(self, question: Question, seconds: float, calls: Calls) -> Finding:
        """Ask, or abstain and say why: in one of `verdict.ABSTENTIONS`."""
        try:
            return await self._guard.ask(seconds, lambda s: self._inner.ask(question, s, calls))
        except GaveUp as gave_up:
            return Finding("abstain", gave_up.reason)
