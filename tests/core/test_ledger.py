from __future__ import annotations

import pytest
from sample_entries import (
    LARGE,
    SMALL,
    USAGE,
    attempt,
    call,
    cancelled,
    entry,
    escalated,
    failed,
    fallen_through,
)
from sample_rows import whole_row as row

from gateway.core.errors import (
    BadRequest,
    DeadlineExceeded,
    Exhausted,
    GatewayError,
    StreamBroken,
    UpstreamBusy,
    UpstreamDown,
    UpstreamTimeout,
)
from gateway.core.ledger import (
    Refusal,
    Timing,
    ending,
    escalations,
    refusal,
    status_of,
)
from gateway.core.outcome import Outcome

ENDINGS = {
    "ok": (None, "ok", 200),
    "deadline": (DeadlineExceeded("late"), "timeout", 504),
    "one timeout": (UpstreamTimeout("slow"), "timeout", 504),
    "all timeouts": (Exhausted([("small", UpstreamTimeout("slow"))]), "timeout", 504),
    "the client's mistake": (BadRequest("bad"), "client_error", 400),
    "all busy": (Exhausted([("small", UpstreamBusy("busy"))]), "upstream_error", 429),
    "broken stream": (StreamBroken("broke"), "upstream_error", 502),
    "down": (Exhausted([("small", UpstreamDown("down"))]), "upstream_error", 502),
    "our fault": (GatewayError("oh"), "internal_error", 500),
}


@pytest.mark.parametrize(("error", "word", "status"), ENDINGS.values(), ids=ENDINGS)
def test_endings(error, word, status):
    outcome = Outcome((), error=error)
    assert (ending(outcome), status_of(outcome)) == (word, status)


def test_a_client_that_left():
    kept = cancelled()
    assert (kept.ending, kept.status, kept.reason, kept.served_tier) == (
        "cancelled",
        499,
        "cancelled",
        "none",
    )


def test_what_the_scorer_called_is_spent_and_not_discarded():
    asked = (call(SMALL), call(SMALL, "failed"))
    plain, kept = entry(), entry(scoring=asked)
    assert kept.cost - plain.cost == sum(each.cost.total for each in asked) > 0
    assert (kept.discarded, kept.outcome.spent) == (plain.discarded, plain.outcome.spent)
    assert list(kept.calls)[:2] == list(asked)
    assert kept.usage.prompt == plain.usage.prompt + 2 * USAGE.prompt
    assert [each["call_id"] for each in row(kept)["scoring"]] == [each.call_id for each in asked]
    assert row(kept)["cost"] == kept.cost


def test_a_refusal_goes_by_its_error_s_code_or_type():
    assert refusal("r-1", 5.0, UpstreamTimeout("slow")).code == "upstream_timeout"
    bad = BadRequest("bad")
    assert refusal("r-1", 5.0, bad) == Refusal("r-1", 5.0, 400, bad.type)


def test_overhead_is_neither_the_upstream_s_nor_the_client_s():
    assert Timing(2.0, upstream=1.75).overhead == 0.25
    assert Timing(2.0, upstream=1.0, paused=0.75).overhead == 0.25
    assert Timing(1.0, upstream=1.5).overhead == 0.0


def test_money_and_tokens_of_an_escalated_request():
    kept = escalated()
    small, _ = kept.outcome.attempts
    assert kept.discarded == small.spent == SMALL.price.cost(USAGE).total + 1_003
    assert kept.cost == small.spent + LARGE.price.cost(USAGE).total
    assert kept.usage == USAGE + USAGE
    assert [each.tier for each in kept.calls] == ["small", "large"]
    assert (kept.served_tier, kept.reason) == ("large", "last_tier")


def test_escalations_and_their_causes():
    (by_verdict,) = escalations(escalated().outcome)
    assert (by_verdict.cause, by_verdict.reason) == ("deferral", "low_confidence")
    (by_failure,) = escalations(fallen_through().outcome)
    assert (by_failure.cause, by_failure.reason) == ("fall_through", "timeout")
    assert (by_failure.from_tier, by_failure.to_tier) == ("small", "large")


def test_a_fall_is_no_escalation():
    failure = UpstreamTimeout("too slow")
    broken = [attempt(tier, None, failure=failure) for tier in (SMALL, LARGE)]
    fallen = [attempt(SMALL, None, failure=failure, fallen=True), attempt(SMALL, fallen=True)]
    (move,) = escalations(Outcome((*broken, *fallen), fallen[-1], degraded=True))
    assert (move.from_tier, move.to_tier) == ("small", "large")
    assert escalations(Outcome((broken[1], *fallen), fallen[-1], degraded=True)) == []


def test_an_unjudged_draft_passed_as_far_as_anyone_knows():
    outcome = Outcome((attempt(SMALL, None), attempt(LARGE)))
    assert escalations(outcome)[0].reason == "passed"


def test_the_reason_of_a_failure_is_its_code():
    assert failed().reason == "upstream_timeout"
    assert entry(Outcome((), error=BadRequest("bad"))).reason == "error"
    assert entry(Outcome(())).reason == ""
