"""One calibrated confidence: its curves, its stages, its bands, and the verdict made of it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.cascade import worth_buying
from gateway.core.combine import SURE, Combiner, Curve, Stage, chance_of, log_odds
from gateway.core.plan import Plan, Tier
from gateway.core.verdict import (
    ABSTAIN,
    PASS,
    REASONS,
    Bar,
    CheckSpec,
    Evidence,
    Finding,
    Verdict,
    judge,
)

FREE = Stage(
    own=Curve(0.5, prior=1.0, centre=0.25, said={"sums": 0.5}, silent={"sums": -0.5}),
    next=Curve(2.0, prior=0.5),
)
ASKED = Stage(
    own=Curve(0.0, said={"sums": 0.0, "second": 1.0}, silent={"sums": 0.0, "second": 0.25}),
    next=Curve(2.0),
)
COMBINER = Combiner("pair@1", ("sums",), ("second",), (FREE, ASKED), {"second": (0.3, 0.9)})
CHECKS = (CheckSpec("sums"), CheckSpec("second", 70), CheckSpec("panel", 500))
BAR = Bar(0.7, 0.05, CHECKS, combiner=COMBINER)
SMALL = Tier("small", "near", "mini", bar=BAR)
PLAN = Plan((SMALL, Tier("large", "near", "maxi")))
UNIT = st.floats(0, 1)


def sure(confidence):
    return Finding("pass", confidence=confidence)


def found(**findings):
    return [Evidence(name, finding) for name, finding in findings.items()]


# --------------------------------------------------------------------------- curves and stages


@given(chance=UNIT)
def test_log_odds_are_there_and_back_but_nobody_is_surer_than_sure(chance):
    assert chance_of(log_odds(chance)) == pytest.approx(min(max(chance, 1 - SURE), SURE))


def test_no_odds_are_too_long():
    assert 0 < chance_of(-1e6) < chance_of(1e6) <= 1


def test_a_curve_adds_up_log_odds():
    odds = 0.5 + 1.0 * (log_odds(0.6) - 0.25) + 0.5 * log_odds(0.9)
    assert FREE.own.chance(0.6, {"sums": 0.9}) == pytest.approx(1 / (1 + math.exp(-odds)))


def test_what_nobody_said_counts_as_its_centre_and_a_silent_check_as_its_own():
    assert FREE.own.chance(None, {"sums": None}) == pytest.approx(chance_of(0.5 - 0.5))
    assert FREE.own.chance(None, {}) == FREE.own.chance(None, {"sums": None})


def test_the_stage_is_that_of_the_paid_checks_put():
    free = COMBINER.weigh({"sums": 0.9}, 0.6, 0.8)
    assert (free.own, free.next) == (
        FREE.own.chance(0.6, {"sums": 0.9}),
        FREE.next.chance(0.8, {}),
    )
    asked = COMBINER.weigh({"sums": 0.9, "second": None}, 0.6, 0.8)
    assert asked.own == pytest.approx(chance_of(0.25))


def test_a_check_put_out_of_turn_waits_for_those_before_it():
    later = replace(COMBINER, paid=("first", "second"), stages=(FREE, FREE, ASKED))
    assert later.weigh({"second": 1.0}, None, None) == COMBINER.weigh({}, None, None)


def test_evidence_is_bought_inside_its_band_ends_included():
    pays = [COMBINER.pays("second", each) for each in (None, 0.29, 0.3, 0.9, 0.91)]
    assert pays == [False, False, True, True, False]
    assert replace(COMBINER, bands={}).pays("second", 1.0)


# --------------------------------------------------------------------------- the verdict

OWN = FREE.own.chance(None, {"sums": None})
LIKELY = chance_of(log_odds(0.9))
ROWS = {
    "the combined confidence speaks": (found(sums=ABSTAIN), Verdict(False, "low_confidence", OWN)),
    "a pass without a confidence is 1": (
        found(sums=PASS, second=PASS),
        Verdict(True, "passed", pytest.approx(SURE)),
    ),
    "a failure that it knows is 0, and gives the reason": (
        found(sums=PASS, second=Finding("fail", "unsure")),
        Verdict(False, "unsure", pytest.approx(1 - SURE)),
    ),
    "a failure that states a confidence is that": (
        found(sums=PASS, second=Finding("fail", "unsure", confidence=0.9)),
        Verdict(True, "passed", pytest.approx(LIKELY)),
    ),
    "a failure that it does not know is as without it": (
        found(second=PASS, shape=Finding("fail", "refusal")),
        Verdict(False, "refusal", 0.0),
    ),
    "broken, whatever else is said": (
        found(second=PASS, sums=Finding("fail", "empty", broken=True)),
        Verdict(False, "empty", 0.0, broken=True),
    ),
    "a check that it does not know speaks for itself": (
        found(second=PASS, logprob=sure(0.4)),
        Verdict(False, "low_confidence", 0.4),
    ),
    "and only lowers": (
        found(second=sure(0.9), logprob=sure(0.99)),
        Verdict(True, "passed", pytest.approx(LIKELY)),
    ),
}


@pytest.mark.parametrize(("evidence", "expected"), ROWS.values(), ids=ROWS)
def test_the_verdict_of_a_combiner(evidence, expected):
    assert judge(BAR, evidence, None) == expected
    assert expected.reason in REASONS


def test_the_next_tier_is_weighed_too():
    hopeless = replace(FREE, next=Curve(-4.0))
    bar = replace(BAR, combiner=replace(COMBINER, stages=(hopeless, ASKED)))
    assert judge(bar, found(sums=ABSTAIN), 0.99).reason == "no_gain"


def test_what_the_scorer_says_of_both_tiers_counts():
    low = judge(BAR, found(sums=ABSTAIN), 0.9, 0.3)
    high = judge(BAR, found(sums=ABSTAIN), 0.9, 0.9)
    assert low.confidence < OWN < high.confidence
    assert (low.accepted, high.accepted) == (False, True)


def test_a_prefix_of_which_no_check_has_a_word_is_judged_without_it():
    silent, said = found(sums=ABSTAIN), found(sums=sure(0.1))
    assert judge(BAR, silent, None, whole=False) == Verdict(True, "passed")
    assert judge(BAR, said, None, whole=False) == judge(BAR, said, None)


@given(
    findings=st.lists(st.tuples(st.sampled_from(["sums", "second", "other"]), UNIT), max_size=3),
    own=st.none() | UNIT,
    next_=st.none() | UNIT,
)
def test_a_combined_confidence_is_a_probability(findings, own, next_):
    evidence = [Evidence(name, sure(chance)) for name, chance in findings]
    assert 0 <= judge(BAR, evidence, next_, own).confidence <= 1


# --------------------------------------------------------------------------- what is bought


def bought(verdict, *evidence):
    specs = worth_buying(PLAN, replace(SMALL, bar=BAR), evidence, verdict)
    return specs[0].name if specs else None


def low(confidence, *, broken=False):
    return Verdict(False, "low_confidence", confidence, broken)


def test_a_check_is_bought_in_the_uncertain_middle_whatever_the_verdict_so_far():
    assert bought(low(0.5)) == "second"
    assert bought(Verdict(True, "passed", 0.8)) == "second"
    assert bought(low(0.2)) is None
    assert bought(Verdict(True, "passed", 0.95)) != "second"


def test_a_check_that_it_does_not_know_is_bought_as_without_it():
    assert bought(Verdict(True, "passed", 0.95)) == "panel"
    put = found(second=PASS)
    assert bought(Verdict(True, "passed", 0.95), *put) == "panel"
    assert bought(low(0.5), *put) is None


def test_nothing_is_bought_for_a_reply_that_is_lost():
    everywhere = replace(BAR, combiner=replace(COMBINER, bands={}))
    for lost in (Finding("fail", "empty", broken=True), Finding("fail", "refusal")):
        evidence = found(shape=lost)
        verdict = judge(everywhere, evidence, None)
        assert worth_buying(PLAN, replace(SMALL, bar=everywhere), evidence, verdict) == ()


def test_nothing_is_left_to_buy():
    assert bought(low(0.5), *found(second=PASS, panel=PASS)) is None
