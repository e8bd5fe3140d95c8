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
