"""The record of one request: one entry, with every call, attempt and check behind it.

Metrics, log and database all read this one record, so that they cannot disagree. It holds no
reply, and no prompt unless the configuration asks for prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from gateway.core.baseline import Baseline
from gateway.core.decided import Decided
from gateway.core.difficulty import Difficulty
from gateway.core.errors import GatewayError, UpstreamTimeout
from gateway.core.money import Usage
from gateway.core.outcome import Attempt, CallRecord, Outcome, spent, used_by
from gateway.core.quick import maker, quick
from gateway.core.signals import Signals


@dataclass(frozen=True, slots=True)
class Escalation:
    """One move from a tier to a stronger one; `cause` is deferral, fall_through or hedge."""

    from_tier: str
    to_tier: str
    cause: str
    reason: str


@quick
@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of one request: `total` from its arrival to its last byte; `first_token` to the
    first byte of the reply (None when there was none); `upstream` spent waiting for upstreams, and
    for checks that wait;
    `decision` spent on signals, score and plan; `paused` spent waiting for the client to take
    what was sent."""

    total: float = 0.0
    first_token: float | None = None
    upstream: float = 0.0
    decision: float = 0.0
    paused: float = 0.0

    @property
    def overhead(self) -> float:
        """What the gateway itself added."""
        own = self.total - self.upstream - self.paused
        return own if own > 0.0 else 0.0  # noqa: FURB136 (hot: no call)


new_timing = maker(Timing)


@quick
@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request came from and how it was asked.

    `entry_id` is the ledger's own UUIDv7; `request_id` what the client knows it by: its own
    x-request-id when it sent one (so perhaps the same for several), else the entry's id.
    `started_at` is a UNIX time in seconds; `trace` is the trace context that the client sent, as
    `core.trace` reads it.
    """

    entry_id: str
    request_id: str
    started_at: float
    key: str = ""
    requested_model: str = ""
    api: str = "chat.completions"
    stream: bool = False
    session: str = ""
    trace: str = ""


new_origin = maker(Origin)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request turned away before there was a plan. It has no entry, since nothing was spent.

    `at` is a UNIX time in seconds; `code` is the error's own, or its type.
    """

    request_id: str
    at: float
    status: int
    code: str


def refusal(request_id: str, at: float, error: GatewayError) -> Refusal:
    """Make the record of a request that `error` turned away."""
    return Refusal(request_id, at, error.status, error.code or error.type)


