from __future__ import annotations

import pytest

from gateway.core.chat import ChatRequest
from gateway.core.signals import IMAGE_TOKENS, Signals, measure, text_of

IMAGE = {"type": "image_url", "image_url": {"url": "data:,"}}


def measured(*messages, **body):
    return measure(ChatRequest({"model": "m", "messages": messages, **body}))


def user(content):
    return {"role": "user", "content": content}


def test_an_empty_conversation():
    assert measured() == Signals()


def test_the_last_user_message_is_the_text():
    messages = [user("first"), user("last"), {"role": "assistant", "content": "answer"}]
    signals = measured(*messages)
    assert (signals.text, signals.turns) == ("last", 2)
    assert signals.prompt_chars == 15
    assert signals.prompt_tokens == 15 // 4 + 4 * 3


def test_what_instructs_is_measured_apart():
    told = [{"role": "system", "content": "be kind"}, {"role": "developer", "content": "be"}]
    signals = measured(*told, user("hi"))
    assert (signals.system_chars, signals.turns, signals.text) == (9, 1, "hi")
    assert signals.prompt_chars == 11


def test_parts_and_images():
    signals = measured(
        user([{"type": "text", "text": "a"}, IMAGE, {"type": "text", "text": "b"}, 7])
    )
    assert (signals.text, signals.images) == ("a\nb", 1)
    assert signals.prompt_tokens == 0 + 4 + IMAGE_TOKENS


def test_tools_count_with_their_schemas():
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"x": "y" * 400}}}]
    signals = measured(user("hi"), tools=tools)
    assert signals.tools == 1
    assert signals.prompt_tokens > 100


@pytest.mark.parametrize(
    ("wanted", "is_json"),
    [
        (None, False),
        ({"type": "text"}, False),
        ({"type": "json_object"}, True),
        ({"type": "json_schema", "json_schema": {}}, True),
        ("json_object", False),
    ],
)
def test_json_is_wanted(wanted, is_json):
    assert measured(response_format=wanted).wants_json is is_json


def test_the_number_of_choices():
    assert [measured(**asked).choices for asked in ({}, {"n": 3})] == [1, 3]
    assert [measured(**asked).made for asked in ({"best_of": None}, {"n": 3, "best_of": 4})] == [
        1,
        4,
    ]


def test_the_client_s_bound():
    assert measured(max_tokens=17).max_tokens == 17


@pytest.mark.parametrize(
    ("content", "text"),
    [(None, ""), ("s", "s"), ([], ""), ([{"text": "a"}, {"text": 1}, "x", {}], "a"), (7, "")],
)
def test_the_text_of_a_message(content, text):
    assert text_of({"role": "user", "content": content}) == text
