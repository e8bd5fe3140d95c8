"""Replies that are said again: which may be kept, under what name, that they stay as they were."""

from __future__ import annotations

from dataclasses import replace

import pytest
from core.tries import LARGE, SMALL
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.baseline import reckon
from gateway.core.chat import ChatRequest, Choice, Delta, Draft, Piece, Reply
from gateway.core.errors import UpstreamDown
from gateway.core.kept_reply import (
    CACHED,
    KeptReply,
    body_of,
    may_be_asked,
    may_be_kept,
    name_of,
    said_again,
)
from gateway.core.money import Usage
from gateway.core.native import NativeRequest
from gateway.core.outcome import Attempt, CallRecord, Outcome
from gateway.core.routing import Overrides, Route
from gateway.core.verdict import FALL_DOWN, Evidence, Finding, Verdict

USED = Usage(30, 20, cached=10, reasoning=5)
CALLS = ({"id": "c1", "name": "add", "arguments": '{"a": 1}'},)
REPLY = Reply((Choice("Yes.", finish="stop"), Choice("", finish="tool_calls", tool_calls=CALLS)))
CALL = CallRecord("id", "small", "near", "mini-1", 0.0, 1.0, "ok", usage=USED)
PASSED = Verdict(accepted=True, reason="passed", confidence=0.9)
SERVED = Attempt(SMALL, (CALL,), REPLY, verdict=PASSED)
FAILED = Evidence("arithmetic", Finding("fail"))
BARRED = Evidence("judge", Finding("abstain", "budget"))
DEFER = Verdict(accepted=False, reason="low_confidence")


def outcome(served=SERVED, **more):
    return Outcome((served,), served, **more)


def test_what_was_accepted_whole_may_be_kept():
    for rebuilt in (False, True):
        assert may_be_kept(outcome(), "score", rebuilt=rebuilt)
        assert may_be_kept(outcome(replace(SERVED, late=PASSED)), "score", rebuilt=rebuilt)


def test_what_started_low_for_money_may_not():
    assert not may_be_kept(outcome(), "budget", rebuilt=False)


@pytest.mark.parametrize(
    "changes",
    [
        {"reply": Reply((replace(REPLY.choices[0], more=True),))},
        {"calls": (replace(CALL, usage=replace(USED, audio_output=3)),)},
    ],
    ids=["thoughts", "sound"],
)
def test_what_cannot_be_put_together_again_is_kept_only_as_it_was(changes):
    served = outcome(replace(SERVED, **changes))
    assert may_be_kept(served, "score", rebuilt=False)
    assert not may_be_kept(served, "score", rebuilt=True)


def test_a_draft_with_more_to_it_says_so():
    draft = Draft()
    draft.add(Delta((Piece(text="a", more=True),)))
    draft.add(Delta((Piece(text="b"),)))
    assert draft.reply(complete=True).choices[0].more


def choice(**changes):
    return replace(SERVED, reply=Reply((replace(REPLY.choices[0], **changes),)))


@pytest.mark.parametrize(
    "bad",
    [
        Outcome(),
        outcome(error=UpstreamDown("x")),
        outcome(cancelled=True),
        outcome(degraded=True),
        outcome(replace(SERVED, verdict=None)),
        outcome(replace(SERVED, verdict=DEFER)),
        outcome(replace(SERVED, verdict=FALL_DOWN)),
        outcome(replace(SERVED, verdict=CACHED)),
        outcome(replace(SERVED, late=DEFER)),
        outcome(replace(SERVED, evidence=(FAILED,))),
        outcome(replace(SERVED, evidence=(BARRED,))),
        outcome(replace(SERVED, reply=None)),
        outcome(replace(SERVED, reply=replace(REPLY, complete=False))),
        outcome(replace(SERVED, reply=Reply(()))),
        outcome(replace(SERVED, calls=())),
        outcome(replace(SERVED, calls=(replace(CALL, status="left"),))),
        outcome(replace(SERVED, calls=(replace(CALL, usage=replace(USED, estimated=True)),))),
        outcome(choice(finish="length")),
        outcome(choice(finish=None)),
        outcome(choice(refusal="No.")),
    ],
    ids=range(20),
)
def test_nothing_else_may(bad):
    for rebuilt in (False, True):
        assert not may_be_kept(bad, "score", rebuilt=rebuilt)


