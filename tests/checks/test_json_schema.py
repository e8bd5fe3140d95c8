from __future__ import annotations

import json
import socket

import pytest

from gateway.checks import json_schema
from gateway.checks.json_schema import INVALID, TooMuchError, budget, is_valid, reply_format
from gateway.core.chat import ChatRequest, Choice, Reply
from gateway.core.verdict import ABSTAIN, PASS


@pytest.fixture(autouse=True)
def _budget():
    with budget():
        yield


PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"$ref": "#/$defs/age"}},
    "required": ["name"],
    "additionalProperties": False,
    "$defs": {"age": {"type": "integer", "minimum": 0}},
}
ANN = '{"name": "Ann", "age": 7}'


def asked(response_format):
    return ChatRequest({"model": "m", "messages": [], "response_format": response_format})


def by_schema(schema):
    return asked({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}})


def said(*texts, complete=True):
    return Reply(tuple(map(Choice, texts)), complete)


OBJECT = asked({"type": "json_object"})
FOUND = {
    "no format": (asked(None), said("x"), ABSTAIN),
    "text": (asked({"type": "text"}), said("x"), ABSTAIN),
    "a kind we do not know": (asked({"type": "grammar"}), said("x"), ABSTAIN),
    "a prefix": (OBJECT, said("{", complete=False), ABSTAIN),
    "an object": (OBJECT, said("{}"), PASS),
    "a list is no object": (OBJECT, said("[]"), INVALID),
    "prose": (OBJECT, said("Here it is: {}"), INVALID),
    "fenced": (OBJECT, said("```json\n{}\n```"), INVALID),
    "cut off": (OBJECT, said('{"a": '), INVALID),
    "nothing": (OBJECT, said(""), INVALID),
    "one of two": (OBJECT, said("{}", "no"), INVALID),
    "too deep": (OBJECT, said('{"a":' * 40_000), INVALID),
    "no schema given": (asked({"type": "json_schema"}), said("{}"), PASS),
    "no schema in it": (asked({"type": "json_schema", "json_schema": {}}), said("[]"), INVALID),
    "valid": (by_schema(PERSON), said(ANN), PASS),
    "a reference, minded": (by_schema(PERSON), said('{"name": "Ann", "age": -1}'), INVALID),
    "a key too many": (by_schema(PERSON), said('{"name": "Ann", "x": 1}'), INVALID),
    "a key too few": (by_schema(PERSON), said("{}"), INVALID),
    "a schema that is none": (by_schema({"type": "banana"}), said("{}"), ABSTAIN),
    "too long to read": (OBJECT, said("{}" + " " * json_schema.MAX_TEXT), ABSTAIN),
    "too large a schema": (
        by_schema({"description": "x" * json_schema.MAX_SCHEMA}),
        said("{}"),
        ABSTAIN,
    ),
}


@pytest.mark.parametrize(("request_", "reply", "found"), FOUND.values(), ids=FOUND)
def test_the_format(request_, reply, found):
    assert reply_format(request_, reply) == found


def test_a_call_of_a_tool_is_not_held_to_the_format():
    call = {"id": "c", "name": "f", "arguments": "{}"}
    assert reply_format(OBJECT, Reply((Choice("", tool_calls=(call,)),))) == PASS


def nested(depth):
    schema = {}
    for _ in range(depth):
        schema = {"allOf": [schema]}
    return schema


HOSTILE = {
    "a reference to nowhere": {"$ref": "#/nowhere"},
    "a reference to itself": {"$ref": "#"},
    "a ring of references": {
        "$ref": "#/$defs/a",
        "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}},
    },
    "a remote reference": {"$ref": "http://127.0.0.1:9/schema.json"},
    "a file": {"$ref": "file:///etc/passwd"},
    "a remote dynamic reference": {"$dynamicRef": "http://127.0.0.1:9/schema.json#x"},
    "exponential": {
        "$ref": "#/$defs/d30",
        "$defs": {
            "d0": {"type": "string"},
            **{f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n - 1}"}] * 2} for n in range(1, 31)},
        },
    },
}


