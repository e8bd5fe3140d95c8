"""A held draft that is lost already is left at once and the next tier called; a released never."""

from __future__ import annotations

from dataclasses import replace

import pytest
from engine.scripted import chunk, says
from engine.serving import BAR, Setting, holding, serve

from gateway.core.errors import UpstreamDown
from gateway.core.verdict import CheckSpec, Early

NO = "I'm sorry, but I can"
B = says('{"medium": ', "1}", used=(10, 7))
REST = [chunk("never"), chunk(" asked"), chunk(" for"), chunk(finish="stop")]
LOOP = [chunk("over and over ")] * 60
FORMATTED = replace(BAR, checks=(*BAR.checks, CheckSpec("format")))
JSON = {"response_format": {"type": "json_object"}}


def setting(early, bar=BAR, hold="reply", **more):
    tiers = holding(hold, bar=replace(bar, early=early))
    return Setting(stream=True, tiers=tiers, **more)


def tiers(small, medium=B):
    return {"small": small, "medium": medium, "large": None}


WAYS = {
    "refusal": (Early(refusal=True), [chunk("Well. "), chunk(NO)], {}, "refusal"),
    "repetition": (Early(repetition=True), LOOP, {}, "repetition"),
    "format": (Early(format=True), [chunk("Sure: ")], JSON, "schema_invalid"),
    "logprob": (
        Early(logprob=0.5),
        [chunk("x", logprobs=-2.0)] * 16,
        {},
        "low_confidence",
    ),
}


@pytest.mark.parametrize("hold", ["reply", ("tokens", 500)])
@pytest.mark.parametrize(("early", "said", "body", "reason"), WAYS.values(), ids=WAYS)
async def test_a_lost_draft_is_left_at_once(early, said, body, reason, hold):
    asked = setting(early, FORMATTED, hold, body=body)
    story = await serve(asked, tiers([*said, *REST]))
    first, second = story.entry.outcome.attempts
    assert (story.text, story.ending) == ('{"medium": 1}', "medium")
    assert story.upstream.left == ["small"]
    assert (first.left, first.verdict.reason, first.released) == (True, reason, False)
    assert [(item.check, item.finding.result) for item in first.evidence] == [("early", "fail")]
    assert first.calls[0].status == "left"
    assert "never" not in first.reply.text
    assert story.row["escalations"][0]["reason"] == reason
    assert second is story.entry.outcome.served


@pytest.mark.parametrize(("early", "said", "body", "reason"), WAYS.values(), ids=WAYS)
async def test_without_the_option_it_is_heard_to_its_end(early, said, body, reason):
    story = await serve(setting(Early(), FORMATTED, body=body), tiers([*said, *REST]))
    assert story.upstream.left == []


@pytest.mark.parametrize(("early", "said", "body", "reason"), WAYS.values(), ids=WAYS)
async def test_what_has_been_released_is_not_left(early, said, body, reason):
    story = await serve(setting(early, FORMATTED, "none", body=body), tiers([*said, *REST]))
    assert (story.called, story.upstream.left) == ("small", [])
    assert story.text.endswith("never asked for")


@pytest.mark.parametrize(("early", "said", "body", "reason"), WAYS.values(), ids=WAYS)
async def test_the_last_tier_is_not_watched(early, said, body, reason):
    asked = setting(early, FORMATTED, body=body, value=0.9, thresholds=(0.5, 0.8))
    story = await serve(asked, tiers(None) | {"large": [*said, *REST]})
    assert (story.called, story.upstream.left) == ("large", [])


async def test_what_no_better_tier_mends_is_served():
    asked = setting(Early(refusal=True), p_good=(0.04, 0.04))
    story = await serve(asked, tiers([chunk(NO), *REST]))
    assert (story.called, story.entry.reason, story.upstream.left) == ("small", "no_gain", [])


async def test_but_a_broken_format_is_left_whatever_the_gain():
    asked = setting(Early(format=True), FORMATTED, body=JSON, p_good=(0.04, 0.04))
    story = await serve(asked, tiers([chunk("Sure"), *REST]))
    assert (story.called, story.upstream.left) == ("small medium", ["small"])


async def test_a_draft_is_not_left_for_a_tier_that_cannot_be_paid():
    asked = setting(Early(refusal=True), ceiling=38_702)
    story = await serve(asked, tiers([chunk(NO), *REST]))
    assert (story.called, story.ending, story.upstream.left) == ("small", "small degraded", [])


async def test_log_probabilities_asked_for_do_not_reach_the_client():
    asked = setting(Early(logprob=0.5))
    story = await serve(asked, tiers([chunk("sure", logprobs=-0.01), *REST]))
    assert story.upstream.calls[0].body["logprobs"] is True
    assert (story.ending, b"logprob" in story.line.data) == ("small", False)


async def test_a_left_draft_and_a_dead_tier_are_an_error():
    down = [UpstreamDown("no connection")]
    asked = setting(Early(refusal=True))
    story = await serve(asked, tiers([chunk(NO), *REST], down) | {"large": down})
    assert (story.called, story.ending) == ("small medium large", "Exhausted")
