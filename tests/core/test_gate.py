from __future__ import annotations

import pytest
from core.events import HEARTBEAT, MARKER, event, event_of, said

from gateway.core.chat import Delta, Piece
from gateway.core.gate import Gate, says_something
from gateway.core.money import Usage
from gateway.core.plan import Hold
from gateway.core.verdict import LAST_TIER, TRUSTED, Finding, Verdict

GOOD = Verdict(True, "prefix_passed")
BAD = Verdict(False, "refusal", 0.0)
LONG = "A sentence of some length, and more"


CALL = {"index": 0, "function": {"name": "f", "arguments": "{}"}}


class Judge:
    """Says the same of every prefix, and keeps what it was asked."""

    def __init__(self, verdict=GOOD, *, may_defer=True):
        self.verdict, self.asked, self.willing = verdict, [], may_defer

    def prefix(self, reply):
        self.asked.append(reply)
        return self.verdict

    def may_defer(self):
        return self.willing


WHOLE = Hold()


def gate(hold=WHOLE, judge=None, *, judged=True, stream=True, marker="", choices=1, **more):
    judge = judge or Judge()
    return Gate(
        hold,
        judged=judged,
        stream=stream,
        judge_prefix=judge.prefix,
        may_defer=judge.may_defer,
        marker=marker,
        choices=choices,
        **more,
    )


def passed(a_gate, *deltas):
    """What each delta let through, as texts; at the end, what the end itself did."""
    steps = [a_gate.feed(delta) for delta in deltas]
    return [said(step) for step in (*steps, a_gate.end())]


def test_a_whole_hold_lets_nothing_through():
    held = gate()
    assert passed(held, event("a"), event("b"), event(finish="stop")) == [""] * 4
    assert (said(held.held), held.verdict, held.released, held.deferred) == (
        "ab",
        None,
        False,
        False,
    )


@pytest.mark.parametrize(
    ("judged", "hold", "verdict"),
    [(False, Hold(), LAST_TIER), (True, Hold("none"), TRUSTED), (False, Hold("none"), LAST_TIER)],
)
def test_an_open_gate_lets_everything_through(judged, hold, verdict):
    open_gate = gate(hold, judged=judged)
    assert passed(open_gate, event("a"), event("b"), event(finish="stop"))[:2] == ["a", "b"]
    assert (open_gate.verdict, open_gate.released, open_gate.held) == (verdict, True, ())
    assert open_gate.is_open
    marked = gate(hold, judged=judged, marker=MARKER)
    assert passed(marked, event("a"), event("b"))[:2] == ["a", "b"]
    assert not marked.is_open, "it looks for the marker to the end"


@pytest.mark.parametrize("hold", [Hold(), Hold("none"), Hold("tokens", 1), Hold("sentence")])
def test_a_plain_reply_is_always_held(hold):
    held = gate(hold, judged=False, stream=False)
    whole = event(LONG + ". ", finish="stop")
    assert passed(held, whole) == ["", ""]
    assert (held.held, held.verdict) == ((whole,), None)


def test_a_good_prefix_of_tokens_opens_it():
    judge = Judge()
    opened = gate(Hold("tokens", 2), judge)
    assert passed(opened, event("a"), event("b"), event("c")) == ["", "ab", "c", ""]
    assert [reply.text for reply in judge.asked] == ["ab"]
    assert not judge.asked[0].complete
    assert opened.verdict is GOOD


def test_a_bad_prefix_is_left():
    left = gate(Hold("tokens", 2), Judge(BAD))
    assert passed(left, event("a"), event("b"), event("c")) == [""] * 4
    assert (left.verdict, left.deferred, left.released) == (BAD, True, False)


def test_a_bad_prefix_is_held_on_to_where_deferring_leads_nowhere():
    judge = Judge(BAD, may_defer=False)
    held = gate(Hold("tokens", 1), judge)
    assert passed(held, event("a"), event("b"), event(finish="stop")) == [""] * 4
    assert (held.verdict, held.deferred, said(held.held)) == (None, False, "ab")
    assert len(judge.asked) == 1


FOUND = Finding("fail", "repetition")