@pytest.mark.parametrize("schema", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_schema_costs_little_and_reaches_nothing(schema, monkeypatch):
    def refuse(*_):
        raise AssertionError("it reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with pytest.raises(TooMuchError):
        is_valid("{}", schema)
    assert reply_format(by_schema(schema), said("{}")) == ABSTAIN


EVIL = "(a+)+$"
BAIT = json.dumps({"a" * 64 + "!": "a" * 64 + "!"})


@pytest.mark.parametrize(
    "schema",
    [
        {"additionalProperties": {"pattern": EVIL}},
        {"patternProperties": {EVIL: {"type": "integer"}}},
        {"propertyNames": {"pattern": EVIL}},
        {"propertyNames": {"pattern": "a{99999999999}"}},
        {"propertyNames": {"pattern": "("}},
    ],
)
def test_no_pattern_is_ever_run(schema):
    assert is_valid(BAIT, schema)


DIALECT = "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize(
    "schema",
    [
        {"patternProperties": {EVIL: {}}, "additionalProperties": False},
        {"allOf": [{"patternProperties": {EVIL: {}}}], "unevaluatedProperties": False},
        {"allOf": [{"$schema": DIALECT, "propertyNames": {"pattern": EVIL}}]},
        {"$ref": "#/$defs/x", "$defs": {"x": {"$schema": DIALECT, "patternProperties": {EVIL: 1}}}},
    ],
)
def test_nor_behind_the_bounds(schema):
    with pytest.raises(TooMuchError):
        is_valid(BAIT, schema)


def test_a_dialect_named_at_the_top_is_read_as_our_own():
    assert not is_valid("{}", {"$schema": DIALECT, "required": ["x"]})
    assert is_valid(BAIT, {"$schema": DIALECT, "propertyNames": {"pattern": EVIL}})


NONSENSE = [
    {"type": "banana"},
    {"type": 7},
    {"required": 7},
    {"properties": []},
    {"allOf": 7},
    {"minProperties": "x"},
    {"$ref": 7},
]


@pytest.mark.parametrize("schema", NONSENSE)
def test_a_schema_that_is_none_is_nobody_s_fault_here(schema):
    assert reply_format(by_schema(schema), said(ANN)) == ABSTAIN


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_in_json_is_invalid(number):
    assert not is_valid(f'{{"x": {number}}}', None)


def test_a_number_too_large_for_arithmetic_is_left_alone():
    with pytest.raises(TooMuchError):
        is_valid("1e400", {"multipleOf": 0.5})


COSTLY = {
    "unique": ({"uniqueItems": True}, [{"a": n} for n in range(3_000)]),
    "a long enum": ({"items": {"enum": [f"{n:05}" for n in range(3_000)]}}, ["02999"] * 9_000),
    "many properties": (
        {"items": {"properties": {f"p{n}": {} for n in range(2_000)}}},
        [{}] * 9_000,
    ),
    "many alternatives": (
        {"anyOf": [{"additionalProperties": {"type": "null"}}] * 1_000},
        {f"k{n}": 1 for n in range(9_000)},
    ),
}


@pytest.mark.parametrize(("schema", "value"), COSTLY.values(), ids=COSTLY)
def test_what_multiplies_is_counted(schema, value):
    with pytest.raises(TooMuchError):
        is_valid(json.dumps(value), schema)


def test_few_items_can_be_unique():
    assert is_valid("[1, 2, {}]", {"uniqueItems": True})
    assert not is_valid("[1, {}, {}]", {"uniqueItems": True})


def test_a_schema_nested_too_deep_is_refused_or_read():
    assert reply_format(by_schema(nested(60)), said("{}")) == PASS
    assert reply_format(by_schema(nested(5_000)), said("{}")) == ABSTAIN


def test_many_items_are_counted_against_the_budget():
    items = json.dumps({"x": [0] * 30_000})
    schema = {"properties": {"x": {"items": {"type": "integer"}}}}
    with pytest.raises(TooMuchError):
        is_valid(items, schema)


NUMBERS = by_schema({"properties": {"x": {"items": {"type": "integer"}}}})


def test_one_reply_s_choices_share_a_budget():
    text = json.dumps({"x": [0] * 6_000})
    assert reply_format(NUMBERS, said(text)) == PASS
    assert reply_format(NUMBERS, said(text, text)) == ABSTAIN


def test_one_reply_s_steps_are_not_another_s():
    text = json.dumps({"x": [0] * 6_000})
    assert [reply_format(NUMBERS, said(text)) for _ in range(4)] == [PASS] * 4
