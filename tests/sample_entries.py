"""Ledger entries for tests, with unmistakable numbers."""

from __future__ import annotations

import itertools

from gateway.core.baseline import Baseline
from gateway.core.difficulty import Difficulty
from gateway.core.errors import UpstreamTimeout
from gateway.core.ledger import Entry, Origin, Timing, status_of
from gateway.core.money import Price, Usage
from gateway.core.outcome import Attempt, CallRecord, Outcome
from gateway.core.plan import Tier
from gateway.core.ports import OpenCall
from gateway.core.routing import Route
from gateway.core.verdict import LAST_TIER, Bar, CheckSpec, Evidence, Finding, Verdict

SMALL = Tier(
    "small",
    "near",
    "mini-1",
    Price(input=250_000_003, output=2_000_000_007, cached_input=25_000_001, version="book-1"),
    bar=Bar(checks=(CheckSpec("shape"), CheckSpec("judge", 1_000, waits=True))),
)
LARGE = Tier("large", "far", "maxi-1", Price(1_250_000_011, 10_000_000_013, version="book-1"))
ROUTE = Route("waterfall", (SMALL, LARGE))
USAGE = Usage(101, 31, cached=17)
BASELINE = Baseline("large", 123_456_789, usage=Usage(103, 37, cached=7), price="ba5e")
NUMBERS = itertools.count(1)


def call(tier=SMALL, status="ok", usage=USAGE, number=None, **more):
    more.setdefault("price", tier.price)
    number = next(NUMBERS) if number is None else number
    return CallRecord(
        call_id=f"call-{number}",
        tier=tier.name,
        upstream=tier.upstream,
        model=tier.model,
        started=0.25,
        seconds=1.5,
        status=status,
        usage=usage,
        cost=tier.price.cost(usage),
        first_token=0.125,
        **more,
    )


def attempt(tier=SMALL, verdict=LAST_TIER, **more):
    more.setdefault("calls", (call(tier),))
    return Attempt(tier, verdict=verdict, **more)


DEFER = Verdict(accepted=False, reason="low_confidence", confidence=0.31)
FAILED_CHECK = Evidence("judge", Finding("fail", "low_confidence", 0.31), 0.02, 1_003)


def entry(outcome=None, name="", **more):
    outcome = outcome or Outcome(attempts=(served := attempt(),), served=served)
    number = next(NUMBERS)
    known = {
        "origin": Origin(f"entry-{number}", name or f"request-{number}", 1_700_000_000.0 + number),
        "route": "waterfall",
        "mode": "enforce",
        "outcome": outcome,
        "timing": Timing(total=2.0, first_token=0.5, upstream=1.75, decision=0.0003),
        "status": status_of(outcome),
        "start_tier": outcome.attempts[0].tier.name if outcome.attempts else "small",
        "start_reason": "score",
        "difficulty": Difficulty(0.42, 0.1, (0.6, 0.9), "linear@3"),
        "threshold": 0.8,
        "baseline": BASELINE,
        "config": "c0ffee",
    }
    return Entry(**(known | more))


def examined(**more):
    """Served after a judge's word that cost a call, and one that came too late."""
    asked = call(LARGE)
    told = Evidence("judge", Finding("pass", "", 0.97), 1.25, asked.cost.total)
    late = Evidence("judge", Finding("abstain", "timeout"), 5.0)
    served = attempt(evidence=(told, late), checking=(asked,))
    return entry(Outcome(attempts=(served,), served=served), **more)


def escalated(**more):
    draft = attempt(SMALL, DEFER, evidence=(FAILED_CHECK,))
    served = attempt(LARGE)
    return entry(Outcome(attempts=(draft, served), served=served), **more)


def fallen_through(**more):
    usage = Usage(90, 0, estimated=True)
    broken = call(SMALL, "failed", usage, error="timeout")
    draft = attempt(SMALL, None, calls=(broken,), failure=UpstreamTimeout("too slow"))
    served = attempt(LARGE)
    return entry(Outcome(attempts=(draft, served), served=served), **more)


def cancelled(**more):
    draft = attempt(SMALL, None, calls=(call(SMALL, "cancelled"),))
    return entry(Outcome(attempts=(draft,), cancelled=True), **more)


def failed(**more):
    error = UpstreamTimeout("too slow")
    draft = attempt(SMALL, None, calls=(call(SMALL, "failed", error="timeout"),), failure=error)
    return entry(Outcome(attempts=(draft,), error=error), **more)


def open_call(number=None, entry_id="entry-x", **more):
    number = next(NUMBERS) if number is None else number
    known = {
        "call_id": f"call-{number}",
        "entry_id": entry_id,
        "route": "waterfall",
        "tier": "small",
        "upstream": "near",
        "model": "mini-1",
        "opened_at": 1_700_000_000.5,
        "prompt_estimate": 99,
        "completion_estimate": 256,
        "cost_estimate": 777_001,
    }
    return OpenCall(**(known | more))


def said_again(**more):
    """Answered by a reply that was kept."""
    verdict = Verdict(accepted=True, reason="cached")
    served = attempt(verdict=verdict, calls=(), said_again=Usage(90, 20))
    return entry(Outcome(attempts=(served,), served=served), **more)
