"""The chat and OpenAI's Responses, there and back: requests, replies and streams unchanged."""

from __future__ import annotations

import orjson
import pytest
from dialects.telling import chunks_of, delta_of, heard, replies, told
from dialects.test_messages_requests import PLACE, conversations
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.chat import ChatRequest, Delta, Draft
from gateway.core.errors import CannotCarry
from gateway.core.money import Usage
from gateway.core.native import NativeRequest
from gateway.dialects.responses import RESPONSES
from gateway.dialects.responses.read_reply import Events, NotResponses, plain_payload
from gateway.dialects.responses.read_request import read_request
from gateway.dialects.responses.write_request import merge_native, write_request
from gateway.upstreams.wire import pieces_of

SIZES = st.integers(1, 40)
ASKED = ChatRequest({"model": "m", "messages": []}, NativeRequest("responses", {}, {}))
FUNCTION = {"name": "weather", "parameters": PLACE, "strict": True}
FIELDS = st.fixed_dictionaries(
    {"model": st.just("m")},
    optional={
        "max_completion_tokens": st.integers(1, 9),
        "temperature": st.floats(0, 2),
        "user": st.text(min_size=1),
        "odd": st.just([1, None]),
        "tools": st.just([{"type": "function", "function": FUNCTION}]),
        "reasoning_effort": st.just("low"),
        "verbosity": st.just("low"),
        "response_format": st.just(
            {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": PLACE}}
        ),
    },
)
CHOICE = st.sampled_from(
    [
        "required",
        {"type": "function", "function": {"name": "weather"}},
        {
            "type": "allowed_tools",
            "allowed_tools": {
                "mode": "auto",
                "tools": [{"type": "function", "function": {"name": "weather"}}],
            },
        },
    ]
)


def _spelt_out(messages):
    """The same conversation with the details that Responses spell out."""
    for message in messages:
        content = message["content"]
        for part in content if isinstance(content, list) else ():
            if part["type"] == "image_url":
                part["image_url"]["detail"] = "auto"
    return messages


@given(conversations(), FIELDS, st.none() | CHOICE)
@settings(max_examples=60)
def test_a_request_survives_the_way_to_responses_and_back(messages, fields, choice):
    body = {**fields, "messages": _spelt_out(orjson.loads(orjson.dumps(messages)))}
    if "tools" in fields and choice is not None:
        body["tool_choice"] = choice
    written, dropped = write_request(body)
    assert (dropped, written["store"]) == ([], False)
    again = read_request(written, {})
    assert again.body == body
    assert again.native.only == ()


@given(replies(), SIZES, SIZES)
@settings(max_examples=60)
def test_a_reply_survives_the_way_to_responses_and_back(reply, size, block):
    reply["id"] = "resp_1"
    raw = RESPONSES.plain(delta_of(reply), ASKED, Usage())
    assert plain_payload(orjson.loads(raw)) == reply
    reader = Events()
    stream = told(RESPONSES.stream(ASKED), chunks_of(reply, size))
    payloads = [chunk for _, event in heard(stream, block) if (chunk := reader.chunk(event))]
    assert reader.ended
    assert reader.usage_chunk()["usage"] == reply["usage"]
    draft, whole = Draft(), Draft()
    for payload in payloads:
        draft.add(Delta(pieces_of(payload, "delta")))
    whole.add(Delta(pieces_of(reply, "message")))
    assert draft.reply(complete=True) == whole.reply(complete=True)


def test_what_was_thought_is_text_to_show():
    item = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}
    payload = plain_payload({"output": [item], "status": "completed"})
    assert payload["choices"][0]["message"]["reasoning_content"] == "Hm."
    event = {"type": "response.reasoning_summary_text.delta", "delta": "Hm."}
    chunk = Events().chunk(event)
    assert chunk["choices"][0]["delta"] == {"reasoning_content": "Hm."}


@pytest.mark.parametrize(
    "response",
    [
        *({}, {"output": [7]}, {"output": [{"type": "message"}]}),
        {"output": [{"type": "message", "content": [{"type": "output_text", "text": 7}]}]},
    ],
)
def test_what_is_no_response_is_none(response):
    with pytest.raises(NotResponses):
        plain_payload(response)