@quick
@dataclass(frozen=True, slots=True)
class Entry:
    """One request, whole. Money is in nano-dollars.

    `candidate` is what a scorer that is only being tried said of it, `agreement` what that comes
    to (true: it would have started at the same tier, false, failed; empty without a candidate);
    `scoring` are the calls that the scorer in force made, and `fallback` is why it could not say
    anything of its own (empty when it could); `prompt` is kept only where the configuration says
    so. `decided` is what the decisions were made on; `propensity` is the chance that it had of
    being given the mode that it has, 1 where nothing was drawn. `prompt_hash` tells equal prompts,
    where the configuration has a key for it. `gateway_cost` is what the gateway
    itself is said to cost for a request; it is in no other sum.
    """

    origin: Origin
    route: str
    mode: str
    outcome: Outcome
    timing: Timing
    status: int
    start_tier: str
    start_reason: str
    difficulty: Difficulty | None
    threshold: float | None
    baseline: Baseline
    config: str = ""
    candidate: Difficulty | None = None
    agreement: str = ""
    scoring: tuple[CallRecord, ...] = ()
    fallback: str = ""
    prompt: Signals | None = None
    decided: Decided | None = None
    propensity: float = 1.0
    gateway_cost: int = 0
    prompt_hash: str = ""
    cost: int = field(init=False, repr=False, compare=False)
    """Everything the request cost; made of `outcome` and `scoring`."""

    def __post_init__(self) -> None:
        """Add up once what every reader of the record asks for."""
        cost = spent(self.outcome.attempts) + scoring_cost(self.scoring)
        self.cost = cost  # type: ignore[misc] # quick does not refuse it

    @property
    def policy_start(self) -> tuple[str, str]:
        """The tier at which the policy itself starts this request, and why; where it only
        observes, that is not where it started. `none` where it would have turned it away."""
        if self.mode != "observe" or self.start_reason != "mode" or self.decided is None:
            return self.start_tier, self.start_reason
        would = self.decided.would
        return (would.tiers[0].name, would.reason) if would else ("none", "refused")

    @property
    def ending(self) -> str:
        """A bounded word for how it ended."""
        return ending(self.outcome)

    @property
    def served_tier(self) -> str:
        """The tier that served, or none."""
        return self.outcome.served.tier.name if self.outcome.served else "none"

    @property
    def discarded(self) -> int:
        """What was spent on attempts that were not served."""
        served, total = self.outcome.served, 0
        for attempt in self.outcome.attempts:
            if attempt is not served:
                total += attempt.spent
        return total

    @property
    def check_cost(self) -> int:
        """What the checks cost; it is part of `cost`."""
        total = 0
        for attempt in self.outcome.attempts:
            total += attempt.check_cost
        return total

    @property
    def finish(self) -> str:
        """Why the served reply ended, in the upstream's word for its first choice."""
        reply = self.outcome.served.reply if self.outcome.served else None
        return (reply.choices[0].finish or "") if reply and reply.choices else ""

    @property
    def usage(self) -> Usage:
        """The tokens of every call."""
        return used_by(self.calls)

    @property
    def calls(self) -> list[CallRecord]:
        """Every call, in order: the scorer's, then each attempt's and its checks'."""
        calls = [*self.scoring]
        for attempt in self.outcome.attempts:
            calls += attempt.calls
            calls += attempt.checking
        return calls

    @property
    def reason(self) -> str:
        """The served attempt's reason, else the error's code."""
        if self.outcome.served is not None:
            return reason_of(self.outcome.served)
        if self.outcome.cancelled:
            return "cancelled"
        return (self.outcome.error.code or "error") if self.outcome.error else ""


new_entry = maker(Entry)


def scoring_cost(calls: Sequence[CallRecord]) -> int:
    """What a scorer's calls cost, in nano-dollars."""
    total = 0
    for call in calls:
        total += call.cost.total
    return total


def reason_of(attempt: Attempt) -> str:
    """Say why an attempt was served, in a verdict's words."""
    return attempt.verdict.reason if attempt.verdict else "passed"


def ending(outcome: Outcome) -> str:
    """Return ok, cancelled, client_error, timeout, upstream_error or internal_error."""
    if outcome.cancelled:
        return "cancelled"
    error = outcome.error
    if error is None:
        return "ok"
    if error.status == 504 or isinstance(error, UpstreamTimeout):
        return "timeout"
    if 400 <= error.status < 500 and error.status != 429:
        return "client_error"
    return "internal_error" if error.status == 500 else "upstream_error"


def status_of(outcome: Outcome) -> int:
    """Return the HTTP status to record; 499 for a client that left."""
    if outcome.cancelled:
        return 499
    return outcome.error.status if isinstance(outcome.error, GatewayError) else 200


def escalations(outcome: Outcome) -> list[Escalation]:
    """List every move up between tiers, with its cause; a fall to a lower tier is none, nor is a
    repair at the same one."""
    moves: list[Escalation] = []
    if not outcome.attempts[1:]:  # most requests, and there is nothing to look at
        return moves
    risen = [a for a in outcome.attempts if not (a.fallen or (a.outrun and a.rival))]
    for last, after in pairwise(risen):
        if last.tier.name == after.tier.name:  # a repair, or a hedge
            continue
        if last.outrun:
            cause, reason = "hedge", "slow"
        elif last.failure is not None:
            cause, reason = "fall_through", last.failure.kind
        else:
            cause, reason = "deferral", reason_of(last)
        moves.append(Escalation(last.tier.name, after.tier.name, cause, reason))
    return moves
