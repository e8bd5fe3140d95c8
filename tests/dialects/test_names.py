"""Names over what a chat takes are cut on the way to it, and told in full on the way back."""

from __future__ import annotations

import orjson
import pytest
from dialects.telling import chunks_of, delta_of, heard, told
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.money import Usage
from gateway.dialects.messages import MESSAGES
from gateway.dialects.names import LONGEST, short
from gateway.dialects.responses import RESPONSES

LONG = "mcp__observatory__" + "read_the_barometer_" * 4
SCHEMA = {"type": "object", "properties": {}}


@given(st.text(max_size=200), st.text(max_size=200))
def test_a_short_name_is_itself_and_no_two_long_ones_are_one(one, other):
    assert len(short(one)) <= LONGEST
    assert (short(one) == one) == (len(one) <= LONGEST)
    assert (short(one) == short(other)) == (one == other)


def reply_that_calls(name):
    call = {"id": "c2", "type": "function", "function": {"name": name, "arguments": "{}"}}
    said = {"role": "assistant", "content": None, "tool_calls": [call]}
    choice = {"index": 0, "message": said, "finish_reason": "tool_calls"}
    return {"id": "r", "choices": [choice], "usage": {}}


def ended(dialect, request, stream):
    """The items or blocks of a reply that calls the request's tool by what a chat knows it as."""
    reply = reply_that_calls(request.body["tools"][0]["function"]["name"])
    if not stream:
        body = orjson.loads(dialect.plain(delta_of(reply), request, Usage()))
        return body.get("output") or body["content"]
    events = [event for _, event in heard(told(dialect.stream(request), chunks_of(reply, 3)), 9)]
    last = events[-1].get("response")
    if last:
        return last["output"]
    return [e["content_block"] for e in events if e["type"] == "content_block_start"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_of_messages_sees_its_own_names(stream):
    used = {"type": "tool_use", "id": "c1", "name": LONG, "input": {}}
    result = {"type": "tool_result", "tool_use_id": "c1", "content": "997"}
    body = {
        "model": "m",
        "max_tokens": 9,
        "messages": [
            {"role": "user", "content": "How is it?"},
            {"role": "assistant", "content": [used]},
            {"role": "user", "content": [result]},
        ],
        "tools": [{"name": LONG, "input_schema": SCHEMA}],
        "tool_choice": {"type": "tool", "name": LONG},
        "metadata": {"user_id": "u" * 200},
    }
    request = MESSAGES.read(body, {})
    chat, cut = request.body, short(LONG)
    assert chat["tools"][0]["function"]["name"] == cut
    assert chat["tool_choice"]["function"]["name"] == cut
    assert request.messages[1]["tool_calls"][0]["function"]["name"] == cut
    assert len(chat["user"]) == LONGEST
    (block,) = ended(MESSAGES, request, stream)
    assert (block["type"], block["name"]) == ("tool_use", LONG)


@pytest.mark.parametrize("stream", [False, True])
def test_so_does_a_client_of_responses_that_has_long_namespaces(stream):
    space = {"type": "namespace", "name": "n" * 60, "description": "d"}
    space["tools"] = [{"type": "function", "name": "barometer", "parameters": SCHEMA}]
    request = RESPONSES.read({"model": "m", "input": "hi", "tools": [space]}, {})
    assert len(request.body["tools"][0]["function"]["name"]) == LONGEST
    (item,) = ended(RESPONSES, request, stream)
    assert (item["namespace"], item["name"]) == ("n" * 60, "barometer")