def test_what_is_more_than_text_is_not_asked_for():
    ask = {"model": "m", "messages": []}
    assert may_be_asked(ChatRequest(ask))
    assert not may_be_asked(ChatRequest({**ask, "logprobs": True}))
    assert not may_be_asked(ChatRequest({**ask, "audio": {"voice": "x"}}))


# ------------------------------------------------------------------ names

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=5,
)
ASKED = st.builds(
    Overrides,
    tier=st.none() | st.sampled_from(["small", "large"]),
    thresholds=st.none() | st.just((0.5,)),
    mode=st.none() | st.sampled_from(["enforce", "observe"]),
    ceiling=st.none() | st.just(7),
    deadline=st.none() | st.just(2.5),
)
BODY = st.fixed_dictionaries(
    {"model": st.sampled_from(["a", "b"]), "messages": st.lists(JSON, max_size=2)},
    optional={
        "tools": st.lists(JSON, max_size=2),
        "temperature": st.integers(0, 1),
        "user": st.text(max_size=2),
        "anything": JSON,
    },
)
ASK = st.tuples(
    st.sampled_from(["", "app", "other"]),
    st.sampled_from(["waterfall", "second"]),
    st.sampled_from(["digest-1", "digest-2"]),
    ASKED,
    BODY,
)


def named(ask):
    *where, body = ask
    return name_of(*where, ChatRequest(body))


def same(one, other):
    """Equal as JSON is: 1 is not true."""
    return repr(_sorted(one)) == repr(_sorted(other))


def _sorted(value):
    if isinstance(value, dict):
        return "{}", sorted((key, _sorted(each)) for key, each in value.items())
    return [_sorted(each) for each in value] if isinstance(value, list | tuple) else value


@settings(max_examples=100, deadline=None)
@given(ASK, ASK)
def test_two_requests_have_one_name_only_where_nothing_differs(one, other):
    assert (named(one) == named(other)) == same(one, other)


@settings(max_examples=40, deadline=None)
@given(ASK)
def test_how_it_is_sent_is_no_part_of_its_name(ask):
    *where, body = ask
    streamed = {**body, "stream": True, "stream_options": {"include_usage": True}}
    assert named((*where, streamed)) == named(ask)


def test_another_dialect_asks_for_itself_and_by_all_that_it_says():
    body = {"model": "m", "messages": []}
    names = {named(("app", "waterfall", "d", Overrides(), body))}
    for wire in ("messages", "responses"):
        for more in ({}, {"thinking": 1}, {"thinking": 1, "stream": True}):
            native = NativeRequest(wire, {**body, **more}, body)
            asked = ChatRequest(body, native)
            names.add(name_of("app", "waterfall", "d", Overrides(), asked))
    told = NativeRequest("messages", body, body, headers={"anthropic-beta": "x"})
    names.add(name_of("app", "waterfall", "d", Overrides(), ChatRequest(body, told)))
    assert len(names) == 1 + 2 * 2 + 1


# ------------------------------------------------------------------ said again


def kept():
    body = body_of(REPLY, USED, "mini-1", "e1", 1700000000)
    return KeptReply.read(KeptReply("small", body, USED, "e1").written())


def request(**fields):
    return ChatRequest({"model": "m", "messages": [], **fields})


