"""Replies go from the chat to Anthropic's Messages and back, plain and streamed, unchanged."""

from __future__ import annotations

import orjson
import pytest
from dialects.samples import CALL, MESSAGE, THOUGHT, stream_of
from dialects.telling import chunks_of, delta_of, heard, replies, told
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.chat import ChatRequest, Delta, Draft
from gateway.core.errors import (
    ContextTooLong,
    Exhausted,
    StreamBroken,
    UpstreamBusy,
    UpstreamOverloaded,
)
from gateway.core.money import Usage
from gateway.core.native import NativeEvent
from gateway.dialects.messages import MESSAGES
from gateway.dialects.messages.read_reply import Events, plain_payload
from gateway.dialects.messages.write_events import Telling
from gateway.dialects.messages.write_reply import error_body, plain_reply
from gateway.upstreams.wire import pieces_of

SIZES = st.integers(1, 40)
CHAT_CALL = {"id": "c", "function": {"name": "f", "arguments": "{}"}}
ASKED = ChatRequest({"model": "m", "messages": [], "stop": ["END"]})


def _reply(payloads):
    """What a stream's chunks come to."""
    draft = Draft()
    for payload in payloads:
        draft.add(Delta(pieces_of(payload, "delta")))
    return draft.reply(complete=True)


def _whole(payload):
    draft = Draft()
    draft.add(Delta(pieces_of(payload, "message")))
    return draft.reply(complete=True)


@given(replies())
@settings(max_examples=60)
def test_a_plain_reply_survives_the_way_to_messages_and_back(reply):
    raw = plain_reply(delta_of(reply), ASKED, Usage())
    again = plain_payload(orjson.loads(raw), 7)
    assert again["usage"] == reply["usage"]
    assert again["choices"] == reply["choices"]
    assert again == reply


@given(replies(), SIZES, SIZES)
@settings(max_examples=60)
def test_a_stream_says_what_the_plain_reply_says_whatever_its_pieces(reply, size, block):
    events = heard(told(Telling(ASKED), chunks_of(reply, size)), block)
    assert all(name == event["type"] for name, event in events)
    reader = Events(7)
    payloads = [chunk for _, event in events if (chunk := reader.chunk(event))]
    assert reader.ended
    assert _reply(payloads) == _whole(reply)
    assert payloads[-1]["usage"] == reply["usage"]


@given(st.text(max_size=20), st.text(min_size=1, max_size=20), SIZES)
@settings(max_examples=40)
def test_a_message_s_stream_survives_the_way_to_the_chat_and_back(thought, text, size):
    blocks = [
        {"type": "thinking", "thinking": thought, "signature": "c2ln"},
        {"type": "text", "text": text},
        CALL,
        {**CALL, "id": "toolu_8", "input": {}},
    ]
    reader = Events(7)
    sent = stream_of(*blocks, stop="tool_use", size=size)
    payloads = [chunk for event in sent if (chunk := reader.chunk(event))]
    again = [event for _, event in heard(told(Telling(ASKED), payloads), 10**6)]
    assert _blocks(again) == _blocks(sent) == blocks
    (ended,) = [event for event in again if event["type"] == "message_delta"]
    assert ended["delta"]["stop_reason"] == "tool_use"
    assert ended["usage"] == {
        "input_tokens": 41,
        "cache_creation_input_tokens": 300,
        "cache_read_input_tokens": 2000,
        "output_tokens": 17,
    }


def _blocks(events):
    """What the SDKs make of a stream's events: its blocks, put together."""
    blocks, arguments = [], {}
    for event in events:
        if event["type"] == "content_block_start":
            assert event["index"] == len(blocks)
            blocks.append(dict(event["content_block"]))
        elif event["type"] == "content_block_delta":
            delta, place = event["delta"], event["index"]
            assert place == len(blocks) - 1, "a block is told after its end"
            kind = delta["type"]
            if kind == "input_json_delta":
                arguments[place] = arguments.get(place, "") + delta["partial_json"]
            else:
                field = kind.removesuffix("_delta")
                blocks[place][field] += delta[field]
    for place, text in arguments.items():
        blocks[place]["input"] = orjson.loads(text)
    return blocks


def test_a_call_without_arguments_has_an_empty_object_of_them_in_a_chat():
    """Anthropic tells nothing between such a block's start and its end, or an empty piece."""
    for pieces in ([], [""]):
        reader = Events(7)
        told = [
            {"type": "content_block_start", "index": 3, "content_block": {**CALL, "input": {}}},
            *(
                {
                    "type": "content_block_delta",
                    "index": 3,
                    "delta": {"type": "input_json_delta", "partial_json": piece},
                }
                for piece in pieces
            ),
            {"type": "content_block_stop", "index": 3},
        ]
        chunks = [chunk for event in told if (chunk := reader.chunk(event))]
        (call,) = _reply(chunks).choices[0].tool_calls
        assert (call["id"], call["arguments"]) == (CALL["id"], "{}")