class Finds:
    """A watch that finds something at a text; at any, where it is given none."""

    def __init__(self, text=None):
        self.text = text

    def hear(self, delta):
        return FOUND if self.text in (None, delta.pieces[0].text) else None


AT_B = {"watch": Finds("b"), "lost": lambda _: BAD}


@pytest.mark.parametrize("hold", [Hold(), Hold("tokens", 9), Hold("sentence")])
def test_what_is_lost_already_is_left_before_its_hold_is_over(hold):
    left = gate(hold, **AT_B)
    assert passed(left, event("a"), event("b"), event("c")) == [""] * 4
    assert (left.verdict, left.deferred, left.released) == (BAD, True, False)


def test_what_is_lost_is_held_on_to_where_deferring_leads_nowhere():
    asked = []

    def lost(finding):
        asked.append(finding)
        return BAD

    held = gate(watch=Finds(), lost=lost, judge=Judge(may_defer=False))
    assert passed(held, event("a"), event("b")) == [""] * 3
    assert (held.verdict, held.deferred, asked) == (None, False, [FOUND])


def test_what_was_found_and_is_not_worth_a_deferral_is_not_looked_for_again():
    asked = []
    held = gate(watch=Finds(), lost=asked.append)
    assert passed(held, event("a"), event("b")) == [""] * 3
    assert (held.verdict, held.deferred, asked) == (None, False, [FOUND])


@pytest.mark.parametrize("hold", [Hold("none"), Hold("tokens", 1)])
def test_what_is_released_is_never_lost(hold):
    opened = gate(hold, **AT_B)
    assert passed(opened, event("a"), event("b"), event("c")) == ["a", "b", "c", ""]
    assert not opened.deferred


def test_a_reply_s_end_is_too_late_to_leave_it():
    held = gate(**AT_B)
    assert passed(held, event("a"), event("b", finish="stop")) == [""] * 3
    assert (held.verdict, held.deferred) == (None, False)


SENTENCES = {
    "too short to count": (["Hm. Well. ", "Yes. "], ["", "", ""]),
    "its end": ([LONG, ". ", "More"], ["", LONG + ". ", "More", ""]),
    "a line": ([LONG, "\n"], ["", LONG + "\n", ""]),
    "no end yet": ([LONG, ",", " and"], ["", "", "", ""]),
    "a stop that is none": ([LONG, ".5 and"], ["", "", ""]),
    "before the floor and after": (
        ["So. ", LONG, "!", "More"],
        ["", "", f"So. {LONG}!", "More", ""],
    ),
    **{
        f"a stop that no space follows ({stop})": ([LONG + stop + "x"], [LONG + stop + "x", ""])
        for stop in "\u3002\uff01\uff1f\uff61"
    },
}


@pytest.mark.parametrize(("texts", "expected"), SENTENCES.values(), ids=SENTENCES)
def test_a_first_sentence_opens_it(texts, expected):
    assert passed(gate(Hold("sentence")), *map(event, texts)) == expected


def test_every_choice_needs_its_sentence():
    opened = gate(Hold("sentence"))
    first, second = event("b", 1), event(LONG + ". ", 0)
    assert passed(opened, first, second, event(LONG + ". ", 1))[:2] == ["", ""]
    assert opened.released


def test_a_text_is_searched_once(monkeypatch):
    searched = []

    class Pattern:
        def search(self, text, at):
            searched.append(len(text) - at)

    monkeypatch.setattr("gateway.core.gate._SENTENCE", Pattern())
    held = gate(Hold("sentence"))
    for _ in range(100):
        held.feed(event("twelve chars"))
    assert sum(length for length in searched if length > 0) == 1_200 - 24


@pytest.mark.parametrize("hold", [Hold("tokens", 1), Hold("sentence")])
def test_a_prefix_is_of_every_choice_asked_for(hold):
    judge = Judge()
    opened = gate(hold, judge, choices=2)
    first, role, second = event(LONG + ". ", 0), event("", 1), event(LONG + ". ", 1)
    assert passed(opened, first, role)[:2] == ["", ""]
    assert judge.asked == []
    assert said(opened.feed(second)) == LONG + ". " + LONG + ". "


