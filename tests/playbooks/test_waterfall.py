"""What each tier says, and what comes of it: tiers called, text seen, ending, money."""

from __future__ import annotations

from dataclasses import replace

import pytest
from engine.scripted import Unsent, chunk, says
from engine.serving import LARGE, MARKER, MEDIUM, SMALL, UNSURE, Setting, holding, serve

from gateway.core.errors import (
    ContentRefused,
    ContextTooLong,
    UpstreamBusy,
    UpstreamDown,
    UpstreamOverloaded,
    UpstreamRefusedUs,
    UpstreamRejected,
    UpstreamTimeout,
)

DOWN = UpstreamDown("no connection")
REJECTED = UpstreamRejected("bad field", status=422, param="tools", code="bad_tools")
NO = "I'm sorry, but I can"

A = says("small ", "answer", used=(10, 7))  # 31 nano-dollars
B = says("medium ", "answer", used=(10, 7))  # 1,550
C = says("large ", "answer", used=(10, 7))  # 62,000
BAD_A, BAD_B = says(NO, "not", used=(10, 7)), says(NO, "not either", used=(10, 7))
CUT = says("small ans", used=(10, 7), finish="length")
EMPTY = says(used=(10, 7))
DOUBT = says("perhaps ", MARKER[:9], MARKER[9:], used=(10, 7))
BROKEN_OFF = [chunk("larg"), UpstreamDown("reset", kind="server")]

PLAIN, STREAM = Setting(), Setting(stream=True)
UP, UP_STREAM = Setting(value=0.5, thresholds=(0.5,)), Setting(value=0.5, stream=True)
UNSURE_SMALL = (replace(SMALL, recipe=UNSURE), MEDIUM, LARGE)
COOKED = replace(PLAIN, tiers=UNSURE_SMALL)
EARLY = replace(STREAM, tiers=holding(("tokens", 1)))
TRUSTING = replace(STREAM, tiers=holding("none"))
SENTENCE = replace(STREAM, tiers=holding("sentence"))


def tiers(small=None, medium=None, large=None):
    return {"small": small, "medium": medium, "large": large}


def on(setting, scripts, called, text, ending, money):
    """What each tier says: the tiers then called, the text seen, the ending, nano-dollars."""
    return setting, scripts, called, text, ending, money


