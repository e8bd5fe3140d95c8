"""What stands around upstreams: which deployment takes a call, and whether a failed one is retried.

A retry is made only while nothing of a reply is here, for failures that say nothing was done, and
within the budget; each is a call of its own in the ledger. A check's or a scorer's own call is not
retried: it has a fallback already.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from random import random

from gateway.core.balance import EXPLORED, draw_two, keeps_to, preferred, takes_first
from gateway.core.chat import Delta
from gateway.core.errors import UpstreamError, UpstreamRefusedUs, UpstreamTimeout
from gateway.core.pace import LATE_FROM, Pace, is_late, usual
from gateway.core.plan import Tier
from gateway.core.ports import Receive, UpstreamCall
from gateway.core.retrying import Again, RetryBudget, again
from gateway.upstreams.deployment import Deployment
from gateway.upstreams.tally import Tally


class _First:
    """Hands deltas on, and says when the first one came."""

    __slots__ = ("_clock", "_pace", "_receive", "came")

    def __init__(self, receive: Receive, clock: Callable[[], float], pace: Pace) -> None:
        self._receive, self._clock, self._pace = receive, clock, pace
        self.came = False

    def __call__(self, delta: Delta) -> Awaitable[bool]:
        if not self.came:
            self.came = True
            self._pace.heard(self, self._clock())
        return self._receive(delta)


class Balanced:
    """The deployments of one model, as one upstream; fits `gateway.core.ports.Upstream`.

    The first one's retry settings are those of all. `dice` draws from 0 to 1.
    """

    def __init__(
        self,
        deployments: Sequence[Deployment],
        clock: Callable[[], float],
        tally: Tally,
        dice: Callable[[], float] = random,
    ) -> None:
        self._all = tuple(deployments)
        self._names = [each.name for each in self._all]
        self._clock, self._tally, self._dice = clock, tally, dice
        how = self._all[0].how
        self._most = how.retries
        self._budget = RetryBudget(how.retry_share, how.retry_least, clock())

    def is_down(self, now: float) -> bool:
        """Is there none that may be asked?"""
        return not any(each.breaker.allows(now) for each in self._all)

    async def call(self, call: UpstreamCall, receive: Receive) -> None:
        """Make a call, and again where that is safe; see `gateway.core.ports.Upstream`."""
        began = self._clock()
        self._budget.call()
        tried: list[Deployment] = []
        refused: list[tuple[Deployment, UpstreamRefusedUs]] = []
        while True:
            at = self._all[0] if len(self._all) == 1 else self._choose(call, tried)
            first = _First(receive, self._clock, at.paces[call.stream])
            try:
                await at.call(self._addressed(call, at), first)
            except UpstreamError as error:
                failed = error
                self._lost(at, call, first, error)
            except asyncio.CancelledError:  # its client has left, or has no more time
                self._lost(at, call, first, None)
                raise
            else:
                if tried:
                    self._tally.count("retries", at.name, at.model, "answered")
                for other, refusal in refused:
                    other.refused_alone(refusal)
                    self._weigh(other)
                return
            finally:
                at.paces[call.stream].left(first, 0.0)
            tried.append(at)
            if isinstance(failed, UpstreamRefusedUs) and not failed.credentials:
                refused.append((at, failed))
            await self._go_on(call, failed, began, tried, begun=first.came)

    async def _go_on(
        self,
        call: UpstreamCall,
        failed: UpstreamError,
        began: float,
        tried: Sequence[Deployment],
        *,
        begun: bool,
    ) -> None:
        """Wait until a failed call is to be made again; raises its failure where it is not, as
        where something of a reply has `begun` to come."""
        wait = None if begun else self._wait(call, failed, began, tried)
        if wait is None or call.on_retry is None:
            raise failed
        call.on_retry(failed)
        if wait:
            await asyncio.sleep(wait)

    def _lost(
        self, at: Deployment, call: UpstreamCall, first: _First, error: UpstreamError | None
    ) -> None:
        """A call has failed, or was left by whom it was for: is its deployment to be sent off?"""
        if len(self._all) == 1:
            return
        pace = at.paces[call.stream]
        waited = pace.left(first, self._clock())
        late = is_late(waited, self._usual(at, call.stream))
        if late and (error is None or isinstance(error, UpstreamTimeout)):
            at.waited_in_vain(pace, waited, failed=error is not None)
        if late or error is not None:
            self._weigh(at)

    def _weigh(self, at: Deployment) -> None:
        at.eject_beside([each for each in self._all if each is not at])

    def _usual(self, at: Deployment, stream: bool) -> float:
        others = [each.paces[stream] for each in self._all if each is not at]
        return usual(at.paces[stream], others)

    async def aclose(self) -> None:
        """Nothing: the connections are the upstreams' own."""

    def _addressed(self, call: UpstreamCall, at: Deployment) -> UpstreamCall:
        if len(self._all) == 1:
            return call
        return replace(call, on_sent=partial(call.on_sent, at.name))

    def _wait(
        self, call: UpstreamCall, error: UpstreamError, began: float, tried: Sequence[Deployment]
    ) -> float | None:
        """Return the seconds after which to try again; None where the failure is the end."""
        if call.on_retry is None or not self._most:
            return None
        now, tries = self._clock(), len(tried)
        elsewhere = any(each.ready(now) for each in self._all if each not in tried)
        if not elsewhere and not tried[-1].breaker.allows(now):
            return None
        left = call.start_within - (now - began)
        then = again(error, tries, self._most, left, self._dice(), elsewhere=elsewhere)
        if isinstance(then, Again):
            if self._budget.spend(now):
                self._tally.count("retries", tried[-1].name, tried[-1].model, "made")
                return then.wait
            then = "no_budget"
        if then != "unsafe":
            self._tally.count("retries", tried[-1].name, tried[-1].model, then)
        return None

    def _choose(self, call: UpstreamCall, tried: Collection[Deployment]) -> Deployment:
        """Choose a deployment: one that is well, was not tried yet and has room, where there is
        one; the one with the conversation in its cache, or the better of two."""
        now = self._clock()
        able = [each for each in self._all if each.ready(now)] or [
            each for each in self._all if each.breaker.allows(now)
        ]
        able = [each for each in able if each not in tried] or able or list(self._all)
        able = [each for each in able if each.takes(displaced=call.displaced)] or able
        if len(able) == 1:
            return able[0]
        if _has_a_cache(call.tier) and (talk := call.affinity()):
            kept = able[preferred(talk, [each.name for each in able])]
            total = sum(each.concurrency.in_flight for each in able)
            fits = keeps_to(kept.concurrency.in_flight, total, len(able))
            if fits and not self._hangs(kept, call.stream, now):
                return kept
        if (chance := self._dice()) < EXPLORED:
            explored = able[int(chance / EXPLORED * len(able))]
            if not self._hangs(explored, call.stream, now):
                return explored
        first, second = (able[place] for place in draw_two(len(able), self._dice()))
        loads = (self._load(each, call.stream, now) for each in (first, second))
        return first if takes_first(*loads) else second

    def _hangs(self, at: Deployment, stream: bool, now: float) -> bool:
        """Is it late with whatever it has under way? Then that is what it is tried with."""
        silent = at.paces[stream].silent(now)
        return silent > LATE_FROM and is_late(silent, self._usual(at, stream))

    def _load(self, at: Deployment, stream: bool, now: float) -> float:
        pace = at.paces[stream]
        return at.load(pace.expected(now, pace.known or self._usual(at, stream)))


def _has_a_cache(tier: Tier) -> bool:
    """Does reading a prompt from the provider's cache cost less?"""
    price = tier.price
    return price.cached_input is not None and price.cached_input < price.input
