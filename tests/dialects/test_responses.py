"""OpenAI's Responses: requests become a chat's, replies become items, plain and streamed alike."""

from __future__ import annotations

import orjson
import pytest
from dialects.telling import chunks_of, delta_of, heard, replies, told
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.chat import ChatRequest, Delta
from gateway.core.errors import BadRequest, StreamBroken
from gateway.core.money import Usage
from gateway.core.native import NativeEvent, NativeRequest
from gateway.dialects.responses import RESPONSES
from gateway.dialects.responses.read_request import read_request

SIZES = st.integers(1, 40)
ASKED = ChatRequest({"model": "m", "messages": []}, NativeRequest("responses", {}, {}))
PLACE = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}
TOOL = {"type": "function", "name": "weather", "parameters": PLACE, "strict": True}


def whole_of(stream, block=10**6):
    """What a stream's events come to: each item as it was opened, told and closed."""
    events = heard(stream, block)
    assert [event["sequence_number"] for _, event in events] == list(range(len(events)))
    assert all(name == event["type"] for name, event in events)
    kinds = [name for name, _ in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    items, texts = {}, {}
    for name, event in events[2:-1]:
        index = event["output_index"]
        if name == "response.output_item.added":
            assert index == len(items)
            items[index] = event["item"]
        elif name.endswith(".delta"):
            assert event["item_id"] == items[index]["id"]
            place = (index, event.get("content_index"))
            texts[place] = texts.get(place, "") + event["delta"]
        elif name == "response.output_item.done":
            assert event["item"]["id"] == items[index]["id"]
            items[index] = event["item"]
        elif name in {"response.output_text.done", "response.refusal.done"}:
            field = "text" if "text" in event else "refusal"
            assert event[field] == texts[index, event["content_index"]]
        elif name == "response.function_call_arguments.done":
            assert event["arguments"] == texts.get((index, None), "")
    last, response = events[-1][0], events[-1][1]["response"]
    assert last == f"response.{response['status']}"
    assert response["output"] == [items[index] for index in sorted(items)]
    return response


@given(replies(), SIZES, SIZES)
@settings(max_examples=80)
def test_a_stream_comes_to_what_the_plain_reply_is(reply, size, block):
    plain = orjson.loads(RESPONSES.plain(delta_of(reply), ASKED, Usage()))
    assert whole_of(told(RESPONSES.stream(ASKED), chunks_of(reply, size)), block) == plain
    said = reply["choices"][0]["message"]
    texts = [
        part["text"]
        for item in plain["output"]
        if item["type"] == "message"
        for part in item["content"]
    ]
    assert "".join(texts) == (said["content"] or "")
    calls = [
        (item["call_id"], item["name"], item["arguments"])
        for item in plain["output"]
        if item["type"] == "function_call"
    ]
    assert calls == [
        (call["id"], call["function"]["name"], call["function"]["arguments"])
        for call in said.get("tool_calls", ())
    ]
    used, told_of = plain["usage"], reply["usage"]
    assert (used["input_tokens"], used["output_tokens"]) == (
        told_of["prompt_tokens"],
        told_of["completion_tokens"],
    )
    cached = told_of["prompt_tokens_details"]["cached_tokens"]
    assert used["input_tokens_details"]["cached_tokens"] == cached
    reasons = {"length": "max_output_tokens", "content_filter": "content_filter"}
    reason = reasons.get(reply["choices"][0]["finish_reason"])
    assert plain["status"] == ("incomplete" if reason else "completed")
    assert (plain["incomplete_details"] or {}).get("reason") == reason


def test_thoughts_and_refusals_are_items_and_parts_of_their_own():
    def chunk(**delta):
        return {"id": "1", "choices": [{"index": 0, "delta": delta}]}

    chunks = [chunk(reasoning_content="Hm"), chunk(reasoning_content="m"), chunk(content="A")]
    chunks += [chunk(refusal="No"), chunk(refusal="."), chunk(content="")]
    response = whole_of(told(RESPONSES.stream(ASKED), chunks))
    thought, message = response["output"]
    assert thought["content"] == [{"type": "reasoning_text", "text": "Hmm"}]
    assert [(p["type"], p.get("text"), p.get("refusal")) for p in message["content"]] == [
        ("output_text", "A", None),
        ("refusal", None, "No."),
    ]
    said = {"role": "assistant", "content": "A", "refusal": "No.", "reasoning_content": "Hmm"}
    payload = {"id": "1", "choices": [{"index": 0, "message": said, "finish_reason": "stop"}]}
    assert orjson.loads(RESPONSES.plain(delta_of(payload), ASKED, Usage())) == response


def test_calls_that_are_told_in_turns_are_told_as_they_come():
    def part(number, **function):
        call = {"index": number, "id": f"c{number}", "function": function}
        return {"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}

    chunks = [part(0, name="a", arguments="{"), part(1, name="b"), part(0, arguments="}")]
    response = whole_of(told(RESPONSES.stream(ASKED), chunks))
    assert [(item["name"], item["arguments"]) for item in response["output"]] == [
        ("a", "{}"),
        ("b", ""),
    ]


def test_log_probabilities_go_along():
    odds = {"content": [{"token": "A", "logprob": -0.5, "bytes": [65], "top_logprobs": []}]}
    choice = {"index": 0, "delta": {"content": "A"}, "logprobs": odds}
    response = whole_of(told(RESPONSES.stream(ASKED), [{"choices": [choice]}]))
    assert response["output"][0]["content"][0]["logprobs"] == odds["content"]


def test_a_broken_stream_is_an_error_and_a_response_that_failed():
    telling = RESPONSES.stream(ASKED)
    begun = telling.feed(delta_of({"choices": [{"delta": {"content": "A"}}]}))
    events = heard(begun + telling.fail(StreamBroken("broken")), 10**6)
    (error, failed) = (event for _, event in events[-2:])
    assert (error["type"], error["code"]) == ("error", "stream_broken")
    assert (failed["type"], failed["response"]["status"]) == ("response.failed", "failed")
    assert [event["sequence_number"] for _, event in events] == list(range(len(events)))


def test_an_upstream_s_own_events_pass():
    telling = RESPONSES.stream(ASKED)
    delta = Delta()
    native = NativeEvent("responses", "response.x", b'{"odd":1}', delta.payload)
    out = telling.feed(Delta(native=native, payload=delta.payload)) + telling.end(Usage())
    assert out == b'event: response.x\ndata: {"odd":1}\n\n'


# ------------------------------------------------------------------ requests


def test_a_request_is_read_as_a_chat_s():
    body = {
        "model": "m",
        "instructions": "Be brief.",
        "input": [
            {"role": "developer", "content": "Be kind."},
            {
                "type": "message",
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What is it?"},
                    {"type": "input_image", "image_url": "https://a/b.png", "detail": "low"},
                    {"type": "input_file", "filename": "a.pdf", "file_data": "data:x"},
                ],
            },
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
            {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"},
            {"type": "function_call", "call_id": "c2", "name": "weather", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "sun"},
            {
                "type": "function_call_output",
                "call_id": "c2",
                "output": [{"type": "input_text", "text": "rain"}],
            },
        ],
        "max_output_tokens": 9,
        "tools": [TOOL],
        "tool_choice": {"type": "function", "name": "weather"},
        "text": {
            "format": {"type": "json_schema", "name": "n", "schema": PLACE, "strict": True},
            "verbosity": "low",
        },
        "reasoning": {"effort": "low", "summary": "auto"},
        "include": ["message.output_text.logprobs", "reasoning.encrypted_content"],
        "top_logprobs": 2,
        "store": True,
        "temperature": 0.5,
        "stream": True,
        "odd": [1, None],
    }
    request = read_request(body, {})
    call = {"type": "function", "function": {"name": "weather", "arguments": "{}"}}
    function = {name: TOOL[name] for name in ("name", "parameters", "strict")}
    assert request.body == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": "Be kind."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is it?"},
                    {"type": "image_url", "image_url": {"url": "https://a/b.png", "detail": "low"}},
                    {"type": "file", "file": {"file_data": "data:x", "filename": "a.pdf"}},
                ],
            },
            {
                "role": "assistant",
                "content": "I look.",
                "tool_calls": [{"id": "c1", **call}, {"id": "c2", **call}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "sun"},
            {"role": "tool", "tool_call_id": "c2", "content": "rain"},
        ],
        "max_completion_tokens": 9,
        "tools": [{"type": "function", "function": function}],
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "n", "schema": PLACE, "strict": True},
        },
        "verbosity": "low",
        "reasoning_effort": "low",
        "logprobs": True,
        "top_logprobs": 2,
        "temperature": 0.5,
        "stream": True,
        "stream_options": {"include_usage": True},
        "odd": [1, None],
    }
    assert request.native.only == ()
    assert request.native.dropped == (
        "store",
        "reasoning.summary",
        "include reasoning.encrypted_content",
        "reasoning items",
    )