ROWS = {
    "easy": on(PLAIN, tiers(A), "small", "small answer", "small", 31),
    "easy, streamed": on(STREAM, tiers(A), "small", "small answer", "small", 31),
    "hard": on(UP, tiers(None, B), "medium", "medium answer", "medium", 1_550),
    "deferred": on(PLAIN, tiers(BAD_A, B), "small medium", "medium answer", "medium", 1_581),
    "deferred, streamed": on(
        STREAM, tiers(BAD_A, B), "small medium", "medium answer", "medium", 1_581
    ),
    "deferred twice": on(
        PLAIN, tiers(BAD_A, BAD_B, C), "small medium large", "large answer", "large", 63_581
    ),
    "the last tier is not judged": on(
        PLAIN,
        tiers(BAD_A, BAD_B, says("I'm sorry, but I can't", used=(1, 1))),
        "small medium large",
        "I'm sorry, but I can't",
        "large",
        9_581,
    ),
    "cut off": on(PLAIN, tiers(CUT, B), "small medium", "medium answer", "medium", 1_581),
    "empty": on(STREAM, tiers(EMPTY, B), "small medium", "medium answer", "medium", 1_581),
    "by its own word unsure": on(
        COOKED, tiers(DOUBT, B), "small medium", "medium answer", "medium", 1_581
    ),
    "unsure, and nothing better": on(
        COOKED, tiers(DOUBT, [DOWN], [DOWN]), "small medium large", "perhaps ", "small degraded", 31
    ),
    "unsure, streamed, and nothing better": on(
        replace(COOKED, stream=True),
        tiers(DOUBT, [DOWN], [DOWN]),
        "small medium large",
        "perhaps ",
        "small degraded",
        31,
    ),
    "no gain expected": on(
        replace(PLAIN, p_good=(0.04, 0.04)), tiers(BAD_A), "small", NO + "not", "small", 31
    ),
    "broken, whatever the gain": on(
        replace(PLAIN, p_good=(0.04, 0.04)),
        tiers(EMPTY, B),
        "small medium",
        "medium answer",
        "medium",
        1_581,
    ),
    # holds
    "a good prefix opens the gate": on(EARLY, tiers(A), "small", "small answer", "small", 31),
    "a bad prefix is left": on(
        EARLY,
        tiers([chunk(NO), chunk("never asked for"), *BAD_A], B),
        "small medium",
        "medium answer",
        "medium",
        1_550 + 6 + 3 * 5,
    ),
    "a trusted tier streams at once": on(
        TRUSTING, tiers([chunk(NO), *A]), "small", NO + "small answer", "small", 31
    ),
    "a sentence is enough": on(
        SENTENCE,
        tiers(says("A first sentence which is whole. ", "More", used=(10, 7))),
        "small",
        "A first sentence which is whole. More",
        "small",
        31,
    ),
    # failures
    "a dead tier is stepped over": on(
        PLAIN, tiers([DOWN], B), "small medium", "medium answer", "medium", 1_550
    ),
    "one never reached": on(
        STREAM, tiers([Unsent(DOWN)], B), "small medium", "medium answer", "medium", 1_550
    ),
    "one that refuses our key": on(
        PLAIN,
        tiers([UpstreamRefusedUs("401")], B),
        "small medium",
        "medium answer",
        "medium",
        1_550,
    ),
    "one that breaks off, unseen": on(
        STREAM,
        tiers([chunk("smal"), DOWN], B),
        "small medium",
        "medium answer",
        "medium",
        1_550 + 6 + 3,
    ),
    "one that is slow costs its prompt": on(
        PLAIN,
        tiers([UpstreamTimeout("slow")], B),
        "small medium",
        "medium answer",
        "medium",
        1_550 + 6,
    ),
    "all dead": on(PLAIN, tiers([DOWN], [DOWN], [DOWN]), "small medium large", "", "Exhausted", 0),
    "broken off in sight": on(
        STREAM,
        tiers(BAD_A, BAD_B, BROKEN_OFF),
        "small medium large",
        "larg",
        "StreamBroken",
        31 + 1_550 + 12_000 + 6_000,
    ),
    "broken off in sight, after a good prefix": on(
        EARLY, tiers([chunk("smal"), DOWN], B), "small", "smal", "StreamBroken", 9
    ),
    "the best deferred beats an error": on(
        STREAM,
        tiers(BAD_A, BAD_B, [DOWN]),
        "small medium large",
        NO + "not either",
        "medium degraded",
        1_581,
    ),
    "an unbroken one is better": on(
        PLAIN,
        tiers(BAD_A, EMPTY, [DOWN]),
        "small medium large",
        NO + "not",
        "small degraded",
        1_581,
    ),
    "over the ceiling": on(
        replace(PLAIN, ceiling=38_000), tiers(BAD_A), "small", NO + "not", "small degraded", 31
    ),
    "a prefix is not left for a tier that cannot be paid": on(
        replace(EARLY, ceiling=38_702), tiers(BAD_A), "small", NO + "not", "small degraded", 31
    ),
    # falling down
    "a higher start that fails is answered from below": on(
        UP, tiers(A, [DOWN], [DOWN]), "medium large small", "small answer", "small degraded", 31
    ),
    "streamed too": on(
        UP_STREAM,
        tiers(A, [DOWN], [DOWN]),
        "medium large small",
        "small answer",
        "small degraded",
        31,
    ),
    "unless the route says no": on(
        replace(UP, fall_down=False),
        tiers(A, [DOWN], [UpstreamOverloaded("full")]),
        "medium large",
        "",
        "Exhausted",
        0,
    ),
    # rejections
    "the client's own fault": on(PLAIN, tiers([REJECTED]), "small", "", "UpstreamRejected", 0),
    "or the recipe's: once more without it": on(
        COOKED, tiers([[REJECTED], A]), "small small!", "small answer", "small", 31
    ),
    "and only once": on(COOKED, tiers([REJECTED]), "small small!", "", "UpstreamRejected", 0),
    "or the usage we asked a stream for": on(
        STREAM, tiers([[REJECTED], A]), "small small!", "small answer", "small", 31
    ),
    "too long for the first": on(
        PLAIN, tiers([ContextTooLong("long")], B), "small medium", "medium answer", "medium", 1_550
    ),
    "refused by everyone's moderation": on(
        PLAIN,
        tiers([ContentRefused("no")], [ContentRefused("no")], [ContentRefused("no")]),
        "small medium large",
        "",
        "ContentRefused",
        0,
    ),
    "all busy": on(
        PLAIN,
        tiers(*[[UpstreamBusy("busy", retry_after=7.0)]] * 3),
        "small medium large",
        "",
        "Exhausted",
        0,
    ),
}


