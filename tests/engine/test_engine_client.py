"""What reaches the client: the served reply's own bytes, less what we had asked for ourselves."""

from __future__ import annotations

from dataclasses import replace

import pytest
from engine.scripted import chunk, says, usage
from engine.serving import (
    LARGE,
    MARKER,
    MEDIUM,
    SMALL,
    UNSURE,
    Setting,
    events,
    holding,
    serve,
)

from gateway.core.errors import UpstreamDown
from gateway.core.verdict import ABSTAIN, PASS, Bar, CheckSpec, Finding

A = says("small ", "answer", used=(10, 7))
B = says("medium ", "answer", used=(10, 7))
DOWN = UpstreamDown("no connection")
STREAM = Setting(stream=True)
TRUSTING = replace(STREAM, tiers=holding("none"))


def tiers(small=None, medium=None, large=None):
    return {"small": small, "medium": medium, "large": large}


async def test_a_plain_reply_is_the_upstream_s_own_bytes():
    story = await serve(Setting(), tiers(A))
    (held,) = story.entry.outcome.served.held
    assert story.line.data == held.raw


async def test_what_we_asked_for_is_not_the_client_s():
    bar = Bar(checks=(CheckSpec("logprob"),))
    setting = replace(STREAM, tiers=(replace(SMALL, bar=bar), LARGE))
    script = [chunk("sure", logprobs=-0.01), chunk(finish="stop"), usage(10, 7)]
    story = await serve(setting, {"small": script, "large": None})
    assert story.upstream.calls[0].body["logprobs"] is True
    assert b"logprobs" not in story.line.data
    assert b"usage" not in story.line.data
    assert story.entry.outcome.served.verdict.confidence == pytest.approx(0.99, abs=0.001)


async def test_what_the_client_asked_for_itself_it_gets():
    bar = Bar(checks=(CheckSpec("logprob"),))
    asked = {"logprobs": True, "stream_options": {"include_usage": True}}
    setting = replace(STREAM, tiers=(replace(SMALL, bar=bar), LARGE), body=asked)
    script = [chunk("sure", logprobs=-0.01), chunk(finish="stop"), usage(10, 7)]
    story = await serve(setting, {"small": script, "large": None})
    assert [event.get("usage") for event in events(story.line.data)][-1]["completion_tokens"] == 7
    assert events(story.line.data)[0]["choices"][0]["logprobs"]["content"][0]["token"] == "sure"


@pytest.mark.parametrize("stream", [False, True])
async def test_the_marker_is_in_no_log_probability_either(stream):
    tier = replace(SMALL, recipe=UNSURE)
    setting = Setting(tiers=(MEDIUM, tier), value=0.5, stream=stream, body={"logprobs": True})
    parts = ["perhaps", MARKER[:3], MARKER[3:12], MARKER[12:]]
    script = [*(chunk(part, logprobs=-0.5) for part in parts), chunk(finish="stop")]
    story = await serve(setting, {"medium": None, "small": script})
    assert (story.text, story.ending) == ("perhaps", "small")
    assert b"uns" not in story.line.data.replace(b"unsure@1", b"")
    assert story.line.data.count(b'"token"') == 1


async def test_a_text_that_ends_like_a_marker_without_a_finish_loses_nothing():
    tier = replace(SMALL, recipe=UNSURE)
    setting = Setting(tiers=(MEDIUM, tier), value=0.5, stream=True)
    story = await serve(setting, {"medium": None, "small": [chunk("a list ["), usage(10, 7)]})
    assert story.text == "a list ["
    assert story.line.data.count(b"[DONE]") == 1


async def test_a_heartbeat_does_not_open_a_stream():
    heartbeat = {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 0}}
    story = await serve(TRUSTING, tiers([heartbeat, DOWN], B))
    assert (story.called, story.ending, story.line.status) == ("small medium", "medium", 200)


async def test_an_abstaining_check_has_an_answer_all_the_same():
    found = [PASS, ABSTAIN, Finding("pass", confidence=0.71)]
    checks = {
        name: lambda request, reply, one=one: one
        for name, one in zip(("shape", "refusal", "unsure"), found, strict=True)
    }
    story = await serve(Setting(checks=checks), tiers(A))
    assert story.entry.outcome.served.verdict.confidence == 0.71
