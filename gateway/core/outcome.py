"""What happened: calls, attempts made of them, and the outcome made of those."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from gateway.core.chat import Delta, Reply
from gateway.core.errors import GatewayError, UpstreamError
from gateway.core.money import FREE, UNPRICED, Cost, Price, Usage
from gateway.core.plan import Tier
from gateway.core.quick import changer, maker, quick
from gateway.core.verdict import BARRED, FALL_DOWN, Evidence, Verdict


@quick
@dataclass(frozen=True, slots=True)
class CallRecord:
    """One request on an upstream's wire, and what came of it. Times are in seconds; `started` is
    counted from the request's start; `first_token` and `seconds` from the call's own. `price` is
    what `cost` was reckoned by; a call that nothing was billed for is free all the same.
    `provider_id` is what the upstream itself calls the request, where it says."""

    call_id: str
    tier: str
    upstream: str
    model: str
    started: float
    seconds: float
    status: Literal["ok", "failed", "left", "cancelled"]
    usage: Usage = field(default_factory=Usage)
    cost: Cost = FREE
    first_token: float | None = None
    bare: bool = False
    error: str = ""
    price: Price = UNPRICED
    provider_id: str = ""


new_call_record = maker(CallRecord)


@quick
@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at a tier: its calls, and what came of them.

    `held` is what was kept back from the client and may still be released. `altered` says that
    the request carried additions of ours (recipe, asked-for log-probabilities or usage).
    `left` marks a draft abandoned: on the strength of its prefix, whose verdict it then has, or
    without any because it was outrun. `rival` says that it was started beside another one,
    `fallen` that it is a try at a tier under the first, since nothing better had answered. `late`
    is the verdict on the whole reply when it was released before there was one: how often a
    prefix fooled us. `checking` are the calls that its checks made; what they cost is in
    `evidence` too. `fitted` is what was dropped and renamed for the tier's model (Dispatch).
    """

    tier: Tier
    calls: tuple[CallRecord, ...] = ()
    reply: Reply | None = None
    evidence: tuple[Evidence, ...] = ()
    verdict: Verdict | None = None
    failure: UpstreamError | None = None
    released: bool = False
    held: tuple[Delta, ...] = ()
    altered: bool = False
    bare: bool = False
    left: bool = False
    late: Verdict | None = None
    fallen: bool = False
    checking: tuple[CallRecord, ...] = ()
    rival: bool = False
    fitted: tuple[str, ...] = ()
    said_again: Usage | None = None
    spent: int = field(init=False, repr=False, compare=False)
    """Everything it cost, in nano-dollars; made of `calls` and `evidence`."""

    def __post_init__(self) -> None:
        """Add up once what a ceiling, the record and its readers ask for."""
        total = 0
        for item in self.evidence:
            total += item.cost
        for call in self.calls:
            total += call.cost.total
        self.spent = total  # type: ignore[misc] # quick does not refuse it

    @property
    def barred(self) -> bool:
        """Was a check not bought, for want of money or time?"""
        for item in self.evidence:
            if item.finding.reason in BARRED:
                return True
        return False

    @property
    def outrun(self) -> bool:
        """Was it given up because it was not needed? Then it decides nothing, as if it had not
        been made; only its cost counts."""
        return self.left and self.verdict is None

    @property
    def usage(self) -> Usage:
        """The tokens of all its calls."""
        return used_by(self.calls)

    @property
    def cost(self) -> Cost:
        """What its calls cost, by kind; checks are counted apart."""
        return sum((call.cost for call in self.calls), FREE)

    @property
    def check_cost(self) -> int:
        """What its checks cost, in nano-dollars."""
        total = 0
        for item in self.evidence:  # loops: these are asked a dozen times a request
            total += item.cost
        return total

    @property
    def deliverable(self) -> bool:
        """Is there a whole reply that could still be sent?"""
        return self.reply is not None and self.failure is None and not self.left


new_attempt = maker(Attempt)
change_attempt = changer(Attempt)


@quick
@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended: what was served (None when nothing was), and everything tried."""

    attempts: tuple[Attempt, ...] = ()
    served: Attempt | None = None
    degraded: bool = False
    error: GatewayError | None = None
    cancelled: bool = False

    @property
    def escalated(self) -> bool:
        """Was it served from a tier above the first tried?"""
        if self.served is None or self.served is self.attempts[0]:
            return False
        if self.served.verdict == FALL_DOWN:
            return False
        first = next(each for each in self.attempts if not (each.outrun and each.rival))
        return self.served.tier.name != first.tier.name

    @property
    def spent(self) -> int:
        """Everything the request cost, in nano-dollars: discarded attempts and checks included."""
        return spent(self.attempts)


def spent(attempts: Sequence[Attempt]) -> int:
    """Everything these attempts cost, in nano-dollars."""
    total = 0
    for attempt in attempts:
        total += attempt.spent
    return total


def used_by(calls: Iterable[CallRecord]) -> Usage:
    """Add up the tokens of calls."""
    total: Usage | None = None
    for call in calls:
        total = call.usage if total is None else total + call.usage
    return Usage() if total is None else total
