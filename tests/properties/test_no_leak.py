"""The promise: a client sees the tier that served it, whole, and nothing of any other's draft."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace

import orjson
import pytest
from engine.scripted import body
from engine.serving import MARKER, Story, events, prepare, serve
from hypothesis import given, settings
from hypothesis import strategies as st
from properties.drafts import LETTERS, REQUEST, cancel, waterfalls
from properties.races import varied

from gateway.core.errors import UNBILLED
from gateway.core.money import Usage
from gateway.upstreams.sse import Decoder

DONE = b"data: [DONE]\n\n"
IN_CI = os.environ.get("WATERFALL_CI") == "1"
CI_CASES = 50
CASES = int(os.environ.get("PROPERTY_CASES", CI_CASES if IN_CI else 5))
"""Cases that each example of a race is varied into."""


async def flow(fall):
    """Serve one request, whatever becomes of it."""
    REQUEST.set(asyncio.current_task())
    waiting = fall.hangs_up

    async def hook():
        nonlocal waiting
        if waiting is not None:
            waiting -= 1
            if waiting < 0:
                await cancel()

    setting = replace(fall.setting, hook=hook)
    engine, job, reply, (upstream, watch, line) = prepare(setting, fall.scripts)
    try:
        entry = await engine.run(job, reply)
        line.hook = None
        await reply.finish(entry)
    except asyncio.CancelledError:
        (entry,) = watch.entries
    assert watch.entries == [entry]
    assert len(asyncio.all_tasks()) == 1, "nothing is left running"
    assert sum("status" in message for message in line.messages) <= 1
    return Story(entry, upstream, watch, line, job.plan)


def in_sight(story):
    """The tier of which the client saw something, by its headers; None when it saw nothing."""
    name = story.line.headers.get("x-waterfall-tier")
    shown = [each.tier.name for each in story.entry.outcome.attempts if each.released]
    assert name is None or shown in ([], [name])
    assert story.entry.served_tier in {"none", name}
    return name


def spoken(line, name):
    """What a client can read in one field, by choice, were it to join all that it got."""
    joined = {}
    for event in events(line.data):
        for choice in event.get("choices", ()):
            said = choice.get("delta", {}).get(name) or ""
            joined[choice["index"]] = joined.get(choice["index"], "") + said
    return joined


def tokens(line):
    """The tokens that came with log-probabilities, joined."""
    return "".join(
        token["token"]
        for event in events(line.data)
        for choice in event.get("choices", ())
        for token in (choice.get("logprobs") or {}).get("content", ())
    )


@given(waterfalls(), st.sets(st.integers(0, 4_000)))
def test_whatever_happens(fall, cuts):
    promises(fall, asyncio.run(flow(fall)), cuts)


@pytest.mark.timeout(600)
@given(waterfalls(), st.integers(0, 2**32))
def test_whatever_happens_beside_each_other(fall, seed):
    """With speculation, hedging, early decisions and latches in play: several cases of each."""
    with asyncio.Runner() as runner:
        for number in range(CASES):
            case = varied(fall, seed + number)
            promises(case, runner.run(flow(case)), ())


def promises(fall, story, cuts):
    no_byte_of_any_other_draft(fall, story)
    one_done_after_a_whole_reply_and_none_after_anything_else(story)
    the_money_of_all_calls_is_in_the_record(fall, story)
    every_upstream_is_closed_within_the_bounds(fall, story)
    the_bytes_read_the_same_wherever_they_are_split(story.line.data, cuts)


def no_byte_of_any_other_draft(fall, story):
    shown = in_sight(story)
    seen = story.line.data.decode() + str(story.line.headers)
    for tier, letters in zip(fall.setting.tiers, LETTERS, strict=False):
        if tier.name != shown:
            assert not set(letters) & set(seen), f"{tier.name} leaked"
    nothing_of_what_was_deferred(fall, story, seen)
    assert MARKER not in seen
    if story.line.status == 200:
        for name in ("content", "reasoning", "reasoning_content"):
            assert not any(MARKER in text for text in spoken(story.line, name).values())
        assert MARKER not in tokens(story.line)


def nothing_of_what_was_deferred(fall, story, seen):
    outcome = story.entry.outcome
    own = dict(zip((each.name for each in fall.setting.tiers), LETTERS, strict=False))
    for attempt in outcome.attempts:
        if attempt.verdict is None or attempt.verdict.accepted:
            continue
        assert not attempt.released
        if attempt is outcome.served:
            assert outcome.degraded
            assert not attempt.left
        elif attempt.tier.name == in_sight(story):
            hedged = any(a.released or a is outcome.served for a in outcome.attempts)
            # The best there was, and the client left while it was on its way out.
            last_resort = story.line.headers.get("x-waterfall-degraded") == "true"
            assert hedged or (outcome.cancelled and last_resort)
        elif attempt.left or not outcome.cancelled:  # else it may have been on its way out
            assert not set(own[attempt.tier.name]) & set(seen)


def one_done_after_a_whole_reply_and_none_after_anything_else(story):
    outcome, data = story.entry.outcome, story.line.data
    assert data.count(DONE) == (outcome.served is not None)
    if outcome.served is not None:
        assert data.endswith(DONE)
        expected = {
            index: choice.text.partition(MARKER)[0] if outcome.served.tier.recipe else choice.text
            for index, choice in enumerate(outcome.served.reply.choices)
        }
        assert spoken(story.line, "content") == expected, "nothing of it is lost either"
    elif outcome.cancelled:
        assert story.entry.status == 499
    elif in_sight(story) is None:
        assert story.line.status == outcome.error.status
        assert set(orjson.loads(data)) == {"error"}
    else:
        last = Decoder().feed(data)[-1]
        assert (last.name, set(orjson.loads(last.data))) == (b"error", {"error"})


def the_money_of_all_calls_is_in_the_record(fall, story):
    calls = list(story.entry.calls)
    checks = sum(attempt.check_cost for attempt in story.entry.outcome.attempts)
    cost = sum(call.cost.total for call in calls) + checks
    assert story.entry.cost == story.row["cost"] == cost
    assert cost == sum(one["cost"] for one in story.row["attempts"])
    assert sorted(call.call_id for call in calls) == sorted(story.upstream.sent)
    assert len({call.call_id for call in calls}) == len(calls)
    assert {call.call_id: call for call in story.watch.settled.values()} == {
        call.call_id: call for call in calls
    }
    assert story.watch.freed == list(story.watch.open_calls)
    for call in calls:
        tier = next(each for each in fall.setting.tiers if each.name == call.tier)
        free = {0} if call.error in UNBILLED and call.usage == Usage() else set()
        assert call.cost.total in {tier.price.cost(call.usage).total} | free


def every_upstream_is_closed_within_the_bounds(fall, story):
    called = [call.tier.name for call in story.upstream.calls]
    assert sorted(story.upstream.closed) == sorted(called)
    raced = any(attempt.outrun for attempt in story.entry.outcome.attempts)
    left = [call.tier for each in story.entry.outcome.attempts for call in each.calls]
    names = [tier.name for tier in fall.setting.tiers]
    # One that was begun for a race and never left the house is no call, and no attempt either.
    assert all(left.count(name) <= (5 if raced else 2) for name in names)
    hedged = any(tier.hedge for tier in fall.setting.tiers) or story.plan.speculate is not None
    assert all(called.count(name) <= (5 if hedged else 2) for name in names)
    ceiling = story.plan.ceiling
    if ceiling is not None and len(story.entry.outcome.attempts) > 1 and not raced:
        *before, last = story.entry.outcome.attempts
        assert sum(each.spent for each in before) + story.plan.expected[last.tier.name] <= ceiling


def the_bytes_read_the_same_wherever_they_are_split(data, cuts):
    places = sorted(cut for cut in cuts if cut < len(data))
    parts = [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]
    decoder = Decoder()
    read = [event for part in parts for event in decoder.feed(part)]
    assert read == Decoder().feed(data)


@given(waterfalls(calm=True))
def test_a_held_stream_is_the_plain_call(fall):
    streamed = asyncio.run(serve(fall.setting, fall.scripts))
    plain_body = {k: v for k, v in fall.setting.body.items() if k != "stream_options"}
    setting = replace(fall.setting, stream=False, body=plain_body)
    plain = asyncio.run(serve(setting, fall.scripts))
    assert streamed.called == plain.called
    assert streamed.ending == plain.ending
    assert streamed.entry.status == plain.entry.status
    assert streamed.entry.cost == plain.entry.cost
    assert story_of(streamed) == story_of(plain)
    if plain.entry.outcome.served is not None:
        choices = orjson.loads(plain.line.data)["choices"]
        whole = {choice["index"]: choice["message"]["content"] for choice in choices}
        assert spoken(streamed.line, "content") == whole


def story_of(story):
    """Each attempt's verdict, money and checks."""
    return [
        (
            *(one[name] for name in ("tier", "verdict", "reason", "confidence", "failure", "cost")),
            *((check["check"], check["result"], check["reason"]) for check in one["checks"]),
        )
        for one in story.row["attempts"]
    ]


def test_a_script_says_the_same_as_one_body():
    parts = [
        {"choices": [{"index": 0, "delta": {"content": part}, "finish_reason": None}]}
        for part in ("a", "b")
    ]
    assert body(parts)["choices"][0]["message"] == {"role": "assistant", "content": "ab"}


def test_ci_sees_ten_thousand_cases():
    assert settings.get_profile("ci").max_examples * CI_CASES >= 10_000
