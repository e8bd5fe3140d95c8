"""What Anthropic refuses of a chat, or a chat of Messages, is said in another way."""

from __future__ import annotations

import pytest

from gateway.dialects.messages.read_request import read_request
from gateway.dialects.messages.write_request import write_request

HI = {"role": "user", "content": "hi"}
OWN = {"model": "m", "max_tokens": 9, "messages": [HI]}


def asked(messages):
    return {"model": "claude-opus-4-1", "messages": messages}


def test_each_function_s_call_of_the_older_kind_has_an_id_of_its_own():
    turns = [
        turn
        for number in range(3)
        for turn in (
            {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "function", "name": "f", "content": str(number)},
        )
    ]
    told, _ = write_request(asked([HI, *turns]))
    blocks = [turn["content"][0] for turn in told["messages"][1:]]
    called = [block["id"] for block in blocks[::2]]
    assert called == [block["tool_use_id"] for block in blocks[1::2]]
    assert len(set(called)) == 3


def test_what_only_the_system_says_is_asked_as_a_user_s_turn():
    told, _ = write_request(asked([{"role": "system", "content": "Say hello."}]))
    said = {"role": "user", "content": [{"type": "text", "text": "Say hello."}]}
    assert (told["messages"], "system" in told) == ([said], False)


@pytest.mark.parametrize("tools", [[], None])
def test_a_choice_of_no_tools_is_not_told_to_a_chat(tools):
    fields = {"tools": tools, "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & set(
        read_request({**OWN, **fields}, {}).body
    )
    forced = read_request({**OWN, "tool_choice": {"type": "any"}}, {}).body
    assert forced["tool_choice"] == "required", "which its upstream refuses in its own words"