def test_calls_that_are_told_in_turns_are_blocks_that_follow_each_other():
    def part(number, **function):
        call = {"index": number, "id": f"c{number}", "function": function}
        return {"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}

    chunks = [
        part(0, name="a", arguments='{"x"'),
        part(1, name="b", arguments='{"y"'),
        {"choices": [{"index": 0, "delta": {"content": "aside"}}]},
        part(0, arguments=":1}"),
        part(1, arguments=":2}"),
    ]
    blocks = _blocks([event for _, event in heard(told(Telling(ASKED), chunks), 10**6)])
    assert [(b["type"], b.get("input"), b.get("text")) for b in blocks] == [
        ("tool_use", {"x": 1}, None),
        ("tool_use", {"y": 2}, None),
        ("text", None, "aside"),
    ]


def test_what_an_upstream_of_messages_says_passes_untouched():
    raw = orjson.dumps(MESSAGE)
    payload = plain_payload(MESSAGE, 7)
    native = NativeEvent("messages", "", raw, payload)
    assert plain_reply(delta_of(payload, native=native), ASKED, Usage()) is raw
    telling = Telling(ASKED)
    out = b""
    for event in stream_of(THOUGHT, {"type": "text", "text": "Hi"}):
        odd = orjson.dumps({**event, "odd": 1})
        delta = Delta()
        native = NativeEvent("messages", event["type"], odd, delta.payload)
        out += telling.feed(Delta(native=native, payload=delta.payload))
    out += telling.end(Usage())
    assert [
        {**event, "odd": 1} for event in stream_of(THOUGHT, {"type": "text", "text": "Hi"})
    ] == [event for _, event in heard(out, 10**6)]


def test_what_was_cut_from_a_draft_is_cut_from_the_upstream_s_own_words():
    payload = plain_payload(MESSAGE, 7)
    delta = delta_of(payload, native=NativeEvent("messages", "", orjson.dumps(MESSAGE), payload))
    cut_off = delta.shorten(0, "content", "I sha")
    message = orjson.loads(plain_reply(cut_off, ASKED, Usage()))
    assert [block.get("text") for block in message["content"]] == [None, "I sha", None]
    assert message["odd"] == [1, None]
    reader, telling, out = Events(7), Telling(ASKED), b""
    for event in stream_of({"type": "text", "text": "abcdef"}, CALL):
        chunk = reader.chunk(event) or {}
        native = NativeEvent("messages", event["type"], orjson.dumps(event), chunk)
        delta = Delta(raw=None, payload=chunk, native=native)
        text = chunk["choices"][0]["delta"].get("content") if chunk.get("choices") else None
        if text == "def":
            delta = delta.shorten(0, "content", "d")
        out += telling.feed(delta)
    blocks = _blocks([event for _, event in heard(out + telling.end(Usage()), 10**6)])
    assert blocks == [{"type": "text", "text": "abcd"}, CALL]


def test_a_stop_sequence_is_told_where_the_upstream_names_it():
    message = {**MESSAGE, "content": [], "stop_reason": "stop_sequence", "stop_sequence": "END"}
    payload = plain_payload(message, 7)
    assert payload["choices"][0]["finish_reason"] == "stop"
    again = orjson.loads(plain_reply(delta_of(payload), ASKED, Usage()))
    assert (again["stop_reason"], again["stop_sequence"]) == ("stop_sequence", "END")


@pytest.mark.parametrize(
    "said", [{"tool_calls": [CHAT_CALL]}, {"function_call": CHAT_CALL["function"]}]
)
def test_a_call_that_was_forced_ends_a_message_by_tool_use(said):
    """Chats say `stop` after one; agents of Messages go on only by `tool_use`."""
    for finish, reason in (("stop", "tool_use"), ("length", "max_tokens")):
        choice = {"index": 0, "finish_reason": finish}
        plain = {"choices": [{**choice, "message": {"content": None, **said}}]}
        assert orjson.loads(plain_reply(delta_of(plain), ASKED, Usage()))["stop_reason"] == reason
        telling = MESSAGES.stream(ASKED)
        out = telling.feed(delta_of({"choices": [{**choice, "delta": said}]})) + telling.end(
            Usage()
        )
        (ended,) = [event for name, event in heard(out, 10**6) if name == "message_delta"]
        assert ended["delta"]["stop_reason"] == reason


def test_a_refusal_is_one():
    said = {"role": "assistant", "content": None, "refusal": "No."}
    payload = {"choices": [{"index": 0, "message": said, "finish_reason": "stop"}]}
    message = orjson.loads(plain_reply(delta_of(payload), ASKED, Usage(3, 4)))
    assert message["content"] == [{"type": "text", "text": "No."}]
    assert message["stop_reason"] == "refusal"
    assert (message["usage"]["input_tokens"], message["usage"]["output_tokens"]) == (3, 4)


def test_arguments_that_are_no_object_are_told_all_the_same():
    call = {"id": "c", "function": {"name": "f", "arguments": '{"a": '}}
    payload = {"choices": [{"message": {"content": None, "tool_calls": [call]}}]}
    message = orjson.loads(plain_reply(delta_of(payload), ASKED, Usage()))
    assert message["content"][0]["input"] == {"INVALID_JSON": '{"a": '}


def test_errors_are_in_the_dialect_s_own_shape():
    told = error_body(ContextTooLong("too long", code="context_length_exceeded"), "r1")
    assert told["error"] == {
        "type": "invalid_request_error",
        "message": "prompt is too long: too long",
        "code": "context_length_exceeded",
    }
    assert (told["type"], told["request_id"]) == ("error", "r1")
    busy = Exhausted([("a", UpstreamBusy("busy")), ("b", UpstreamBusy("busy"))])
    assert error_body(busy, "")["error"]["type"] == "rate_limit_error"
    assert error_body(UpstreamOverloaded("x"), "")["error"]["type"] == "overloaded_error"
    telling = MESSAGES.stream(ASKED)
    ((name, event),) = heard(telling.fail(StreamBroken("broken")), 10**6)
    assert (name, event["error"]["type"]) == ("error", "api_error")
