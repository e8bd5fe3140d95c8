"""A deployment: one model at one upstream, and what is known of how it fares.

Before a call it says whether it may be asked (its breaker) and when (its line); after it, it takes
note of what came. Two models at one upstream are two deployments: one's trouble is not the other's.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.config import Resilience
from gateway.core.balance import Recent, is_outlier, load
from gateway.core.breaker import Breaker
from gateway.core.chat import Delta
from gateway.core.concurrency import Concurrency, expected_wait
from gateway.core.errors import (
    NotAsked,
    UpstreamBusy,
    UpstreamError,
    UpstreamOverloaded,
    UpstreamRefusedUs,
    UpstreamRejected,
    UpstreamTimeout,
)
from gateway.core.pace import Pace, hangs
from gateway.core.ports import Receive, Upstream, UpstreamCall
from gateway.core.retrying import LONGEST_WAIT
from gateway.upstreams.tally import Tally

EJECTED_FOR = 5.0
"""Seconds for which an outlier is sent off."""
ASIDE_FOR, LONGEST_REST = 60.0, 60.0
"""Seconds until refused credentials are tried again, and for which a Retry-After is believed."""
REFUSALS = 3
"""Refusals in a row of what is no request's own fault, before a deployment is set aside."""
_SMOOTH = 0.2
_log = logging.getLogger("waterfall")


@dataclass(slots=True)
class _Turn:
    """Somebody in line."""

    turn: asyncio.Future[None]
    displaced: bool