@pytest.mark.parametrize(
    ("setting", "scripts", "called", "text", "ending", "money"), ROWS.values(), ids=ROWS
)
async def test_what_comes_of_it(setting, scripts, called, text, ending, money):
    story = await serve(setting, scripts)
    failed = story.entry.outcome.error is not None
    seen = story.text if story.line.status == 200 else ""
    assert (story.called, seen, story.ending) == (called, text, ending)
    assert (story.entry.cost, story.row["cost"]) == (money, money)
    assert len(story.upstream.closed) == len(story.upstream.calls)
    assert story.line.data.count(b"data: [DONE]") == (setting.stream and not failed)
    assert len(story.watch.freed) == len(story.upstream.sent)


STATUSES = {
    "busy": (UpstreamBusy("busy", retry_after=7.2), 429, {"retry-after": "8"}),
    "full": (UpstreamOverloaded("full"), 503, {"retry-after": "1"}),
    "slow": (UpstreamTimeout("slow"), 504, {}),
    "our key": (UpstreamRefusedUs("401"), 502, {}),
    "rejected": (REJECTED, 422, {}),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("error", "status", "told"), STATUSES.values(), ids=STATUSES)
async def test_a_failure_before_the_first_byte_is_an_http_error(error, status, told, stream):
    story = await serve(Setting(stream=stream), tiers([error], [error], [error]))
    assert story.line.status == story.entry.status == status
    assert story.line.headers.items() >= told.items()
    assert b"error" in story.line.data


async def test_a_failure_after_it_is_an_event_and_no_done():
    story = await serve(TRUSTING, tiers([chunk("smal"), DOWN]))
    assert story.line.status == 200
    assert story.line.data.endswith(b"}\n\n")
    assert b"\n\nevent: error\ndata: {" in story.line.data
    assert story.entry.status == 502


async def test_what_the_headers_say_of_a_bare_retry_is_what_the_ledger_says():
    story = await serve(EARLY, tiers([[REJECTED], A]))
    assert story.line.headers["x-waterfall-attempts"] == "1"
    (attempt,) = story.entry.outcome.attempts
    assert [call.bare for call in attempt.calls] == [False, True]
    assert (attempt.altered, attempt.bare) == (True, True)


@pytest.mark.parametrize("setting", [STREAM, EARLY, TRUSTING, UP_STREAM])
async def test_the_headers_agree_with_the_ledger(setting):
    story = await serve(setting, tiers([chunk(NO), *BAD_A], B, C))
    head, kept = story.line.headers, story.row
    assert head["x-waterfall-tier"] == kept["tier"]
    assert head["x-waterfall-reason"] == kept["reason"]
    assert head["x-waterfall-attempts"] == str(len(kept["attempts"]))
    assert head["x-waterfall-escalated"] == str(kept["escalated"]).lower()
    assert head["x-waterfall-degraded"] == str(kept["degraded"]).lower()
