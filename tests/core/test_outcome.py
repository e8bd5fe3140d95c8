from __future__ import annotations

from core.tries import LARGE, SMALL, accepted, failed, fallen, last, left, weak

from gateway.core.errors import UpstreamDown
from gateway.core.money import Cost, Usage
from gateway.core.outcome import Attempt, CallRecord, Outcome, spent
from gateway.core.verdict import PASS, Evidence


def record(prompt, cost):
    usage = Usage(prompt, 1)
    return CallRecord("id", "small", "near", "mini-1", 0.0, 1.0, "ok", usage, Cost(output=cost))


def test_an_attempt_sums_its_calls_and_its_checks():
    evidence = (Evidence("judge", PASS, cost=7), Evidence("shape", PASS))
    one = Attempt(SMALL, (record(10, 100), record(20, 200)), evidence=evidence)
    assert (one.usage, one.cost, one.check_cost, one.spent) == (
        Usage(30, 2),
        Cost(output=300),
        7,
        307,
    )
    assert spent([one, one]) == 614
    assert Outcome((one, one)).spent == 614


def test_only_a_whole_reply_can_be_delivered():
    down = UpstreamDown("x")
    assert weak(SMALL).deliverable
    assert not left(SMALL).deliverable
    assert not failed(SMALL, down).deliverable
    assert not weak(SMALL, failure=down).deliverable


def test_escalated_means_served_from_above_the_first_tried():
    small, large = weak(SMALL), last(LARGE)
    assert Outcome((small, large), large).escalated
    assert not Outcome((small, large), small, degraded=True).escalated
    assert not Outcome((accepted(SMALL),), accepted(SMALL)).escalated
    assert not Outcome((small,)).escalated


def test_falling_down_is_no_escalation():
    down = fallen(SMALL)
    assert not Outcome((failed(LARGE, UpstreamDown("x")), down), down, degraded=True).escalated