class Deployment:
    """One model at an upstream. `clock` is monotonic, in seconds; `tally` hears what is counted."""

    def __init__(
        self,
        name: str,
        model: str,
        inner: Upstream,
        how: Resilience,
        clock: Callable[[], float],
        tally: Tally,
    ) -> None:
        self.name, self.model = name, model
        self.how = how
        self.breaker = Breaker(how.breaker_failures, how.breaker_pause)
        self.recent = Recent()
        most, adaptive = how.concurrency, how.adaptive
        self.concurrency = Concurrency(most, adaptive=adaptive, reserve=how.reserve)
        self.paces = (Pace(), Pace())
        """Of plain replies, whose first word is the whole reply, and of streamed ones."""
        self.ejected_until = 0.0
        self.set_aside = False
        self._inner, self._clock, self._tally = inner, clock, tally
        self._line: deque[_Turn] = deque()
        self._direct = 0
        self._held = 0.0
        self._refused = 0
        self._refusal = UpstreamRefusedUs("The upstream has refused the gateway's credentials.")

    @property
    def waiting(self) -> int:
        """How many wait in line."""
        return len(self._line)

    def ready(self, now: float) -> bool:
        """May it be given calls?"""
        return now >= self.ejected_until and self.breaker.allows(now)

    def load(self, latency: float) -> float:
        """How long a call here is expected to take, to compare by; `latency` as Pace.expected."""
        return load(self.concurrency.in_flight, latency, self.recent.share)

    def inherit(self, before: Deployment) -> None:
        """Know what is known of the same one before a reload, and go on to learn it together."""
        self.recent, self.paces = before.recent, before.paces
        self.ejected_until = before.ejected_until

    def takes(self, displaced: bool) -> bool:
        """Would a call begin at once?"""
        if self._line and self._ahead(displaced=displaced):
            return False
        return self.concurrency.admits(displaced)

    def refusal(self, now: float) -> UpstreamError:
        """Say why it may not be asked."""
        if self.set_aside:
            self._tally.count("shed", self.name, self.model, "credentials")
            why = self._refusal
            return UpstreamRefusedUs(why.message, credentials=why.credentials, code=why.code)
        self._tally.count("shed", self.name, self.model, "breaker")
        wait = max(self.breaker.until - now, 0.1)
        told = "The upstream has failed and is left alone for a while."
        return NotAsked(told, retry_after=wait, code="breaker_open")

    async def call(self, call: UpstreamCall, receive: Receive) -> None:
        """Make one call, in its turn; see `gateway.core.ports.Upstream`."""
        now = self._clock()
        if not self.breaker.allows(now):
            raise self.refusal(now)
        if self.takes(call.displaced):
            self.concurrency.enter(call.displaced)
        else:
            await self._wait(call)
            now = self._clock()
        ticket = self.breaker.enter(now)
        if ticket is None:  # it opened while this stood in line
            self._leave(call)
            raise self.refusal(now)
        tickets = [ticket]
        self.paces[call.stream].sent(receive, now)
        if not self.breaker.closed:
            receive = self._proving(receive, tickets)
        try:
            await self._inner.call(call, receive)
        except UpstreamError as error:
            self._failed(error, tickets[-1])
            raise
        except BaseException:
            self.breaker.leave(tickets[-1])
            raise
        else:
            self._answered(tickets[-1])
        finally:
            self._held += _SMOOTH * (self._clock() - now - self._held)
            self._leave(call)

    def _proving(self, receive: Receive, tickets: list[int]) -> Receive:
        """A probe's first delta proves that it answers again: its end may be long in coming, and
        waits for its client too. From there on it has a ticket as any other call."""

        async def heard(delta: Delta) -> bool:
            if self._proved(tickets[-1]):
                tickets.append(self.breaker.ticket)
            return await receive(delta)

        return heard

    def _leave(self, call: UpstreamCall) -> None:
        self.concurrency.leave(call.displaced)
        if self._line:
            self._next()

    def waited_in_vain(self, pace: Pace, seconds: float, *, failed: bool) -> None:
        """Hear of a call that was over late and without a word; `failed` says that it has counted
        as a failure. Where somebody left who had waited so long, that is one for the balance, and
        for nothing else: the breaker does not hear of it, for clients may be hasty."""
        pace.waited_in_vain(seconds)
        if not failed:
            self.recent.note(self._clock(), failed=True)

    def eject_beside(self, others: Sequence[Deployment]) -> bool:
        """Send it off for a while if it is an outlier among others that can serve, or hangs."""
        now = self._clock()
        able = [other for other in others if other.ready(now)]
        hung = any(map(hangs, self.paces, zip(*(each.paces for each in able), strict=True)))
        outlying = hung or is_outlier(self.recent, [each.recent for each in able])
        if now < self.ejected_until or not outlying:
            return False
        self.ejected_until = now + EJECTED_FOR
        failed = f"has failed {self.recent.share:.0%} of its calls"
        why = "was left without a word, call after call" if hung else failed
        self.recent.forget()
        self._tally.count("ejections", self.name, self.model)
        _log.warning("%s %s: ejected", self._who, why)
        return True

    @property
    def _who(self) -> str:
        return f"upstream {self.name} ({self.model})"

    # ------------------------------------------------------------------ the line

    def _ahead(self, *, displaced: bool) -> int:
        """Count those in line whom a call does not pass: what asks for this tier passes by a storm
        of what is displaced, for which there may be no room where there is room for it."""
        return len(self._line) if displaced else self._direct

    async def _wait(self, call: UpstreamCall) -> None:
        """Wait for a place, and take it. Raises NotAsked where that is not worth it."""
        longest = min(self.how.queue_wait, call.start_within / 2)
        ahead = self._ahead(displaced=call.displaced)
        expected = expected_wait(ahead, self.concurrency.limit, self._held)
        if ahead >= self.how.queue or expected > longest:
            raise self._shed("queue_full" if ahead >= self.how.queue else "queue_wait")
        began = self._clock()
        mine = _Turn(asyncio.get_running_loop().create_future(), call.displaced)
        self._line.append(mine)
        self._direct += not mine.displaced
        try:
            async with asyncio.timeout(longest):
                await mine.turn
        except BaseException as error:
            if mine.turn.done() and not mine.turn.cancelled():
                self._leave(call)  # it was given, just too late
            else:
                self._step_out(mine)
            if isinstance(error, TimeoutError):
                raise self._shed("queue_wait") from error
            raise
        finally:
            self._tally.waited(self.name, self.model, self._clock() - began)

    def _step_out(self, turn: _Turn) -> None:
        self._line.remove(turn)
        self._direct -= not turn.displaced

    def _next(self) -> None:
        """Give places that are free to those who have waited longest for their kind."""
        for each in [one for one in self._line if not one.turn.done()]:
            if self.concurrency.admits(displaced=each.displaced):
                self._step_out(each)
                self.concurrency.enter(displaced=each.displaced)
                each.turn.set_result(None)
            elif not each.displaced:
                return

    def _shed(self, why: str) -> NotAsked:
        self._tally.count("shed", self.name, self.model, why)
        told = "The upstream has as many calls as it takes."
        return NotAsked(told, retry_after=max(self._held, 1.0), code="upstream_full")

    # ------------------------------------------------------------------ what came

    def _answered(self, ticket: int) -> None:
        self.recent.note(self._clock(), failed=False)
        self.concurrency.answered()
        self._proved(ticket)

    def _proved(self, ticket: int) -> bool:
        """It answers; has that closed its breaker?"""
        self._refused = 0
        self.set_aside = False
        closed = self.breaker.succeed(ticket)
        if closed:
            self._tally.count("breaker", self.name, self.model, "closed")
            _log.warning("%s answers again", self._who)
        return closed

    def _failed(self, error: UpstreamError, ticket: int) -> None:
        if isinstance(error, UpstreamRejected):
            self._answered(ticket)  # it said so in good order
            return
        now = self._clock()
        if isinstance(error, UpstreamRefusedUs):
            self._refusing(error, ticket, now)
            return
        if isinstance(error, NotAsked):
            self.breaker.leave(ticket)  # it was never asked
            return
        busy = isinstance(error, UpstreamBusy)
        self.recent.note(now, failed=True)
        if isinstance(error, UpstreamBusy | UpstreamOverloaded | UpstreamTimeout):
            self.concurrency.too_much(now)
        wait = error.retry_after or 0.0
        if wait > LONGEST_WAIT:
            self._open(f"asked to be left alone for {wait:g} s", now + min(wait, LONGEST_REST))
        elif busy:
            self.breaker.leave(ticket)  # it is there, and has said how it is
        elif self.breaker.fail(ticket, now):
            self._opened(f"failed ({error.kind})")

    def _refusing(self, error: UpstreamRefusedUs, ticket: int, now: float) -> None:
        if error.credentials:
            self._put_aside(error, now)
            return
        self.breaker.leave(ticket)
        if error.sure:
            self._count_refusal(error, now)

    def refused_alone(self, error: UpstreamRefusedUs) -> None:
        """Hear that another one has taken what this one refused: so that was not what the request
        says."""
        now = self._clock()
        self.recent.note(now, failed=True)
        if not error.sure:
            self._count_refusal(error, now)

    def _count_refusal(self, error: UpstreamRefusedUs, now: float) -> None:
        self._refused += 1
        if self._refused >= REFUSALS:
            self._put_aside(error, now)

    def _put_aside(self, error: UpstreamRefusedUs, now: float) -> None:
        self.set_aside, self._refusal = bool(self.how.breaker_failures), error
        self._open("refuses our credentials or model: set aside", now + ASIDE_FOR)

    def _open(self, why: str, until: float) -> None:
        if self.how.breaker_failures:  # off: it is asked whatever it says
            self.breaker.rest(until)
            self._opened(why)

    def _opened(self, why: str) -> None:
        self._tally.count("breaker", self.name, self.model, "open")
        _log.error("%s %s; its breaker is open", self._who, why)