@pytest.mark.parametrize(
    "fields",
    [
        *({"n": 2}, {"stop": "x"}, {"logit_bias": {"1": 1}}, {"web_search_options": {"a": 1}}),
        {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
    ],
)
def test_what_the_reply_rests_on_is_not_dropped(fields):
    with pytest.raises(CannotCarry):
        write_request({"model": "m", "messages": [{"role": "user", "content": "a"}], **fields})


def test_what_is_harmless_is_dropped_by_name():
    body = {"model": "m", "messages": [{"role": "user", "content": "a"}], "seed": 7, "n": 1}
    written, dropped = write_request({**body, "logprobs": True})
    assert dropped == ["seed"]
    assert (written["include"], written["top_logprobs"]) == (["message.output_text.logprobs"], 0)
    assert not {"seed", "n", "logprobs"} & set(written)


OWN = {
    "model": "waterfall",
    "instructions": "Be kind.",
    "input": [
        {"type": "reasoning", "id": "rs_waterfall_1", "summary": []},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
        {"role": "user", "content": "hi"},
    ],
    "store": True,
    "previous_response_id": "resp_1",
}


def test_a_client_s_own_request_goes_as_it_came_but_for_thoughts_that_were_ours():
    request = read_request(OWN, {})
    body = {**request.body, "model": "m"}
    own = {**OWN, "model": "m", "input": OWN["input"][1:]}
    assert merge_native(request.native, body) == own
    laid = [{"role": "system", "content": "Be terse."}, *request.messages]
    terse = merge_native(request.native, {**body, "messages": laid, "temperature": 0})
    assert terse["input"] == [{"role": "system", "content": "Be terse."}, *own["input"]]
    assert (terse["temperature"], terse["instructions"]) == (0, "Be kind.")
    said = read_request({"model": "m", "input": "hi"}, {})
    laid = [{"role": "system", "content": "Be terse."}, *said.messages]
    terse = merge_native(said.native, {**said.body, "messages": laid})
    assert terse["input"] == laid


def test_what_tools_show_comes_after_the_last_of_their_results():
    image = {"type": "input_image", "image_url": "https://example.org/cat.png"}
    text = {"type": "input_text", "text": "a"}

    def output(call, *parts):
        return {"type": "function_call_output", "call_id": call, "output": list(parts)}

    items = [output("c1", text, image), output("c2", image), {"role": "user", "content": "And?"}]
    for listed in (items, items[:2]):
        first, second, shown, *rest = read_request({"model": "m", "input": listed}, {}).messages
        assert (first["content"], first["role"], second["role"]) == ("a", "tool", "tool")
        assert [part["type"] for part in shown["content"]] == ["image_url", "image_url"]
        assert [message["content"] for message in rest] == ["And?"][: len(listed) - 2]


SPACE = {
    "type": "namespace",
    "name": "crew",
    "description": "Those who help.",
    "tools": [{"type": "function", "name": "close", "parameters": PLACE, "strict": False}],
}


@pytest.mark.parametrize("stream", [False, True])
def test_a_function_in_a_namespace_is_one_of_its_name_to_a_chat(stream):
    called = {"type": "function_call", "call_id": "c1", "name": "close", "arguments": "{}"}
    called["namespace"] = "crew"
    output = {"type": "function_call_output", "call_id": "c1", "output": "done"}
    body = {"model": "m", "input": [called, output], "tools": [SPACE, {"type": "web_search"}]}
    request = read_request(body, {})
    assert request.native.only == ("tool web_search",)
    assert request.body["tools"][0]["function"]["name"] == "crew__close"
    assert request.messages[0]["tool_calls"][0]["function"]["name"] == "crew__close"
    call = {"id": "c2", "type": "function", "function": {"name": "crew__close", "arguments": "{}"}}
    said = {"role": "assistant", "content": None, "tool_calls": [call]}
    reply = {"id": "r", "choices": [{"index": 0, "message": said, "finish_reason": "tool_calls"}]}
    if stream:
        events = heard(told(RESPONSES.stream(request), chunks_of({**reply, "usage": {}}, 3)), 9)
        (item,) = (e["item"] for _, e in events if e["type"] == "response.output_item.done")
        response = events[-1][1]["response"]
    else:
        response = orjson.loads(RESPONSES.plain(delta_of(reply), request, Usage()))
        (item,) = response["output"]
    assert (item["namespace"], item["name"], item["call_id"]) == ("crew", "close", "c2")
    assert response["tools"] == body["tools"]


@given(replies(), SIZES)
@settings(max_examples=20)
def test_a_server_that_tells_arguments_only_when_they_are_whole_is_understood(reply, size):
    reader, draft, whole = Events(), Draft(), Draft()
    for _, event in heard(told(RESPONSES.stream(ASKED), chunks_of(reply, size)), 10**6):
        bare = event["type"] == "response.function_call_arguments.delta"
        if not bare and (chunk := reader.chunk(event)):
            draft.add(Delta(pieces_of(chunk, "delta")))
    whole.add(Delta(pieces_of(reply, "message")))
    assert draft.reply(complete=True) == whole.reply(complete=True)


@given(replies(), SIZES)
@settings(max_examples=20)
def test_a_server_that_tells_no_places_is_understood_by_its_items_ids(reply, size):
    stream = heard(told(RESPONSES.stream(ASKED), chunks_of(reply, size)), 10**6)
    placed, reader = Events(), Events()
    for _, event in stream:
        bare = {name: value for name, value in event.items() if name != "output_index"}
        assert reader.chunk(bare) == placed.chunk(event)
    with pytest.raises(NotResponses):
        Events().chunk({"type": "response.output_item.added", "item": {"type": "function_call"}})
