"""Requests go from the chat to Anthropic's Messages and back unchanged; what cannot is told."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.errors import BadRequest, CannotCarry
from gateway.dialects.messages.read_request import read_request
from gateway.dialects.messages.write_request import MAX_TOKENS, merge_native, write_request

WORDS = st.text("ab é\n", min_size=1, max_size=9).map(lambda text: f"<{text}>")
PNG = "data:image/png;base64,aWVuZA=="
TEXTS = st.builds(lambda text: {"type": "text", "text": text}, WORDS)
IMAGES = st.sampled_from([PNG, "https://example.org/cat.png"]).map(
    lambda url: {"type": "image_url", "image_url": {"url": url}}
)
PDF = {"filename": "a.pdf", "file_data": "data:application/pdf;base64,aWVuZA=="}
FILES = st.just({"type": "file", "file": PDF})
CONTENT = WORDS | st.lists(TEXTS | IMAGES | FILES, min_size=2, max_size=4)
CALLS = st.lists(
    st.sampled_from(['{"place":"Ulm"}', "{}", '{"k":[1,null,{"x":2.5}]}']), min_size=1, max_size=3
)


@st.composite
def conversations(draw):
    """A conversation in the form in which the way back tells it: roles in turns."""
    said = [{"role": "system", "content": draw(WORDS)}] if draw(st.booleans()) else []
    for turn in range(draw(st.integers(1, 3))):
        said.append({"role": "user", "content": draw(CONTENT)})
        if draw(st.booleans()):
            calls = [
                {
                    "id": f"call_{turn}_{number}",
                    "type": "function",
                    "function": {"name": "weather", "arguments": arguments},
                }
                for number, arguments in enumerate(draw(CALLS))
            ]
            text = draw(st.none() | WORDS)
            said.append({"role": "assistant", "content": text, "tool_calls": calls})
            said += [
                {"role": "tool", "tool_call_id": call["id"], "content": draw(WORDS)}
                for call in calls
            ]
        said.append({"role": "assistant", "content": draw(WORDS)})
    return [*said, {"role": "user", "content": draw(CONTENT)}]


PLACE = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}
TOOL = {"name": "weather", "description": "What it is like.", "parameters": PLACE}
FIELDS = st.fixed_dictionaries(
    {"model": st.just("claude-sonnet-4-5"), "max_tokens": st.integers(1, 9999)},
    optional={
        "temperature": st.floats(
            0, 1
        ),  # top_p, of which one of the two is taken, is in a row below
        "stop": st.lists(WORDS, min_size=1, max_size=2),
        "user": WORDS,
        "odd": st.just([1, None]),
        "tools": st.just([{"type": "function", "function": TOOL}]),
        "response_format": st.just(
            {
                "type": "json_schema",
                "json_schema": {"name": "reply", "strict": True, "schema": PLACE},
            }
        ),
    },
)
TOOL_CHOICE = st.sampled_from(
    ["auto", "none", "required", {"type": "function", "function": {"name": "weather"}}]
)


@given(conversations(), FIELDS, st.none() | TOOL_CHOICE)
@settings(max_examples=80)
def test_a_request_survives_the_way_to_messages_and_back(messages, fields, choice):
    body = {**fields, "messages": messages}
    if "tools" in fields and choice is not None:
        body["tool_choice"] = choice
    told, dropped = write_request(body)
    assert dropped == []
    again = read_request(told, {})
    assert again.body == body
    assert again.native.only == ()
    assert write_request(again.body)[0] == told


def asked(**fields):
    return {"model": "claude-opus-4-1", "messages": [{"role": "user", "content": "hi"}], **fields}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"max_completion_tokens": 5}, {"max_tokens": 5}),
        ({}, {"max_tokens": MAX_TOKENS}),
        ({"stop": "END"}, {"stop_sequences": ["END"]}),
        ({"service_tier": "default"}, {"service_tier": "standard_only"}),
        ({"reasoning_effort": "low"}, {"thinking": {"type": "enabled", "budget_tokens": 1024}}),
        ({"reasoning_effort": "low"}, {"max_tokens": MAX_TOKENS + 1024}),
        (
            {"model": "claude-opus-4-7", "reasoning_effort": "high"},
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "f"}}]},
            {"tools": [{"name": "f", "input_schema": {"type": "object", "properties": {}}}]},
        ),
        (
            {
                "tools": [{"type": "function", "function": TOOL}],
                "tool_choice": "required",
                "parallel_tool_calls": False,
            },
            {"tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
        ),
        (
            {"functions": [TOOL], "function_call": {"name": "weather"}},
            {"tool_choice": {"type": "tool", "name": "weather"}},
        ),
        (
            {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
            {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        ),
    ],
)
def test_a_field_in_the_words_of_messages(fields, expected):
    told, dropped = write_request(asked(**fields))
    assert {name: told.get(name) for name in expected} == expected
    assert dropped == []


@pytest.mark.parametrize(
    ("fields", "dropped"),
    [
        ({"seed": 7, "presence_penalty": 1}, {"seed", "presence_penalty"}),
        ({"temperature": 1.7}, {"temperature"}),
        ({"model": "claude-opus-4-7", "temperature": 0.2, "top_p": 1}, {"temperature", "top_p"}),
        ({"temperature": 0.2, "top_p": 0.5}, {"top_p"}),
        ({"temperature": 1, "top_p": 0.5}, {"temperature"}),
        ({"model": "claude-3-7-sonnet", "temperature": 1, "top_p": 0.5}, set()),
        ({"reasoning_effort": "low", "top_p": 0.5, "top_k": 3}, {"top_p", "top_k"}),
        ({"reasoning_effort": "low", "top_p": 0.97}, set()),
        (
            {"model": "claude-opus-4-6", "reasoning_effort": "low", "temperature": 0.5},
            {"temperature"},
        ),
        ({"model": "claude-3-5-haiku-latest", "reasoning_effort": "high"}, {"reasoning_effort"}),
        ({"metadata": {"a": "b"}, "service_tier": "flex"}, {"metadata", "service_tier"}),
        ({"logit_bias": {"1": 2}, "n": 1, "stream_options": {}}, {"logit_bias"}),
        ({"seed": None}, set()),
    ],
)
def test_what_is_harmless_is_dropped_by_name(fields, dropped):
    told, names = write_request(asked(**fields))
    assert set(names) == dropped
    assert set(told) & dropped <= {"temperature"}, "at most 1"
    kept = {"temperature", "top_p", "top_k"} & set(fields) - dropped
    assert {name: told[name] for name in kept} == {name: fields[name] for name in kept}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"tools": [{"type": "custom", "custom": {"name": "sh"}}]}, "tools[0]"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "messages[0]"),
        (
            {
                "messages": [
                    {
                        "role": "assistant",
                        "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{"}}],
                    }
                ]
            },
            "messages[0].tool_calls[0]",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages"),
    ],
)
def test_what_the_reply_rests_on_is_not_dropped(fields, param):
    with pytest.raises(CannotCarry) as raised:
        write_request(asked(**fields))
    assert raised.value.param.startswith(param)
    assert raised.value.falls_through


def test_thoughts_go_back_to_whom_they_came_from():
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    said = {
        "role": "assistant",
        "content": None,
        "thinking_blocks": [thought],
        "tool_calls": [call],
    }
    result = {"role": "tool", "tool_call_id": "c", "content": "sunny"}
    kept = asked(reasoning_effort="low")
    kept["messages"] = [*kept["messages"], said, result]
    told, dropped = write_request(kept)
    assert told["messages"][1]["content"][0] == thought
    assert (told["thinking"]["budget_tokens"], dropped) == (1024, [])
    lost = {**said, "thinking_blocks": None}
    told, dropped = write_request({**kept, "messages": [*kept["messages"][:1], lost, result]})
    assert ("thinking" in told, dropped) == (False, ["reasoning_effort"])


def test_marks_of_the_cache_and_what_is_anthropic_s_own_go_along():
    mark = {"cache_control": {"type": "ephemeral"}}
    system = {"role": "system", "content": [{"type": "text", "text": "Long.", **mark}]}
    tool = {"type": "function", "function": TOOL, **mark}
    told, _ = write_request(
        asked(
            messages=[system, *asked()["messages"]], tools=[tool], top_k=3, thinking={"type": "x"}
        )
    )
    assert told["system"] == [{"type": "text", "text": "Long.", **mark}]
    assert told["tools"][0]["cache_control"] == mark["cache_control"]
    assert (told["top_k"], told["thinking"]) == (3, {"type": "x"})


# ------------------------------------------------------------------ a client's own

OWN = {
    "model": "waterfall",
    "max_tokens": 9,
    "system": [{"type": "text", "text": "Long.", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}
    ],
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "top_k": 5,
    "odd": [1, None],
}


def test_a_client_s_own_request_goes_as_it_came():
    request = read_request(OWN, {"anthropic-beta": "x"})
    body = {**request.body, "model": "claude", "logprobs": True, "stream_options": {}}
    assert merge_native(request.native, body) == {**OWN, "model": "claude"}
    assert request.native.dropped == ("top_k", "thinking", "cache_control", "anthropic-beta")


def test_a_recipe_is_laid_around_the_client_s_own_request():
    request = read_request(OWN, {})
    shown = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    laid = [{"role": "system", "content": "Be terse."}, *shown, *request.messages]
    body = {**request.body, "model": "claude-opus-4-1", "messages": laid, "temperature": 0}
    told = merge_native(request.native, body)
    assert told["messages"][-1:] == OWN["messages"]
    assert len(told["messages"]) == 3
    assert told["system"] == [
        {"type": "text", "text": "Be terse.\n\nLong.", "cache_control": {"type": "ephemeral"}}
    ]
    assert (told["temperature"], told["thinking"], told["odd"]) == (0, OWN["thinking"], [1, None])


@pytest.mark.parametrize(
    ("fields", "only"),
    [
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tool web_search"),
        ({"mcp_servers": [{"url": "x"}]}, "mcp_servers"),
        (
            {"messages": [{"role": "user", "content": [{"type": "search_result"}]}]},
            "content search",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image", "source": {"type": "file", "file_id": "f"}}],
                    }
                ]
            },
            "image from file",
        ),
    ],
)
def test_what_only_messages_can_do_is_known(fields, only):
    (name,) = read_request({**OWN, **fields}, {}).native.only
    assert name.startswith(only)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [7]}, "messages[0]"),
        ({"messages": [{"role": "tool", "content": ""}]}, "messages[0].role"),
        ({"messages": [{"role": [], "content": ""}]}, "messages[0].role"),
        ({"messages": [{"role": {}, "content": ""}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"text": "a"}]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0]"),
        ({"tools": [{"name": "f"}]}, "tools[0].input_schema"),
        ({"tool_choice": {"type": "maybe"}}, "tool_choice.type"),
        ({"stream": "yes"}, "stream"),
        ({"system": 7}, "system"),
        ({"model": ""}, "model"),
        ({"stop_sequences": [7]}, "stop_sequences"),
        ({"output_config": 7}, "output_config"),
    ],
)
def test_what_no_client_of_messages_may_say_names_its_field(fields, param):
    with pytest.raises(BadRequest) as raised:
        read_request({**OWN, **fields}, {})
    assert raised.value.param.startswith(param)
    no_bound = {name: value for name, value in OWN.items() if name != "max_tokens"}
    with pytest.raises(BadRequest, match="max_tokens"):
        read_request(no_bound, {})
