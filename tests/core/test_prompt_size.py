"""What a prompt is beside its text is put aside like its text: an upstream bills it all."""

from __future__ import annotations

import json

import pytest

from gateway.core.chat import ChatRequest
from gateway.core.native import NativeRequest
from gateway.core.prompt_size import SOUND, beside_text, size_of
from gateway.core.signals import IMAGE_TOKENS, measure

LONG = "word " * 800
TOKENS = len(LONG) // 4
HI = {"role": "user", "content": "hi"}
PLAIN = measure(ChatRequest({"model": "m", "messages": [HI]})).prompt_tokens


def asked(*messages, native=None, **body):
    return ChatRequest({"model": "m", "messages": [*messages, HI], **body}, native)


def called(**function):
    return {"role": "assistant", "content": None, "tool_calls": [{"id": "a", "function": function}]}


def parts(*parts):
    return {"role": "user", "content": list(parts)}


@pytest.mark.parametrize(
    "request_",
    [
        asked(called(name="f", arguments=LONG)),
        asked(called(name="f", arguments="{}", else_=LONG)),
        asked(called(name="f", arguments={"x": LONG})),
        asked({"role": "assistant", "content": None, "tool_calls": [LONG]}),
        asked({"role": "assistant", "content": None, "tool_calls": {"x": LONG}}),
        asked({"role": "assistant", "content": "", "function_call": {"arguments": LONG}}),
        asked({"role": "assistant", "content": "", "reasoning_content": LONG}),
        asked({"role": "tool", "tool_call_id": "a", "content": LONG}),
        asked({"role": "user", "content": "", "name": LONG}),
        asked(functions=[{"name": "f", "description": LONG}]),
        asked(tools=[{"type": "function", "function": {"name": LONG}}]),
        asked(response_format={"type": "json_schema", "json_schema": {"schema": {"x": LONG}}}),
        asked(prediction={"type": "content", "content": LONG}),
        asked(suffix=LONG),
        asked(parts({"type": "file", "file": {"file_data": LONG}})),
        asked(parts({"type": "refusal", "refusal": LONG})),
        asked(parts(LONG)),
    ],
)
def test_all_that_is_read_is_put_aside(request_):
    assert TOKENS <= measure(request_).prompt_tokens - PLAIN <= TOKENS + 40


@pytest.mark.parametrize(
    "request_",
    [
        asked(temperature=0.5, user=LONG, metadata={"x": LONG}, logit_bias={"1": 2}),
        asked(unheard_of=7, neither=None, flag=True, empty={}),
    ],
)
def test_what_is_no_prompt_is_not(request_):
    assert measure(request_).prompt_tokens == PLAIN


def test_an_image_is_one_however_it_comes_and_a_sound_is_measured_by_its_length():
    shown = asked(parts({"type": "image_url", "image_url": {"url": LONG * 99}}))
    assert measure(shown).prompt_tokens == PLAIN + 4 + IMAGE_TOKENS
    heard = {"type": "input_audio", "input_audio": {"data": "A" * 64_000}}
    assert beside_text(asked(parts(heard)))[0] == len(json.dumps(heard)) // SOUND


def test_files_are_told_apart_since_their_size_says_little():
    file = {"type": "file", "file": {"file_data": LONG}}
    assert beside_text(asked(parts(file))) == (0, len(json.dumps(file)))
    signals = measure(asked(parts(file)))
    assert signals.file_tokens == len(json.dumps(file)) // 4
    assert signals.prompt_tokens == PLAIN + 4 + signals.file_tokens


def test_every_script_costs_about_the_same():
    assert [size_of(text) for text in ("word", "слово", "言葉", "\ud800")] == [4, 10, 6, 3]
    chinese = measure(asked({"role": "user", "content": "水" * 4000}))
    assert chinese.prompt_tokens == PLAIN + 4 + 3000
    assert chinese.prompt_chars == 4002


def native(wire, **body):
    return NativeRequest(wire, body, {})


TEXT = {"type": "text", "text": LONG}


@pytest.mark.parametrize(
    ("own", "unread"),
    [
        (native("messages", messages=[{"role": "user", "content": LONG}]), False),
        (native("messages", messages=[{"role": "user", "content": [TEXT]}], system=[TEXT]), False),
        (
            native("messages", messages=[{"content": [{"type": "thinking", "thinking": LONG}]}]),
            True,
        ),
        (native("messages", messages=[7, {"content": [7, {"type": "new", "x": LONG}]}]), True),
        (
            native(
                "messages",
                messages=[
                    {"content": [{"type": "tool_result", "content": [{"type": "new", "x": LONG}]}]}
                ],
            ),
            True,
        ),
        (native("messages", messages=[{"content": [{"type": "document", "context": LONG}]}]), True),
        (
            native(
                "messages",
                messages=[
                    {"content": [{"type": "document", "source": {"type": "text", "data": LONG}}]}
                ],
            ),
            False,
        ),
        (
            native(
                "messages",
                messages=[
                    {"content": [{"type": "document", "source": {"type": "content", "x": LONG}}]}
                ],
            ),
            True,
        ),
        (native("messages", tools=["f", {"name": "f", "input_schema": {"x": LONG}}]), False),
        (native("messages", tools=[{"name": "f", "input_examples": [LONG]}]), True),
        (native("messages", mcp_servers=[{"name": LONG}]), True),
        (native("responses", input=LONG), False),
        (native("responses", input=[{"role": "user", "content": LONG}]), False),
        (native("responses", input=[{"type": "function_call", "arguments": LONG}]), False),
        (
            native("responses", input=[{"type": "function_call_output", "output": [TEXT]}]),
            False,
        ),
        (native("responses", input=[{"type": "custom_tool_call", "input": LONG}]), True),
        (native("responses", prompt={"variables": {"x": LONG}}), True),
        (native("completions", prompt=LONG), False),
    ],
)
def test_what_the_chat_s_words_have_not_of_another_dialect_is_counted_once(own, unread):
    more = measure(asked(native=own)).prompt_tokens - PLAIN
    assert TOKENS <= more <= TOKENS + 40 if unread else more == 0
