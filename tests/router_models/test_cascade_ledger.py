"""Which labelled requests of a ledger can be fitted to, and what is said of them."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.core.plan import Tier
from gateway.core.signals import Signals
from gateway.store.histories import History
from router_models.cascade import ledger
from router_models.difficulty.formats import DataError

SMALL, LARGE = Tier("small", "near", "mini-1"), Tier("large", "far", "maxi-1")
WANTED = ledger.Wanted(SMALL, LARGE, "sums@2", frozenset({"logprob"}), frozenset({"judge", "own"}))


def check(name="judge", result="pass", confidence=0.75, cost=1_003, reason=""):
    return {
        "check": name,
        "result": result,
        "confidence": confidence,
        "cost": cost,
        "reason": reason,
    }


def attempt(tier="small", checks=(), model="", status="ok", cost=5_000, **more):
    called = {"status": status, "model": model or {"small": "mini-1"}.get(tier, "maxi-1")}
    return {
        "tier": tier,
        "left": 0,
        "failure": "",
        "verdict": "accept",
        "reason": "passed",
        "recipe": "",
        "calls": [{**called, "cost": cost}],
        "checks": list(checks),
        **more,
    }


def history(*attempts, good=(1.0, 0.0), number=0, **more):
    row = {
        "entry_id": f"entry-{number}",
        "scorer": "sums@2",
        "score": 0.3,
        "difficulty": 0.4,
        "met": 0,
        "p_good": [0.6, 0.9],
        "baseline_tier": "large",
        "baseline_cost": 90_000,
    }
    labels = {"small": good[0], "large": good[1]}
    known = {tier: label for tier, label in labels.items() if label is not None}
    return History(row={**row, **more}, attempts=attempts or (attempt(),), good=known)


def only(found):
    """The one request that was read."""
    (seen,), told = ledger.read_seen([found], WANTED)
    assert (told.requests, dict(told.left_out)) == (1, {})
    return seen


def test_a_request_is_read_with_what_its_checks_said_and_what_both_tiers_cost():
    checks = [
        check("shape", confidence=None, cost=0),
        check("logprob", confidence=0.8, cost=0),
        check("judge"),
        check("gone", confidence=0.1),
        check("own", "abstain", None, 7, "timeout"),
    ]
    seen = only(history(attempt(checks=checks)))
    assert seen.said == {"logprob": 0.8, "judge": 0.75, "own": None}
    assert seen.paid == {"logprob": 0, "judge": 1_003, "own": 7}
    assert (seen.good, seen.costs, seen.deferred) == ((1.0, 0.0), (5_000, 90_000), False)
    told = history(attempt(verdict="defer"), attempt("large", cost=70_001), baseline_tier="none")
    assert only(told).costs == (5_000, 70_001)
    assert only(told).deferred
    assert only(history(baseline_tier="none")).costs == (5_000, None)
    words = [check(result="fail", confidence=None), check("own", "pass", None)]
    assert only(history(attempt(checks=words))).said == {"judge": 0.0, "own": 1.0}


def test_a_check_that_was_not_bought_was_not_put():
    for reason in ("budget", "deadline", "left"):
        unbought = check(result="abstain", confidence=None, reason=reason)
        assert only(history(attempt(checks=[unbought]))).said == {}


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (history(good=(1.0, None)), "without a label at large"),
        (history(good=(None, None)), "without a label at small and large"),
        (history(scorer="other@1"), "not scored by sums@2"),
        (history(score=None), "not scored by sums@2"),
        (history(met=1), "that sums@2 was trained on"),
        (history(attempt("large")), "whose small was not asked"),
        (history(attempt(left=1)), "whose small was not asked"),
        (history(attempt(), attempt()), "whose small was asked more than once"),
        (history(attempt(failure="timeout")), "whose small failed or was not heard out"),
        (history(attempt(status="cancelled")), "whose small failed or was not heard out"),
        (history(attempt(calls=[])), "whose small failed or was not heard out"),
        (history(attempt(model="mini-0")), "by another model or recipe than small has now"),
        (history(attempt(recipe="terse@1")), "by another model or recipe than small has now"),
        (history(attempt(reason="prefix_passed")), "judged by a part of the reply"),
        (history(attempt(reason="trusted")), "judged by a part of the reply"),
        (
            history(attempt(checks=[check("refusal", "fail")])),
            "wrong form: it is deferred whatever",
        ),
    ],
)
def test_what_cannot_be_used_is_counted_with_the_reason(found, why):
    seen, told = ledger.read_seen([found], WANTED)
    assert seen == []
    ((reason, count),) = told.left_out.items()
    assert (why in reason, count) == (True, 1)


def many(count, checks=lambda n: [check(confidence=0.9 - 0.1 * (n % 5))], **more):
    return [
        history(attempt(checks=checks(n)), number=n, good=(n % 2, 1.0), **more)
        for n in range(count)
    ]


def rows(found, prompts=None):
    seen, told = ledger.read_seen(found, WANTED)
    used, pairs = ledger.as_pairs(seen, told, WANTED, prompts or {}, "waterfall.db")
    return used, pairs, ledger.notes(used, seen, told, pairs), told


def test_rows_are_as_a_pair_file_has_them():
    free = [check("logprob", confidence=0.5, cost=0), check("own", cost=0), check("judge")]
    prompts = {"entry-0": Signals(text="Why?")}
    used, pairs, notes, _ = rows(many(120, lambda n: free), prompts)
    assert (pairs.free, pairs.paid) == (("logprob",), ("own", "judge"))
    assert pairs.weak.tolist() == [n % 2 for n in range(120)]
    assert pairs.weak_cost[0] == pytest.approx(5e-6)
    assert pairs.strong_cost[0] == pytest.approx(9e-5)
    assert pairs.prices["judge"][0] == pytest.approx(1.003e-6)
    assert (pairs.prompted, notes) == (True, [])
    priors = ledger.priors_of(used, [0.25] * 120)
    assert (priors.own[0], priors.next[0], priors.difficulty[0]) == (0.6, 0.9, 0.25)
    unknown = ledger.priors_of(rows(many(100, p_good=[]))[0], [0.0] * 100)
    assert np.isnan(unknown.own).all()
    assert np.isnan(unknown.next).all()


def test_a_check_put_to_some_costs_the_other_rows_or_is_no_evidence():
    most = many(150, lambda n: [check()] if n < 120 else [])
    used, pairs, _, told = rows(most)
    assert (len(used), pairs.paid) == (120, ("judge",))
    assert told.left_out == {"that not every check was put to": 30}
    few = many(150, lambda n: [check()] if n < 60 else [])
    used, pairs, notes, _ = rows(few)
    assert (len(used), pairs.paid) == (150, ())
    assert notes[0].startswith("judge is no evidence here: it was put to 60 of 150")
    assert "no prompts are kept" in notes[1]


def test_too_few_are_told_with_what_is_missing_and_how_to_get_it():
    with pytest.raises(DataError) as raised:
        rows([*many(99), history(good=(1.0, None)), history(met=1)])
    said = str(raised.value)
    assert "99 labelled requests can be tuned on, at least 100 are needed" in said
    assert "Of 101 requests 100 have a label at small and at large" in said
    assert "1 without a label at large; 1 that sums@2 was trained on" in said
    assert "POST /v1/feedback" in said


def test_deferred_replies_alone_say_nothing_of_accepted_ones():
    deferred = [history(attempt(verdict="defer"), attempt("large"), number=n) for n in range(120)]
    accepted = [history(attempt(), good=(1.0, None)) for _ in range(40)]
    with pytest.raises(DataError, match="was deferred, and 40 others were not"):
        rows([*deferred, *accepted])
    assert rows(deferred)[1].weak.tolist() == [1.0] * 120  # all there ever were


def test_a_price_that_nobody_knows_is_not_made_up():
    with pytest.raises(DataError, match="no request says what large costs"):
        rows(many(120, baseline_tier="none"))
    one = [*many(119, baseline_tier="none"), *many(1)]
    assert rows(one)[1].strong_cost.tolist() == pytest.approx([9e-5] * 120)


def test_those_used_are_held_against_the_traffic():
    hard = many(110, difficulty=0.9)
    easy = [history(good=(None, None), difficulty=0.1 + n / 5_000) for n in range(500)]
    notes = rows([*hard, *easy])[2]
    assert "not like the traffic: mean difficulty 0.900, of all that have one 0.2" in notes[0]
    like = [history(good=(None, None)) for n in range(500)]
    assert not any("not like" in note for note in rows([*many(110), *like])[2])
    bad = [history(good=(0.0, None)) for n in range(100)]
    notes = rows([*many(110), *bad])[2]
    assert "mean label of the first tier 0.500, of all that have one 0.262" in notes[0]
    notes = rows([*many(110), *[history(good=(None, n % 2)) for n in range(100)]])[2]
    assert "mean label of the last tier 1.000, of all that have one 0.762" in notes[0]
    some = [history(attempt(verdict="defer"), number=n) for n in range(60)]
    notes = rows([*some, *many(60, lambda n: ()), *like])[2]
    assert any("mean share deferred 0.500" in note for note in notes)
