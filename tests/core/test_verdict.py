from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.verdict import (
    ABSTAIN,
    FALL_DOWN,
    LAST_TIER,
    PASS,
    REASONS,
    TRUSTED,
    Bar,
    CheckSpec,
    Evidence,
    Finding,
    Verdict,
    judge,
)

BAR = Bar(accept=0.7, min_gain=0.05)
UNSURE = Finding("fail", "unsure")
EMPTY = Finding("fail", "empty", broken=True)


def sure(confidence):
    return Finding("pass", confidence=confidence)


ROWS = {
    "nothing said against it": ([], None, Verdict(True, "passed")),
    "passed": ([PASS, ABSTAIN], None, Verdict(True, "passed")),
    "just sure enough": ([sure(0.7)], None, Verdict(True, "passed", 0.7)),
    "not sure enough": ([sure(0.69)], None, Verdict(False, "low_confidence", 0.69)),
    "the least sure check speaks": (
        [sure(0.9), sure(0.3), PASS],
        None,
        Verdict(False, "low_confidence", 0.3),
    ),
    "the next is better by just enough": (
        [sure(0.5)],
        0.55,
        Verdict(False, "low_confidence", 0.5),
    ),
    "the next is hardly better": ([sure(0.5)], 0.54, Verdict(True, "no_gain", 0.5)),
    "gain does not matter to a sure one": ([sure(0.8)], 0.1, Verdict(True, "passed", 0.8)),
    "a failed check": ([sure(0.9), UNSURE], None, Verdict(False, "unsure", 0.0)),
    "a failed check, a good next": ([UNSURE], 0.9, Verdict(False, "unsure", 0.0)),
    "a failed check, a hopeless next": ([UNSURE], 0.04, Verdict(True, "no_gain", 0.0)),
    "broken, whatever the next": ([EMPTY], 0.0, Verdict(False, "empty", 0.0, broken=True)),
    "broken speaks first": ([UNSURE, EMPTY], 0.0, Verdict(False, "empty", 0.0, broken=True)),
    "else the first to fail": (
        [UNSURE, Finding("fail", "refusal")],
        None,
        Verdict(False, "unsure", 0.0),
    ),
}


@pytest.mark.parametrize(("findings", "next_good", "expected"), ROWS.values(), ids=ROWS)
def test_the_evidence_and_its_verdict(findings, next_good, expected):
    evidence = [Evidence(f"check-{n}", finding) for n, finding in enumerate(findings)]
    assert judge(BAR, evidence, next_good) == expected
    assert expected.reason in REASONS


UNIT = st.floats(0, 1)


@settings(max_examples=25)
@given(st.lists(UNIT, max_size=3), UNIT, UNIT, st.none() | UNIT)
def test_raising_the_bar_never_accepts_more(confidences, one, other, next_good):
    evidence = [Evidence("c", sure(each)) for each in confidences]
    low = judge(Bar(accept=min(one, other)), evidence, next_good)
    high = judge(Bar(accept=max(one, other)), evidence, next_good)
    assert low.accepted >= high.accepted


def test_only_a_bar_with_the_check_needs_log_probabilities():
    assert Bar(checks=(CheckSpec("shape"), CheckSpec("logprob"))).needs_logprobs
    assert not Bar(checks=(CheckSpec("shape"),)).needs_logprobs


@pytest.mark.parametrize("given_", [TRUSTED, LAST_TIER, FALL_DOWN])
def test_a_given_verdict_accepts(given_):
    assert given_.accepted
    assert given_.reason in REASONS
