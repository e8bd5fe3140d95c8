"""The playbook of `next_step`, where it buys evidence and has a broken form repaired."""

from __future__ import annotations

from dataclasses import replace

import pytest
from core.tries import (
    GOOD,
    LARGE,
    PAID_BAR,
    PREFIX,
    SMALL,
    accepted,
    attempt,
    failed,
    malformed,
    plan,
    step,
    weak,
)

from gateway.core.cascade import early_checks
from gateway.core.errors import UpstreamDown, UpstreamRejected
from gateway.core.plan import Hold
from gateway.core.verdict import PASS, Bar, CheckSpec, Evidence, Finding

DOWN = UpstreamDown("no connection")
REJECTED = UpstreamRejected("bad", status=422, param="tools", code="nope")
PAID = replace(SMALL, bar=PAID_BAR)
TOGETHER = replace(SMALL, bar=replace(PAID_BAR, at_once=True))
WAITS = replace(SMALL, bar=Bar(checks=(CheckSpec("tests", waits=True), CheckSpec("shape"))))
MENDS = replace(SMALL, bar=Bar(repair=True))
BESIDE = replace(SMALL, bar=Bar(checks=(CheckSpec("second", 70, waits=True, concurrent=True),)))
BARRED = (
    Evidence("shape", PASS),
    Evidence("judge", Finding("abstain", "budget")),
    Evidence("panel", Finding("abstain", "budget")),
)


def on(given, *attempts, then):
    return given, attempts, then


RULES = {
    # 2: more evidence
    "2 nothing is bought over the ceiling": on(
        plan((PAID, LARGE), ceiling=169),
        attempt(PAID, GOOD, 100, asked=["shape"]),
        then="consult panel judge: budget",
    ),
    "2 and then it is served as less than was asked for": on(
        plan((PAID, LARGE), ceiling=169),
        replace(accepted(PAID, 100, asked=["shape"]), evidence=BARRED),
        then="deliver small degraded",
    ),
    "2 all at once, where the bar says so": on(
        plan((TOGETHER, LARGE)),
        attempt(TOGETHER, GOOD, asked=["shape"]),
        then="consult judge panel",
    ),
    "2 as many as fit": on(
        plan((TOGETHER, LARGE), ceiling=669),
        attempt(TOGETHER, GOOD, 100, asked=["shape"]),
        then="consult judge",
    ),
    "2 one that waits is not free": on(
        plan((WAITS, LARGE)), attempt(WAITS, None, asked=[]), then="consult shape"
    ),
    "2 it is asked after the free ones": on(
        plan((WAITS, LARGE)), attempt(WAITS, GOOD, asked=["shape"]), then="consult tests"
    ),
    "2 by this request's price": on(
        plan((PAID, LARGE), check_costs={("small", "judge"): 501}),
        attempt(PAID, GOOD, asked=["shape"]),
        then="consult panel",
    ),
    # 6: the next tier, or the same once more
    "6 a broken form is asked for once more": on(
        plan((MENDS, LARGE)), malformed(MENDS), then="call small repair"
    ),
    "6 once": on(plan((MENDS, LARGE)), malformed(MENDS), malformed(MENDS), then="call large"),
    "6 a repair that is good is served": on(
        plan((MENDS, LARGE)), malformed(MENDS), accepted(MENDS), then="deliver small"
    ),
    "6 a repair that is refused falls through": on(
        plan((MENDS, LARGE)),
        malformed(MENDS),
        failed(MENDS, REJECTED, altered=True),
        then="call large",
    ),
    "6 no repair where the bar does not say so": on(plan(), malformed(SMALL), then="call medium"),
    "6 nor of an answer that is bad otherwise": on(
        plan((MENDS, LARGE)), weak(MENDS), then="call large"
    ),
    "6 nor of a draft that was left": on(
        plan((MENDS, LARGE)), malformed(MENDS, reply=PREFIX, left=True), then="call large"
    ),
    "6 nor of several choices": on(
        plan((MENDS, LARGE), choices=2), malformed(MENDS), then="call large"
    ),
    "6 nor of what came to no reply": on(
        plan((MENDS, LARGE)), failed(MENDS, DOWN), then="call large"
    ),
    "6 nor at the last tier": on(plan((MENDS,)), malformed(MENDS), then="deliver small degraded"),
    "6 nor over the ceiling": on(
        plan((MENDS, LARGE), ceiling=150), malformed(MENDS, 100), then="deliver small degraded"
    ),
}


@pytest.mark.parametrize(("given", "attempts", "expected"), RULES.values(), ids=RULES)
def test_what_follows(given, attempts, expected):
    assert step(given, attempts) == expected


@pytest.mark.parametrize(
    ("given", "tier", "stream", "expected"),
    [
        (plan((BESIDE, LARGE)), BESIDE, False, ("second",)),
        (plan((BESIDE, LARGE)), BESIDE, True, ("second",)),
        (plan((PAID, LARGE)), PAID, False, ()),
        (plan((BESIDE,)), BESIDE, False, ()),
        (plan((BESIDE, LARGE), ceiling=170), BESIDE, False, ("second",)),
        (plan((BESIDE, LARGE), ceiling=169), BESIDE, False, ()),
    ],
    ids=["plain", "held whole", "not meant to", "last tier", "just enough", "too dear"],
)
def test_what_starts_beside_a_draft(given, tier, stream, expected):
    assert early_checks(given, (), tier, stream=stream) == expected


def test_nothing_starts_beside_a_stream_that_may_be_seen_early():
    early = replace(BESIDE, hold=Hold("tokens", 8))
    assert early_checks(plan((early, LARGE)), (), early, stream=True) == ()
    assert early_checks(plan((early, LARGE)), (), early, stream=False) == ("second",)
