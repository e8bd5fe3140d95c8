"""The same promise in every dialect: nothing of any other tier's draft, nor of the marker."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import orjson
import pytest
from engine.serving import MARKER, Story, prepare
from hypothesis import given, settings
from properties.drafts import LETTERS, REQUEST, waterfalls

from gateway.api.voice import Voice
from gateway.dialects.completions import COMPLETIONS
from gateway.dialects.messages import MESSAGES
from gateway.dialects.responses import RESPONSES
from gateway.upstreams.sse import Decoder

ENDS = {
    MESSAGES.api: b'data: {"type":"message_stop"}\n\n',
    RESPONSES.api: b"event: response.",
    COMPLETIONS.api: b"data: [DONE]\n\n",
}


async def flow(fall, dialect):
    """Serve one request whose client speaks the dialect."""
    REQUEST.set(asyncio.current_task())
    engine, job, reply, (upstream, watch, line) = prepare(fall.setting, fall.scripts)
    reply._voice = Voice(dialect, job.request, "r-1")
    reply._telling = reply._voice.telling
    try:
        entry = await engine.run(job, reply)
        await reply.finish(entry)
    except asyncio.CancelledError:
        (entry,) = watch.entries
    return Story(entry, upstream, watch, line, job.plan)


def told(data):
    """Every text that a client may put together of a stream, joined."""
    joined = {}
    for event in Decoder().feed(data):
        if event.data == b"[DONE]":
            continue
        value = orjson.loads(event.data)
        delta = value.get("delta")
        pieces = delta if isinstance(delta, dict) else {"delta": delta}
        for choice in value.get("choices", ()):
            pieces = {**pieces, f"text {choice['index']}": choice["text"]}
        for name, piece in pieces.items():
            if isinstance(piece, str):
                place = (name, value.get("index"), value.get("output_index"))
                joined[place] = joined.get(place, "") + piece
    return joined.values()


@pytest.mark.parametrize("dialect", [MESSAGES, RESPONSES, COMPLETIONS], ids=lambda d: d.api)
@given(fall=waterfalls())
@settings(max_examples=25)
def test_a_client_of_a_dialect_sees_the_tier_that_served_it_and_nothing_else(dialect, fall):
    fall = replace(fall, hangs_up=None)
    story = asyncio.run(flow(fall, dialect))
    line, outcome = story.line, story.entry.outcome
    shown = line.headers.get("x-waterfall-tier")
    seen = line.data.decode()
    for tier, letters in zip(fall.setting.tiers, LETTERS, strict=False):
        if tier.name != shown:
            assert not set(letters) & set(seen), f"{tier.name} leaked"
    assert MARKER not in seen
    if line.headers.get("content-type") == "text/event-stream" and not outcome.cancelled:
        assert not any(MARKER in text for text in told(line.data))
        whole = ENDS[dialect.api] in line.data.rpartition(b"\n\n")[0][-4000:] + b"\n\n"
        assert whole == (outcome.error is None) or dialect is RESPONSES
        broken = b"response.failed" in line.data
        assert broken == (outcome.error is not None) or dialect is not RESPONSES
