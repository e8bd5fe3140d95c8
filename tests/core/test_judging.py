"""What verdict an attempt is given, by the plan that it was made under."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.core.chat import Choice, Reply
from gateway.core.combine import Combiner, Curve, Stage
from gateway.core.errors import UpstreamDown
from gateway.core.judging import is_answered, judged, weigh
from gateway.core.outcome import Attempt
from gateway.core.plan import Plan, Tier
from gateway.core.verdict import FALL_DOWN, LAST_TIER, Bar, CheckSpec, Evidence, Finding

BAR = Bar(checks=(CheckSpec("shape"), CheckSpec("second", 70)))
LOW, SMALL, LARGE = (Tier(name, "near", name, bar=BAR) for name in ("low", "small", "large"))
PLAN = Plan((SMALL, LARGE), below=(LOW,), p_good={"small": 0.9, "large": 0.4})
REPLY = Reply((Choice("said"),))


def attempt(tier=SMALL, confidence=0.2, **more):
    found = Finding("pass", confidence=confidence)
    return Attempt(tier, reply=REPLY, evidence=(Evidence("shape", found),), **more)


@pytest.mark.parametrize(
    "more", [{"left": True}, {"failure": UpstreamDown("gone")}, {"reply": None}], ids=str
)
def test_what_has_no_whole_reply_has_no_verdict_from_here(more):
    made = replace(attempt(), **more)
    assert judged(PLAN, made) == made


def test_what_no_tier_is_over_is_held_to_no_bar():
    assert judged(PLAN, attempt(LARGE)).verdict == LAST_TIER
    assert judged(PLAN, attempt(LOW)).verdict == FALL_DOWN
    once = judged(PLAN, attempt(LARGE))
    assert judged(PLAN, once) is once


def test_there_is_no_verdict_while_a_free_check_is_to_come():
    bare = replace(attempt(), evidence=())
    assert not is_answered(bare)
    assert is_answered(attempt())  # one that costs is not waited for
    assert judged(PLAN, bare).verdict is None


def test_evidence_may_come_with_the_verdict():
    bare, whole = replace(attempt(), evidence=()), attempt()
    assert judged(PLAN, bare, whole.evidence) == judged(PLAN, whole)
    assert judged(PLAN, replace(bare, left=True), whole.evidence) == replace(whole, left=True)
    once = judged(PLAN, whole)
    assert judged(PLAN, once) == once


def test_what_was_released_is_judged_late():
    held, released = judged(PLAN, attempt()), judged(PLAN, attempt(released=True))
    assert (held.verdict.reason, held.late) == ("low_confidence", None)
    assert (released.verdict, released.late) == (None, held.verdict)


def test_the_next_tier_s_chance_counts_and_a_combiner_is_told_the_own_one():
    assert judged(PLAN, attempt(confidence=0.38)).verdict.reason == "no_gain"
    curve = Curve(0.0, prior=1.0)
    combiner = Combiner("own@1", ("shape",), (), (Stage(curve, curve),))
    small = replace(SMALL, bar=replace(BAR, combiner=combiner))
    plan = replace(PLAN, tiers=(small, LARGE))
    assert weigh(plan, small, attempt().evidence).confidence == pytest.approx(0.9)
    assert weigh(plan, small, (), whole=False).confidence is None
