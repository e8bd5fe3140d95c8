"""The x-waterfall response headers: what was decided, by what, and what it cost."""

from __future__ import annotations

from gateway.api.http import Headers
from gateway.core.difficulty import Difficulty
from gateway.core.ledger import Entry, reason_of
from gateway.core.money import dollars
from gateway.core.outcome import Outcome
from gateway.engine import Job

PENDING: Headers = [(b"x-waterfall-tier", b"pending")]
"""What a stream says that is opened before anybody serves it."""


def ids(request_id: str) -> Headers:
    """Return the headers that every response has."""
    return [(b"x-request-id", request_id.encode())]


def decision(job: Job) -> Headers:
    """Return what was decided before any call."""
    plan = job.plan
    headers = [
        (b"x-waterfall-route", job.route.name.encode()),
        (b"x-waterfall-start", f"{plan.tiers[0].name}; {plan.reason}".encode()),
        *_difficulty(job.difficulty),
    ]
    if job.threshold is not None:
        headers.append((b"x-waterfall-threshold", b"%g" % job.threshold))
    return headers


def _difficulty(difficulty: Difficulty | None) -> Headers:
    if difficulty is None:
        return []
    headers = [
        (b"x-waterfall-difficulty", b"%.4f" % difficulty.value),
        (b"x-waterfall-scorer", difficulty.scorer.encode()),
    ]
    if difficulty.gain is not None:
        headers.append((b"x-waterfall-gain", b"%.4f" % difficulty.gain))
    return headers


def served(outcome: Outcome, simulated: frozenset[str]) -> Headers:
    """Return who served, and after what. Empty when nobody did."""
    attempt = outcome.served
    headers = [(b"x-waterfall-attempts", b"%d" % len(outcome.attempts))]
    if attempt is None:
        return headers
    tier = attempt.tier
    headers += [
        (b"x-waterfall-tier", tier.name.encode()),
        (b"x-waterfall-escalated", b"true" if outcome.escalated else b"false"),
        (b"x-waterfall-reason", reason_of(attempt).encode()),
        (b"x-waterfall-degraded", b"true" if outcome.degraded else b"false"),
    ]
    if tier.recipe is not None:
        headers.append((b"x-waterfall-recipe", tier.recipe.label.encode()))
    if tier.name in simulated:
        headers.append((b"x-waterfall-simulated", b"true"))
    return headers


def money(entry: Entry) -> Headers:
    """Return what the request cost, and what its baseline would have."""
    return [
        (b"x-waterfall-cost-usd", dollars(entry.cost).encode()),
        (b"x-waterfall-baseline-usd", dollars(entry.baseline.cost).encode()),
    ]
