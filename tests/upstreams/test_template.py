"""A stream's chunks by the form of one before them: what comes out is what their JSON says."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.errors import UpstreamError
from gateway.upstreams.template import TRIES, Template
from gateway.upstreams.wire import event_delta

CHUNK = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}


def reading(*, usage=True, logprobs=True):
    return lambda data: event_delta(data, strip_usage=usage, strip_logprobs=logprobs)


def event(payload, dumps=orjson.dumps):
    data = dumps(payload)
    return b"data: %b\n\n" % (data if isinstance(data, bytes) else data.encode())


def said(text, index=0, **more):
    delta = {"content": text}
    return {**CHUNK, "choices": [{"index": index, "delta": delta, "finish_reason": None}], **more}


def learned(*blocks, **how):
    """A template that has seen these."""
    read = reading(**how)
    template = Template(read)
    for block in blocks:
        template.learn(block, read(block[6:-2]))
    return template


FORMS = {
    "plain": {},
    "of the second choice": {"index": 1},
    "no usage yet": {"usage": None},
    "padded": {"usage": None, "obfuscation": "a8Zk"},
    "padded by another": {"p": "abcdefg"},
    "a fingerprint at its end": {"system_fingerprint": "fp44"},
}


ESCAPED = ('a "word"', "a line\n", "a\u2028line", "\\", "\U0001f600")


@pytest.mark.parametrize("dumps", [orjson.dumps, json.dumps])
@pytest.mark.parametrize("usage", [True, False])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_chunk_of_a_known_form_is_read_as_its_json_is(form, usage, dumps):
    template = learned(event(said(" first", **form), dumps), usage=usage)
    more = {key: "Q2x" for key in ("obfuscation", "p") if key in form}
    for text in (" copper", "", "Größe 漢字", "{[:,]}", *ESCAPED, '"},"', " copper"):
        block = event(said(text, **{**form, **more}), dumps)
        delta = template.read(block)
        assert delta == reading(usage=usage)(block[6:-2])
        seen = b"data: %b\n\n" % delta.raw
        assert template.quote(block) == (form.get("index", 0), text, seen)


@pytest.mark.parametrize("text", ESCAPED)
def test_a_text_is_learned_from_however_it_is_escaped(text):
    first = event(said(text), json.dumps)
    assert learned(first).quote(first) == (0, text, first)


def test_what_is_of_another_form_is_left_to_be_read():
    template = learned(event(said(" first")))
    others = [
        said(" copper", index=1),
        said(" copper", usage={"prompt_tokens": 1, "completion_tokens": 1}),
        {**said(" copper"), "id": "c-2"},
        {**CHUNK, "choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}]},
        {**CHUNK, "choices": [{"index": 0, "delta": {}, "finish_reason": None}]},
        {"error": {"message": "no"}},
    ]
    for payload in others:
        assert template.read(event(payload)) is None, payload
    good = event(said(" copper"))
    cut = [good[:-1], good[:-2] + b"\r\n\r\n", good + good, b": hm\n\n" + good, good[:40], b""]
    texts = [b"cop\xffper", b"c\tc", b'c"c', b'c"', b"c\\", rb"\ud83d", b'","content":"', b'"x":']
    for block in (*cut, *(good.replace(b"copper", text) for text in texts)):
        assert template.read(block) is None, block
    assert template.read(good) is not None, "and it is known still"


def test_what_stands_twice_or_elsewhere_too_is_not_taken_for_the_text():
    echo = event({**said(" first"), "echo": {"content": " first"}})
    assert learned(echo).read(event({**said(" other"), "echo": {"content": " first"}})) is None
    before = {"echo": {"content": " copper"}, **said(" first")}
    read = learned(event(before)).read(event({**before, "echo": {"content": " x"}}))
    assert read is None


def test_log_probabilities_and_finishes_are_read_as_they_come():
    odds = {"content": [{"token": "a", "logprob": -0.5}]}
    choice = {"index": 0, "delta": {"content": "a"}, "logprobs": odds, "finish_reason": None}
    block = event({**CHUNK, "choices": [choice]})
    assert learned(block).read(block) is None


def test_a_stream_of_ever_other_forms_is_left_at_that():
    template = learned(*[event({**said(" a"), "id": f"c-{n}"}) for n in range(TRIES)])
    last = event({**said(" b"), "id": f"c-{TRIES - 1}"})
    assert template.read(last) is not None
    other = event({**said(" a"), "id": "c-99"})
    template.learn(other, reading()(other[6:-2]))
    assert template.read(other) is None


TEXTS = st.text(max_size=12)
PARTS = st.dictionaries(
    st.sampled_from(["usage", "obfuscation", "p", "object", "error", "service_tier", "x"]),
    st.none() | st.sampled_from(["Zk3", "error", '"},', 'content":"a']) | st.integers(-9, 9),
    max_size=4,
)
DELTAS = st.dictionaries(
    st.sampled_from(["role", "refusal", "reasoning_content", "tool_calls"]),
    st.sampled_from([None, "assistant", "hm"]),
    max_size=2,
)


@settings(max_examples=150)
@given(
    st.lists(st.tuples(TEXTS, PARTS, DELTAS, st.booleans()), min_size=2, max_size=6), st.booleans()
)
def test_it_never_says_anything_but_what_the_json_says(chunks, strip):
    """Whatever the chunks are, and in whatever order their forms come."""
    read = reading(usage=strip)
    template = Template(read)
    for text, *form, reused in chunks:
        parts, more = chunks[0][1:3] if reused else form
        payload = said(text, **parts)
        payload["choices"][0]["delta"].update(more)
        block = event(payload)
        try:
            wanted = read(block[6:-2])
        except UpstreamError:
            assert template.read(block) is None
            continue
        found = template.read(block)
        assert found in (None, wanted)
        seen = None if found is None else (0, text, b"data: %b\n\n" % wanted.raw)
        assert template.quote(block) == seen
        if found is None:
            template.learn(block, wanted)