@pytest.mark.parametrize("tools", [[], None])
@pytest.mark.parametrize("choice", ["auto", "none"])
def test_a_choice_of_no_tools_is_not_told_to_a_chat(tools, choice):
    asked = {"model": "m", "input": "hi", "tools": tools, "parallel_tool_calls": True}
    body = read_request({**asked, "tool_choice": choice}, {}).body
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & set(body)
    assert read_request({**asked, "tool_choice": "required"}, {}).body["tool_choice"] == "required"


@pytest.mark.parametrize(
    ("fields", "only"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "c"}, "conversation"),
        ({"prompt": {"id": "p"}, "input": None}, "prompt"),
        ({"background": True}, "background"),
        ({"tools": [{"type": "web_search"}]}, "tool web_search"),
        ({"tool_choice": {"type": "file_search"}}, "tool_choice file_search"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "item item_reference"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
            "image by id",
        ),
    ],
)
def test_what_only_responses_can_do_is_known(fields, only):
    request = read_request({"model": "m", "input": "hi", **fields}, {})
    assert request.native.only == (only,)
    assert request.messages


def test_only_allowed_tools_are_a_choice_of_the_chat_too():
    choice = {"type": "allowed_tools", "mode": "required"}
    tools = [{"type": "function", "name": "weather"}]
    body = {"model": "m", "input": "hi", "tools": [TOOL], "tool_choice": {**choice, "tools": tools}}
    assert read_request(body, {}).body["tool_choice"] == {
        "type": "allowed_tools",
        "allowed_tools": {
            "mode": "required",
            "tools": [{"type": "function", "function": {"name": "weather"}}],
        },
    }


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": []}, "input"),
        ({"input": None}, "input"),
        ({"input": [7]}, "input[0]"),
        ({"input": [{"role": "tool", "content": ""}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": 7}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0]"),
        ({"input": [{"type": "function_call", "call_id": "c"}]}, "input[0].name"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tool_choice": "maybe"}, "tool_choice"),
        ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
        ({"stream": 1}, "stream"),
        ({"model": None}, "model"),
        ({"instructions": 7}, "instructions"),
        ({"include": "x"}, "include"),
    ],
)
def test_what_no_client_of_responses_may_say_names_its_field(fields, param):
    with pytest.raises(BadRequest) as raised:
        read_request({"model": "m", "input": "hi", **fields}, {})
    assert raised.value.param.startswith(param)
