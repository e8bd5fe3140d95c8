"""Whether a failed call is made once more, and when: only what is safe, and only within a budget.

The budget is a share of traffic and not a count for each request: when everything fails, retries
add that share to the load and no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gateway.core.errors import (
    NotAsked,
    NotFoundThere,
    UpstreamBusy,
    UpstreamDown,
    UpstreamError,
    UpstreamOverloaded,
    UpstreamRefusedUs,
)

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds before the first retry at the same place, doubling from there, before jitter."""
LONGEST_WAIT = 2.0
"""Seconds: a Retry-After over that is not waited for; whoever said it is left alone instead."""
SAVED = 10.0
"""Seconds whose minimum of retries can be saved up."""

NoRetry = Literal["unsafe", "most", "no_time", "no_budget"]


class RetryBudget:
    """Each call saves `share` of a retry, each second `least` of one; a retry spends a whole one.

    Over any time there are at most `share` x calls + `least` x (seconds + SAVED) retries, and one.
    """

    __slots__ = ("_at", "_least", "_most", "_share", "saved")

    def __init__(self, share: float, least: float, now: float) -> None:
        self._share, self._least = share, least
        self._most = least * SAVED + (1.0 if share or least else 0.0)
        self._at = now
        self.saved = self._most

    def call(self) -> None:
        """Count a call."""
        saved, most = self.saved + self._share, self._most + SAVED * self._share
        self.saved = saved if saved < most else most  # noqa: FURB136 (hot: no call)

    def spend(self, now: float) -> bool:
        """Is there a retry left? Then it is spent."""
        due = (now - self._at) * self._least
        self._at = now
        if self.saved < self._most:
            self.saved = min(self.saved + due, self._most)
        if self.saved < 1.0:
            return False
        self.saved -= 1.0
        return True


@dataclass(frozen=True, slots=True)
class Again:
    """Make the call once more, after `wait` seconds."""

    wait: float


def is_safe(error: UpstreamError, *, elsewhere: bool) -> bool:
    """May a call that failed so, before anything of a reply was here, be made once more? Where the
    upstream was too slow, a second wait would only be longer; what it rejects, it rejects again;
    and a reply that is too large is paid for each time. Where our credentials or model were
    refused, or what the request names was not there, nothing was done; `elsewhere`, at another
    deployment, it may be."""
    if isinstance(error, NotAsked | UpstreamRefusedUs | NotFoundThere):
        return elsewhere
    return isinstance(error, UpstreamBusy | UpstreamOverloaded | UpstreamDown) and not error.lasting


def again(
    error: UpstreamError, tries: int, most: int, left: float, chance: float, *, elsewhere: bool
) -> Again | NoRetry:
    """Decide on a call that failed on its `tries`-th try, before anything of a reply was here.

    `left` are the seconds in which a reply must begin, `chance` is drawn from 0 to 1, and
    `elsewhere` says that another deployment could take it: that one is asked at once.
    """
    if not is_safe(error, elsewhere=elsewhere):
        return "unsafe"
    if tries > most:
        return "most"
    if elsewhere:
        return Again(0.0) if left > 0 else "no_time"
    told = error.retry_after
    if told is not None and told > LONGEST_WAIT:
        return "no_time"
    pause = min(FIRST_PAUSE * 2.0 ** (tries - 1), LONGEST_PAUSE) * (0.5 + chance / 2)
    wait = pause if told is None else told + pause
    return Again(wait) if wait < left else "no_time"