@pytest.mark.parametrize("hold", [Hold("tokens", 1), Hold("sentence")])
def test_a_choice_that_never_comes_is_waited_for_to_the_end(hold):
    held = gate(hold, judge := Judge(), choices=2)
    assert passed(held, event(LONG + ". "), event(finish="stop")) == ["", "", ""]
    assert (judge.asked, said(held.held)) == ([], LONG + ". ")


def test_no_text_is_no_sentence():
    assert not gate(Hold("sentence")).feed(HEARTBEAT)


@pytest.mark.parametrize("hold", [Hold("tokens", 1), Hold("sentence")])
@pytest.mark.parametrize("more", [{"tool_calls": [CALL]}, {"finish": "stop"}])
def test_a_call_of_a_tool_and_a_whole_draft_wait_for_the_full_verdict(hold, more):
    judge = Judge()
    held = gate(hold, judge)
    assert passed(held, event(LONG + ". ", **more), event("more")) == ["", "", ""]
    assert judge.asked == []


@pytest.mark.parametrize(("judged", "hold"), [(False, WHOLE), (True, Hold("none"))])
def test_what_says_nothing_does_not_open_it(judged, hold):
    """A heartbeat or a role before a failure: the failure is still an ordinary one."""
    waiting = gate(hold, judged=judged)
    role, none = event("", role="assistant"), event_of([])
    for each in (HEARTBEAT, role, none):
        assert waiting.feed(each) == []
    assert not waiting.released
    first = event("A")
    assert waiting.feed(first) == [HEARTBEAT, role, none, first]
    assert waiting.feed(HEARTBEAT) == [HEARTBEAT]
    assert waiting.feed(none) == [none]
    assert waiting.released


@pytest.mark.parametrize(
    "choice",
    [
        {"delta": {"content": "", "audio": {"data": "AAAA"}}},
        {"delta": {"role": "assistant", "reasoning_content": "Hm"}},
        {"delta": {"content": None, "function_call": {"name": "f"}}},
        {"delta": {}, "finish_reason": "stop"},
    ],
)
def test_whatever_is_said_does(choice):
    waiting = gate(judged=False)
    begun = event_of([choice])
    assert waiting.feed(begun) == [begun]


@pytest.mark.parametrize(
    ("delta", "something"),
    [
        (HEARTBEAT, False),
        (event("", role="assistant"), False),
        (event(finish="stop"), False),
        (event("a"), True),
        (event(refusal="no"), True),
        (event(tool_calls=[CALL]), True),
        (event(reasoning="hm"), True),
        (event(reasoning=""), False),
    ],
)
def test_a_model_has_said_something_where_there_is_a_text_or_a_call(delta, something):
    assert says_something(delta) == something


def test_without_a_finish_the_end_lets_go():
    open_gate = gate(judged=False, marker=MARKER)
    assert passed(open_gate, event("array["), HEARTBEAT) == ["", "", "array["]


def test_a_plain_reply_s_marker_is_cut_from_its_message():
    payload = {"choices": [{"index": 0, "message": {"content": "x" + MARKER, "refusal": None}}]}
    plain = gate(stream=False, marker=MARKER)
    plain.feed(Delta((Piece(0, "x" + MARKER, finish="stop"),), Usage(1, 2), b"raw", payload))
    (held,) = plain.held
    assert held.payload["choices"][0]["message"] == {"content": "x", "refusal": None}
    assert (held.usage, held.raw) == (Usage(1, 2), None)
    assert MARKER in plain.draft.texts[0]


def test_what_is_only_forwarded_is_held_as_it_came_and_without_what_was_read_of_it():
    """Of a long reply that is most of the memory."""
    events = [event("a"), event("b" + MARKER), event(finish="stop")]
    whole, bare = gate(marker=MARKER), gate(marker=MARKER, forwarded=True)
    for each in events:
        whole.feed(each)
        bare.feed(each)
    first, edited, last = bare.held
    assert (first, last) == (Delta(raw=events[0].raw), Delta(raw=events[2].raw))
    assert edited == whole.held[1]
    assert (edited.raw, edited.payload["choices"][0]["delta"]["content"]) == (None, "b")
    assert bare.draft.reply(complete=True) == whole.draft.reply(complete=True)
    plain = gate(stream=False, forwarded=True)
    plain.feed(events[0])
    assert plain.held == (events[0],)
