"""Replies of a chat made by chance, plain and as chunks, and what is left of one at the end."""

from __future__ import annotations

import orjson
from hypothesis import strategies as st

from gateway.core.chat import Delta
from gateway.core.money import Usage
from gateway.upstreams.sse import Decoder

TEXT = st.text(max_size=12)
WORDS = st.text(min_size=1, max_size=12)
CALLS = st.lists(
    st.tuples(WORDS, st.dictionaries(TEXT, st.integers(-9, 9) | TEXT, max_size=3)), max_size=3
)
COUNTS = st.integers(0, 10**6)


@st.composite
def replies(draw, finishes=("stop", "length", "content_filter")):
    """A chat's whole reply."""
    calls = [
        {
            "id": f"call_{number}",
            "type": "function",
            "function": {"name": name, "arguments": orjson.dumps(given).decode()},
        }
        for number, (name, given) in enumerate(draw(CALLS))
    ]
    said = {"role": "assistant", "content": draw(TEXT), "refusal": None}
    if calls:
        said |= {"content": said["content"] or None, "tool_calls": calls}
    finish = "tool_calls" if calls else draw(st.sampled_from(finishes))
    cached, written, fresh, answered = (draw(COUNTS) for _ in range(4))
    prompt = cached + written + fresh
    return {
        "id": "msg_1",
        "object": "chat.completion",
        "created": 7,
        "model": "theirs",
        "choices": [{"index": 0, "message": said, "logprobs": None, "finish_reason": finish}],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": answered,
            "total_tokens": prompt + answered,
            "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
    }


def chunks_of(reply, size):
    """The same reply in chunks of `size` characters."""
    (choice,) = reply["choices"]
    said = choice["message"]
    frame = {**reply, "object": "chat.completion.chunk"}
    del frame["usage"]

    def chunk(delta, finish=None):
        return {**frame, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    told = [chunk({"role": "assistant", "content": ""})]
    told += [chunk({"content": part}) for part in cut(said["content"] or "", size)]
    for number, call in enumerate(said.get("tool_calls", ())):
        function = call["function"]
        begun = {**call, "index": number, "function": {**function, "arguments": ""}}
        told.append(chunk({"tool_calls": [begun]}))
        for part in cut(function["arguments"], size):
            more = {"index": number, "function": {"arguments": part}}
            told.append(chunk({"tool_calls": [more]}))
    told.append(chunk({}, choice["finish_reason"]))
    return [*told, {**frame, "choices": [], "usage": reply["usage"]}]


def cut(whole, size):
    return [whole[place : place + size] for place in range(0, len(whole), size)]


def delta_of(payload, **fields):
    """A delta as an upstream pushes it, of a payload that is to be written anew."""
    return Delta(raw=None, payload=payload, **fields)


def told(telling, chunks):
    """The bytes of a whole stream."""
    blocks = [telling.feed(delta_of(chunk)) for chunk in chunks]
    return b"".join(blocks) + telling.end(Usage())


def heard(stream, size):
    """The events of a stream that comes in blocks of `size` bytes: (name, value) each."""
    decoder = Decoder()
    events = [event for block in cut(stream, size) for event in decoder.feed(block)]
    assert not decoder.close()
    return [(event.name.decode(), orjson.loads(event.data)) for event in events]
