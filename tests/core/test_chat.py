from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.chat import ChatRequest, Delta, Draft, Piece, Reply
from gateway.core.money import Usage


def request(**body):
    return ChatRequest({"model": "waterfall", "messages": [], **body})


def test_a_request_reads_its_body_and_keeps_it_whole():
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "x_unknown": [1, 2]}
    asked = ChatRequest(body)
    assert asked.body is body
    assert (asked.model, asked.messages) == ("m", [{"role": "user", "content": "hi"}])


@pytest.mark.parametrize(
    ("field", "body", "value"),
    [
        ("stream", {}, False),
        ("stream", {"stream": True}, True),
        ("stream", {"stream": None}, False),
        ("wants_usage", {}, False),
        ("wants_usage", {"stream_options": None}, False),
        ("wants_usage", {"stream_options": {}}, False),
        ("wants_usage", {"stream_options": {"include_usage": True}}, True),
        ("wants_logprobs", {}, False),
        ("wants_logprobs", {"logprobs": True}, True),
        ("choices", {}, 1),
        ("choices", {"n": None}, 1),
        ("choices", {"n": 3}, 3),
        ("max_tokens", {}, None),
        ("max_tokens", {"max_tokens": 17}, 17),
        ("max_tokens", {"max_tokens": 17, "max_completion_tokens": 19}, 19),
        ("tools", {}, ()),
        ("tools", {"tools": None}, ()),
        ("tools", {"tools": [{"type": "function"}]}, [{"type": "function"}]),
    ],
)
def test_a_request_s_fields(field, body, value):
    assert getattr(request(**body), field) == value


# ------------------------------------------------------------------ drafts


def drafted(*deltas, complete=True):
    draft = Draft()
    for delta in deltas:
        draft.add(delta)
    return draft, draft.reply(complete=complete)


def piece(*args, **more):
    return Delta((Piece(*args, **more),))


def test_a_draft_joins_its_pieces():
    draft, reply = drafted(
        piece(0, "He", logprobs=(-0.5,)),
        piece(0, "llo", logprobs=(-0.25, -0.125)),
        piece(0, refusal="no"),
        piece(0, finish="stop"),
        Delta((), Usage(7, 3)),
    )
    (choice,) = reply.choices
    assert (choice.text, choice.refusal, choice.finish) == ("Hello", "no", "stop")
    assert choice.logprobs == (-0.5, -0.25, -0.125)
    assert (draft.tokens, draft.usage, reply.text, reply.complete) == (
        4,
        Usage(7, 3),
        "Hello",
        True,
    )


def test_a_draft_that_is_told_of_text_alone_is_as_one_that_is_told_of_deltas():
    told, short = Draft(), Draft()
    for index, text in ((0, "a"), (1, "b"), (0, ""), (0, "c"), (2, ""), (1, "d")):
        told.add(Delta((Piece(index, text),)))
        short.say(index, text)
    assert short.reply(complete=True) == told.reply(complete=True)
    assert (short.tokens, short.begun) == (told.tokens, told.begun) == (4, {0, 1})
    assert short.spent(1) == told.spent(1)


def test_a_draft_keeps_its_choices_apart_and_in_order():
    draft, reply = drafted(piece(1, "b"), piece(0, "a"), piece(1, "B"), complete=False)
    assert [choice.text for choice in reply.choices] == ["a", "bB"]
    assert (draft.texts, reply.complete) == (("a", "bB"), False)


def test_nothing_said_is_an_empty_reply():
    _, reply = drafted()
    assert (reply.text, reply.choices, Reply(()).text) == ("", (), "")


def test_tool_calls_are_joined_by_index():
    first = {"index": 1, "id": "call-b", "function": {"name": "beta", "arguments": '{"x"'}}
    other = {"index": 0, "id": "call-a", "function": {"name": "alpha", "arguments": "{}"}}
    more = {"index": 1, "function": {"arguments": ": 1}"}}
    bare = {"index": 1}
    calls = [piece(0, tool_calls=(call,)) for call in (first, other, more, bare)]
    draft, reply = drafted(*calls)
    assert reply.choices[0].tool_calls == (
        {"id": "call-a", "name": "alpha", "arguments": "{}"},
        {"id": "call-b", "name": "beta", "arguments": '{"x": 1}'},
    )
    assert draft.tokens == 4


def test_tool_calls_of_a_plain_reply_go_by_their_place():
    calls = tuple({"id": f"c{n}", "function": {"name": n, "arguments": ""}} for n in "ab")
    _, reply = drafted(piece(0, tool_calls=calls))
    assert [call["name"] for call in reply.choices[0].tool_calls] == ["a", "b"]


