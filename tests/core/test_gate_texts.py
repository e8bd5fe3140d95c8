"""What is but a piece of text goes through a gate by its text and its bytes alone; what becomes of
the draft is what would have become of it by its deltas."""

from __future__ import annotations

import json

import pytest
from core.events import MARKER, event
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.chat import ChatRequest, Delta
from gateway.core.early import Watch
from gateway.core.gate import Gate
from gateway.core.plan import Hold
from gateway.core.verdict import ABSTAIN, Bar, CheckSpec, Early, Finding, Verdict

HOLDS = [Hold(), Hold("none"), Hold("tokens", 3), Hold("sentence")]
EARLY = Early(refusal=True, repetition=True, logprob=0.5)
ENDS = [event(finish="stop"), event("", role="assistant"), event(tool_calls=[{"index": 0}])]


def refuses(reply):
    return Finding("fail", "refusal") if "cannot" in reply.text else ABSTAIN


BAR = Bar(checks=(CheckSpec("refusal"),), early=EARLY)


def gate(hold, *, judged=True, good=True, defers=True, choices=1, watched=True, **more):
    return Gate(
        hold,
        judged=judged,
        stream=True,
        judge_prefix=lambda reply: Verdict(good and "bad" not in reply.text, "prefix"),
        may_defer=lambda: defers,
        choices=choices,
        watch=Watch(BAR, ChatRequest({"messages": []}), refuses) if watched else None,
        lost=lambda finding: Verdict(False, finding.reason),
        **{"forwarded": True, **more},
    )


TEXTS = st.sampled_from(
    ["a", "", "so. ", "no " * 30, "I cannot", "bad", "漢字。", " and more " * 3]
)
STEPS = st.lists(st.tuples(TEXTS, st.integers(0, 1)) | st.sampled_from(ENDS), max_size=12)


@settings(max_examples=120)
@given(
    STEPS,
    st.sampled_from(HOLDS),
    st.fixed_dictionaries({name: st.booleans() for name in ("judged", "good", "defers")}),
    st.integers(1, 2),
)
def test_a_text_does_what_its_delta_does(steps, hold, how, choices):
    by_text, by_delta = (gate(hold, choices=choices, **how) for _ in range(2))
    for step in steps:
        delta = step if isinstance(step, Delta) else event(*step)
        if by_text.takes_text and not isinstance(step, Delta):
            ready = by_text.say(step[1], step[0], delta.raw)
        else:
            ready = by_text.feed(delta)
        assert [each.raw for each in ready] == [each.raw for each in by_delta.feed(delta)]
        for name in ("verdict", "deferred", "released", "held", "takes_text"):
            assert getattr(by_text, name) == getattr(by_delta, name), name
        assert by_text.draft.reply(complete=True) == by_delta.draft.reply(complete=True)
        assert by_text.draft.tokens == by_delta.draft.tokens
        if by_text.deferred:
            break


def test_texts_are_taken_once_somebody_has_begun_to_speak():
    held = gate(Hold())
    held.feed(event("", role="assistant"))
    assert not held.takes_text
    held.feed(event("a"))
    assert held.takes_text
    assert held.say(0, "b", b"{}") == []
    assert held.held[-1] == Delta(raw=b"{}")


@pytest.mark.parametrize("how", [{"forwarded": False}, {"marker": MARKER}])
def test_where_more_is_to_be_read_of_them_they_are_not(how):
    held = gate(Hold(), **how)
    held.feed(event("a"))
    assert not held.takes_text


@pytest.mark.parametrize("hold", [Hold("tokens", 2), Hold("sentence")])
def test_what_holds_a_part_lets_go_by_texts_too(hold):
    held = gate(hold, watched=False)
    held.feed(event("A beginning of some length"))
    first, second = held.say(0, " that ends. ", b"{}")
    assert (json.loads(first.raw)["choices"][0]["index"], second) == (0, Delta(raw=b"{}"))
    assert (held.released, held.held) == (True, ())