def test_whole_it_is_the_same():
    again = said_again(kept(), SMALL, request())
    (delta,) = again.held
    assert delta.payload == body_of(REPLY, USED, "mini-1", "e1", 1700000000)
    assert delta.payload["usage"]["total_tokens"] == 50
    written = body_of(REPLY, replace(USED, cache_write=4), "mini-1", "e1", 1)["usage"]
    assert written["prompt_tokens_details"] == {"cached_tokens": 10, "cache_write_tokens": 4}
    assert (again.reply, again.verdict, again.said_again) == (REPLY, CACHED, USED)
    assert (again.calls, again.spent) == ((), 0)


def test_as_events_it_says_the_same():
    asked = request(stream=True, stream_options={"include_usage": True})
    held = said_again(kept(), SMALL, asked).held
    draft = Draft()
    for delta in held:
        draft.add(delta)
    told = draft.reply(complete=True)
    assert [(each.text, each.finish) for each in told.choices] == [
        ("Yes.", "stop"),
        ("", "tool_calls"),
    ]
    assert held[-1].payload["usage"] == kept().body["usage"]
    assert held[-1].payload["choices"] == []
    words = [delta.payload["choices"][0]["delta"] for delta in held[:-1]]
    assert words[0] == {"role": "assistant", "content": "Yes."}
    assert words[2]["tool_calls"][0] == {
        "index": 0,
        "id": "c1",
        "type": "function",
        "function": {"name": "add", "arguments": '{"a": 1}'},
    }
    plain = said_again(kept(), SMALL, request(stream=True)).held
    assert len(plain) == len(held) - 1


SAID = st.text(max_size=20)
TOOLS = st.lists(
    st.fixed_dictionaries({"id": SAID, "name": SAID, "arguments": SAID}), min_size=1, max_size=3
)
CHOICES = st.lists(
    st.builds(Choice, SAID, finish=st.just("stop"))
    | st.builds(Choice, SAID, finish=st.just("tool_calls"), tool_calls=TOOLS.map(tuple)),
    min_size=1,
    max_size=3,
).map(tuple)
COUNTS = st.integers(0, 10**6)


@settings(max_examples=60, deadline=None)
@given(CHOICES, COUNTS, COUNTS, COUNTS)
def test_whatever_was_said_is_said_again_whole_or_as_events(choices, prompt, completion, cached):
    used = Usage(prompt, completion, cached=min(cached, prompt))
    body = body_of(Reply(choices), used, "mini-1", "e1", 1700000000)
    read = KeptReply.read(KeptReply("small", body, used, "e1").written())
    whole = said_again(read, SMALL, request())
    held = said_again(
        read, SMALL, request(stream=True, stream_options={"include_usage": True})
    ).held
    draft = Draft()
    for delta in held:
        draft.add(delta)
    told = draft.reply(complete=True)
    assert whole.reply.choices == choices
    assert [(each.text, each.finish) for each in told.choices] == [
        (each.text, each.finish) for each in choices
    ]
    assert _tools(held) == [list(each.tool_calls) for each in choices]
    assert (whole.said_again, held[-1].payload["usage"]) == (used, body["usage"])


def _tools(held):
    """Each choice's calls of tools, put together of its chunks as a client does."""
    found = {}
    for chunk in (each for delta in held for each in delta.payload["choices"]):
        calls = found.setdefault(chunk["index"], [])
        for call in chunk["delta"].get("tool_calls", ()):
            assert call["index"] == len(calls)
            calls.append({"id": call["id"], **call["function"]})
    return [found[index] for index in sorted(found)]


def test_its_baseline_is_what_the_first_one_s_would_have_been():
    route = Route("waterfall", (SMALL, LARGE))
    again = said_again(kept(), SMALL, request())
    first, second = (reckon(route, outcome(each), 30) for each in (SERVED, again))
    assert first.cost == second.cost > 0
    assert second.basis == "estimated"


@pytest.mark.parametrize("data", [b"", b"[]", b"[1,2,[1,2],{}]", b"nonsense"])
def test_what_nobody_wrote_is_not_read(data):
    with pytest.raises((ValueError, TypeError)):
        KeptReply.read(data)