def test_the_arguments_of_a_long_call_are_joined_once():
    """Else each piece copies all before it: megabytes of arguments would stop the event loop."""
    draft = Draft()
    for _ in range(3):
        draft.add(piece(0, tool_calls=({"index": 0, "function": {"arguments": "x" * 20}},)))
    kept = draft._choices[0].tool_calls[0]
    assert (kept.arguments, kept.name) == (["x" * 20] * 3, [""] * 3)
    assert draft.reply(complete=True).choices[0].tool_calls[0]["arguments"] == "x" * 60


def test_what_was_used_is_reported_or_estimated():
    draft, _ = drafted(piece(0, "x" * 41))
    assert draft.spent(11) == Usage(11, 11, estimated=True)
    draft.add(piece(1, "", logprobs=(-1.0,) * 30))
    assert draft.spent(11) == Usage(11, 41, estimated=True)
    draft.add(Delta((), Usage(12, 13)))
    assert draft.spent(11) == Usage(12, 13)


@pytest.mark.parametrize("later", [Usage(0, 0), Usage(12, 1)])
def test_what_was_used_is_not_taken_back(later):
    draft, _ = drafted(piece(0, "x"))
    draft.add(Delta((), Usage(12, 13)))
    draft.add(Delta((), later))
    assert draft.spent(0) == Usage(12, 13)
    draft.add(Delta((), Usage(12, 14)))
    assert draft.spent(0) == Usage(12, 14)


@given(st.text(max_size=60), st.sets(st.integers(1, 59), max_size=8))
def test_an_estimate_does_not_depend_on_how_a_text_is_split(text, cuts):
    ends = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    parts = [piece(0, text[a:b]) for a, b in pairwise(ends)]
    whole, split = drafted(piece(0, text))[0], drafted(*parts)[0]
    assert split.spent(5) == whole.spent(5)


def test_the_arguments_of_a_call_are_counted():
    call = {"index": 0, "function": {"name": "find", "arguments": "x" * 200}}
    draft, _ = drafted(piece(0, "", tool_calls=(call,)))
    assert draft.spent(5) == Usage(5, 51, estimated=True)


# ------------------------------------------------------------------ shortening a delta


def chunk(part, *choices):
    payload = {
        "id": "keep",
        "choices": [
            {"index": index, part: {"content": text, "role": "assistant"}, "extra": 1, **more}
            for index, text, more in choices
        ],
    }
    pieces = tuple(Piece(index, text) for index, text, _ in choices)
    return Delta(pieces, Usage(1, 2), b"as it came", payload)


@pytest.mark.parametrize("part", ["delta", "message"])
def test_a_text_is_shortened_where_it_is_and_nowhere_else(part):
    whole = chunk(part, (0, "same", {}), (1, "long text", {}))
    short = whole.shorten(1, "content", "long")
    assert [piece.text for piece in short.pieces] == ["same", "long"]
    assert short.raw is None
    assert short.usage == Usage(1, 2)
    assert short.payload["id"] == "keep"
    assert short.payload["choices"][0] is whole.payload["choices"][0]
    assert short.payload["choices"][1] == {
        "index": 1,
        part: {"content": "long", "role": "assistant"},
        "extra": 1,
    }
    assert whole.payload["choices"][1][part]["content"] == "long text"


def test_other_fields_are_shortened_without_touching_the_content():
    whole = chunk("delta", (0, "kept", {"logprobs": {"content": []}}))
    short = whole.shorten(0, "reasoning", "hm")
    (choice,) = short.payload["choices"]
    assert choice["delta"] == {"content": "kept", "role": "assistant", "reasoning": "hm"}
    assert choice["logprobs"] == {"content": []}
    assert short.pieces == whole.pieces


def tokens(*texts):
    return [{"token": text, "logprob": -1.0} for text in texts]


@pytest.mark.parametrize(
    ("logprobs", "kept"),
    [
        ({"content": tokens("on", "e ", "two")}, tokens("on", "e ")),
        ({"content": tokens("one", " two"), "refusal": None}, tokens("one")),
        ({"content": tokens("one two")}, []),
        ({"content": tokens("one ")}, tokens("one ")),
        ({"content": None}, []),
        ({"content": ["nonsense"]}, []),
        ({"content": [{"logprob": -1.0}]}, []),
        (["nonsense"], []),
    ],
)
def test_the_tokens_that_were_cut_off_go_too(logprobs, kept):
    short = chunk("delta", (0, "one two", {"logprobs": logprobs})).shorten(0, "content", "one ")
    assert short.payload["choices"][0]["logprobs"] == {"content": kept}


def test_a_choice_whose_part_is_null_can_be_shortened():
    """An upstream may send an index twice; what it says then is its own affair."""
    odd = Delta((Piece(0, "x"),), payload={"choices": [{"delta": None}]})
    assert odd.shorten(0, "content", "").payload["choices"] == [{"delta": {"content": ""}}]


def test_values_are_frozen():
    with pytest.raises(AttributeError):
        Piece().text = "x"
    assert replace(Piece(), text="x").text == "x"
