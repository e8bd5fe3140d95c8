"""What the engine promises beside the rules: cancels, deadlines, drafts that are left."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from engine.scripted import chunk, hang, says
from engine.serving import (
    LARGE,
    SMALL,
    Setting,
    events,
    holding,
    prepare,
    serve,
)

from gateway.core.errors import UpstreamRejected, UpstreamTimeout

NO = "I'm sorry, but I can"
A, B = says("small ", "answer", used=(10, 7)), says("medium ", "answer", used=(10, 7))
BAD_A = says(NO, "not", used=(10, 7))
STREAM = Setting(stream=True)
EARLY = replace(STREAM, tiers=holding(("tokens", 1)))
TRUSTING = replace(STREAM, tiers=holding("none"))


def tiers(small=None, medium=None, large=None):
    return {"small": small, "medium": medium, "large": large}


# ------------------------------------------------------------------ cancels


async def cancelled(setting, scripts, *, when):
    """Run until `when` is set, cancel, and return what is left behind."""
    engine, job, reply, kept = prepare(setting, scripts)
    task = asyncio.create_task(engine.run(job, reply))
    await when.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return kept


PLACES = {
    "before anything is read": (STREAM, [], 6, ""),
    "in a held draft": (STREAM, [chunk("smal"), chunk("l an")], 6 + 2 * 3, ""),
    "in sight": (TRUSTING, [chunk("smal"), chunk("l an")], 6 + 2 * 3, "small an"),
    "plain": (Setting(), [], 6, ""),
}


@pytest.mark.parametrize(("setting", "said", "money", "seen"), PLACES.values(), ids=PLACES)
async def test_a_cancel_closes_the_upstream_and_is_recorded_with_what_was_spent(
    setting, said, money, seen
):
    when = asyncio.Event()
    script = [*said, when.set, hang]
    upstream, watch, line = await cancelled(setting, tiers(script), when=when)
    (entry,) = watch.entries
    assert upstream.closed == ["small"]
    assert (entry.ending, entry.status, entry.cost) == ("cancelled", 499, money)
    (call,) = entry.calls
    assert (call.status, call.usage.estimated) == ("cancelled", True)
    assert watch.freed == [0]
    assert "".join(e["choices"][0]["delta"]["content"] for e in events(line.data)) == seen
    assert b"[DONE]" not in line.data


async def test_a_cancel_at_the_second_tier_keeps_the_first():
    when = asyncio.Event()
    script = tiers(BAD_A, [chunk("med"), when.set, hang])
    upstream, watch, _ = await cancelled(STREAM, script, when=when)
    (entry,) = watch.entries
    assert [(call.tier, call.status) for call in entry.calls] == [
        ("small", "ok"),
        ("medium", "cancelled"),
    ]
    assert upstream.closed == ["small", "medium"]
    assert entry.cost == 31 + 6 * 50 + 150


async def test_a_cancel_of_a_bare_retry_keeps_both_calls_of_the_one_attempt():
    when = asyncio.Event()
    script = tiers([[UpstreamRejected("bad")], [when.set, hang]])
    _, watch, _ = await cancelled(STREAM, script, when=when)
    (attempt,) = watch.entries[0].outcome.attempts
    assert [call.status for call in attempt.calls] == ["failed", "cancelled"]


async def test_a_cancel_while_the_client_is_slow():
    when = asyncio.Event()

    async def slow():
        when.set()
        await hang()

    upstream, watch, line = await cancelled(replace(TRUSTING, hook=slow), tiers(A), when=when)
    assert (upstream.closed, watch.entries[0].ending, line.data) == (["small"], "cancelled", b"")


async def test_a_cancel_while_a_held_reply_is_delivered():
    when = asyncio.Event()

    async def slow():
        when.set()
        await hang()

    _, watch, _ = await cancelled(replace(STREAM, hook=slow), tiers(A), when=when)
    (entry,) = watch.entries
    assert (entry.ending, entry.served_tier, entry.cost) == ("cancelled", "none", 31)


# ------------------------------------------------------------------ deadlines


@pytest.mark.parametrize("stream", [False, True])
async def test_a_deadline_in_the_middle_closes_the_upstream(stream):
    setting = Setting(stream=stream, deadline=0.02)
    story = await serve(setting, tiers([chunk("smal"), hang]))
    assert (story.called, story.ending, story.line.status) == ("small", "Exhausted", 504)
    assert story.upstream.closed == ["small"]
    assert story.entry.ending == "timeout"
    (call,) = story.entry.calls
    assert (call.status, call.error, call.usage.estimated) == ("failed", "timeout", True)


async def test_a_deadline_at_the_second_tier_serves_what_the_first_said():
    setting = Setting(stream=True, deadline=0.05)
    story = await serve(setting, tiers(BAD_A, [chunk("med"), hang]))
    assert (story.called, story.ending) == ("small medium", "small degraded")
    assert story.text == NO + "not"


@pytest.mark.parametrize("opening", [chunk("", role="assistant"), chunk(role="assistant")])
async def test_so_does_one_at_a_tier_that_has_only_cleared_its_throat(opening):
    setting = Setting(stream=True, deadline=0.05)
    story = await serve(setting, tiers(BAD_A, BAD_A, [opening, hang]))
    assert (story.called, story.ending) == ("small medium large", "medium degraded")
    assert story.text == NO + "not"
    story = await serve(STREAM, tiers(BAD_A, BAD_A, [opening, UpstreamTimeout("silence")]))
    assert (story.ending, story.text) == ("medium degraded", NO + "not")


async def test_a_deadline_does_not_cut_an_answer_that_is_in_sight():
    setting = replace(TRUSTING, deadline=0.05)

    async def wait():
        await asyncio.sleep(0.1)

    story = await serve(setting, tiers([chunk("small "), wait, *says("answer")]))
    assert (story.ending, story.text) == ("small", "small answer")


async def test_an_upstream_s_own_time_out_is_a_failure_like_any():
    story = await serve(STREAM, tiers([chunk("smal"), UpstreamTimeout("silence")], B))
    assert (story.called, story.ending, story.text) == ("small medium", "medium", "medium answer")


async def test_a_late_arrival_is_not_called_at_all():
    engine, job, reply, (upstream, watch, line) = prepare(Setting(deadline=1.0), tiers(A))
    entry = await engine.run(replace(job, arrived=job.arrived - 2.0), reply)
    await reply.finish(entry)
    assert (upstream.calls, watch.freed, line.status) == ([], [], 504)
    assert entry.outcome.attempts == ()


# ------------------------------------------------------------------ leaving a draft


async def test_a_deferred_upstream_is_closed_before_the_next_is_called():
    closed_before = []

    def look():
        closed_before.extend(story_upstream.closed)

    engine, job, reply, (story_upstream, watch, _) = prepare(
        EARLY, tiers([chunk(NO), hang], [look, *B])
    )
    entry = await engine.run(job, reply)
    assert closed_before == ["small"]
    assert story_upstream.left == ["small"]
    left, served = entry.outcome.attempts
    assert (left.left, left.calls[0].status, left.verdict.reason) == (True, "left", "refusal")
    assert served.verdict.reason == "prefix_passed"
    assert watch.settled[0].usage.estimated


async def test_a_late_verdict_says_that_a_prefix_fooled_us():
    fooling = [chunk("fine so far"), *says("", used=(10, 7), finish="length")]
    story = await serve(EARLY, tiers(fooling))
    (attempt,) = story.entry.outcome.attempts
    assert (attempt.verdict.reason, attempt.late.reason) == ("prefix_passed", "truncated")
    assert (story.row["attempts"][0]["late_verdict"], story.ending) == ("defer", "small")


async def test_a_trusted_reply_gets_a_late_verdict_too():
    story = await serve(TRUSTING, tiers(A))
    (attempt,) = story.entry.outcome.attempts
    assert (attempt.verdict.reason, attempt.late.reason) == ("trusted", "passed")
    assert [item.check for item in attempt.evidence] == ["shape", "refusal", "unsure"]


async def test_the_last_tier_s_checks_are_recorded_and_change_nothing():
    setting = replace(STREAM, tiers=(SMALL, LARGE), value=0.5)
    story = await serve(setting, {"small": None, "large": BAD_A})
    (attempt,) = story.entry.outcome.attempts
    assert (attempt.verdict.reason, attempt.late) == ("last_tier", None)
    assert [item.finding.result for item in attempt.evidence] == ["pass", "fail", "pass"]
