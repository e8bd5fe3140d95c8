"""The forms a reply may take: JSON by a schema, calls of tools; and what is declined."""

from __future__ import annotations

import json

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from upstreams.simulated.talking import ask

from gateway.core.chat import Draft
from gateway.upstreams.simulated import Answer, Behaviour, Model
from gateway.upstreams.simulated.generate import speak
from gateway.upstreams.simulated.refusals import Declined, admit
from gateway.upstreams.simulated.render import events, plain_body
from gateway.upstreams.simulated.schema import instance
from gateway.upstreams.wire import event_delta, plain_delta

FREE = Behaviour(seed=7)
KEY = {"2 plus 2?": Answer("4")}

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 12, "maxLength": 14},
        "age": {"type": "integer", "minimum": 3, "exclusiveMaximum": 5},
        "size": {"type": "number", "minimum": 0.12, "maximum": 0.13},
        "kind": {"enum": ["a", "b"]},
        "born": {"type": ["string", "null"], "format": "date"},
        "tags": {"type": "array", "items": {"type": "string"}, "minItems": 2},
        "boss": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
        "both": {"allOf": [{"$ref": "#/$defs/x"}, {"required": ["y"]}]},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
    "$defs": {"x": {"type": "object", "properties": {"y": {"const": 4}}}},
}


def _json_schema(schema):
    return {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}


@given(st.integers())
def test_structured_output_is_valid(seed):
    body = ask(response_format=_json_schema(PERSON))
    text = speak(Behaviour(seed=seed), body).choices[0].text
    jsonschema.validate(json.loads(text), PERSON)


numbers = st.integers(-50, 50)
leaves = st.one_of(
    st.just({"type": "boolean"}),
    st.just({"type": "null"}),
    st.builds(lambda low, size: {"type": "integer", "minimum": low, "maximum": low + size},
              numbers, st.integers(0, 9)),
    st.builds(lambda low: {"type": "number", "exclusiveMinimum": low}, numbers),
    st.builds(lambda top, step: {"type": "integer", "maximum": top, "multipleOf": step},
              numbers, st.integers(1, 9)),
    st.builds(lambda least: {"type": "string", "minLength": least}, st.integers(0, 30)),
    st.builds(lambda values: {"enum": values}, st.lists(numbers, min_size=1)),
)  # fmt: skip
schemas = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(lambda items, n: {"type": "array", "items": items, "minItems": n},
                  inner, st.integers(0, 3)),
        st.builds(lambda props: {"type": "object", "properties": props, "required": list(props)},
                  st.dictionaries(st.sampled_from("abc"), inner)),
        st.builds(lambda some: {"anyOf": some}, st.lists(inner, min_size=1, max_size=3)),
    ),
    max_leaves=8,
)  # fmt: skip


@given(schemas, st.randoms(use_true_random=False))
def test_an_instance_is_accepted_by_its_schema(schema, random):
    jsonschema.validate(instance(schema, random), schema)


def test_unique_items_are_unique():
    schema = {"type": "array", "items": {"enum": [1, 2, 3]}, "minItems": 3, "uniqueItems": True}
    said = speak(FREE, ask(response_format=_json_schema(schema))).choices[0].text
    assert sorted(json.loads(said)) == [1, 2, 3]


def test_json_mode_carries_the_answer():
    behaviour = Behaviour(answers=KEY)
    told = speak(behaviour, ask("2 plus 2?", response_format={"type": "json_object"}))
    assert json.loads(told.choices[0].text) == {"answer": "4"}
    schema = {"type": "object", "properties": {"answer": {"type": "string"}}}
    told = speak(behaviour, ask("2 plus 2?", response_format=_json_schema(schema)))
    assert json.loads(told.choices[0].text) == {"answer": "4"}


CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": CITY}}
    for name in ("get_time", "get_weather")
]


@pytest.mark.parametrize(
    ("text", "choice", "name"),
    [
        ("Hello", None, ""),
        ("Please get weather for Oslo", None, "get_weather"),
        ("Hello", "required", "get_time"),
        ("Please get weather", "required", "get_weather"),
        ("Please get weather", "none", ""),
        ("Hello", {"type": "function", "function": {"name": "get_weather"}}, "get_weather"),
    ],
)
def test_a_tool_is_called_when_asked_for(text, choice, name):
    said = speak(FREE, ask(text, tools=TOOLS, tool_choice=choice)).choices[0]
    assert said.tool == name
    assert said.finish == ("tool_calls" if name else "stop")
    if name:
        jsonschema.validate(json.loads(said.text), CITY)


def test_a_tool_s_result_is_answered_in_words():
    body = ask("Please get weather", tools=TOOLS)
    body["messages"].append({"role": "tool", "tool_call_id": "c", "content": "rain"})
    assert speak(FREE, body).choices[0].tool == ""


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_call_reads_the_same_either_way(stream):
    speech = speak(FREE, ask("get weather", tools=TOOLS))
    draft = Draft()
    if stream:
        for data, _ in events(speech, "id", 0, 0):
            draft.add(event_delta(data, strip_usage=False, strip_logprobs=False))
    else:
        draft.add(plain_delta(plain_body(speech, "id", 0, 0), strip_logprobs=False))
    (call,) = draft.reply(complete=True).choices[0].tool_calls
    assert call["name"] == "get_weather"
    assert call["arguments"] == speech.choices[0].text


# ------------------------------------------------------------------ refusals

GOOD = ask()


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": ["hello"]}, "messages"),
        ({"n": 0}, "n"),
        ({"n": 10**6}, "n"),
        ({"n": True}, "n"),
        ({"max_tokens": "9"}, "max_tokens"),
        ({"max_completion_tokens": 0}, "max_completion_tokens"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"stop": 7}, "stop"),
        ({"stop": [7]}, "stop"),
        ({"tools": "x"}, "tools"),
        ({"response_format": "json"}, "response_format"),
        ({"response_format": {"json_schema": 1}}, "response_format"),
    ],
)
def test_a_body_out_of_shape_is_declined(change, param):
    with pytest.raises(Declined) as caught:
        admit({**GOOD, **change})
    assert (caught.value.status, caught.value.param) == (400, param)
    assert json.loads(caught.value.body())["error"]["param"] == param


@pytest.mark.parametrize(
    ("model", "fields", "status", "code"),
    [
        ("missing", {}, 404, "model_not_found"),
        ("tiny", {}, 400, "context_length_exceeded"),
        ("plain", {"logprobs": True}, 400, "unsupported_parameter"),
    ],
)
def test_a_model_declines_what_it_cannot_do(model, fields, status, code):
    models = {"tiny": Model(context=5), "plain": Model(rejects=frozenset({"logprobs"}))}
    with pytest.raises(Declined) as caught:
        speak(Behaviour(models=models), ask(model=model, **fields))
    assert (caught.value.status, caught.value.code) == (status, code)
