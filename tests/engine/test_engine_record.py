"""What the engine writes down of a request: its calls and their price, its time, its faults."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from engine.scripted import Unsent, chunk, says, usage
from engine.serving import LARGE, SMALL, Setting, holding, prepare, serve

from gateway.core.errors import UpstreamDown, UpstreamTimeout

A, B = says("small ", "answer", used=(10, 7)), says("medium ", "answer", used=(10, 7))
DOWN = UpstreamDown("no connection")
STREAM = Setting(stream=True)
EARLY = replace(STREAM, tiers=holding(("tokens", 1)))
TRUSTING = replace(STREAM, tiers=holding("none"))


def tiers(small=None, medium=None, large=None):
    return {"small": small, "medium": medium, "large": large}


async def test_a_call_that_never_left_is_no_call():
    story = await serve(Setting(), tiers([Unsent(DOWN)], B))
    assert [call.tier for call in story.entry.calls] == ["medium"]
    assert len(story.entry.outcome.attempts) == 2
    assert list(story.watch.open_calls) == story.watch.freed == [0]


async def test_a_call_sent_anew_on_a_fresh_connection_is_one_call_more():
    def again():
        upstream.calls[0].on_sent()

    engine, job, reply, (upstream, watch, _) = prepare(Setting(), tiers([again, *A]))
    entry = await engine.run(job, reply)
    (attempt,) = entry.outcome.attempts
    assert [(call.status, call.error) for call in attempt.calls] == [
        ("failed", "connect"),
        ("ok", ""),
    ]
    assert len({call.call_id for call in attempt.calls}) == 2
    assert (watch.freed, entry.cost) == ([0, 1], 31)


async def test_a_call_is_marked_with_what_it_may_cost():
    story = await serve(Setting(body={"max_tokens": 9}), tiers(A))
    (mark,) = story.watch.open_calls.values()
    assert (mark.entry_id, mark.tier, mark.upstream, mark.model) == (
        "entry-1",
        "small",
        "near",
        "mini-1",
    )
    assert (mark.prompt_estimate, mark.completion_estimate, mark.cost_estimate) == (6, 9, 33)


@pytest.mark.parametrize(
    ("script", "money"),
    [
        (says("hi", used=(0, 0)), 6 + 3 + 5),
        (says(used=(0, 0)), 5),
        ([UpstreamTimeout("silence")], 6 + 5),
        ([DOWN], 0),
        ([usage(0, 0), UpstreamDown("reset", kind="server")], 5),
    ],
)
async def test_a_price_per_request_is_owed_unless_nothing_is_billed(script, money):
    priced = replace(SMALL, price=replace(SMALL.price, request=5))
    story = await serve(replace(STREAM, tiers=(priced, LARGE)), {"small": script, "large": A})
    assert story.entry.calls[0].cost.total == money


async def test_a_call_s_mark_counts_every_choice():
    story = await serve(Setting(body={"max_tokens": 9, "n": 3}), tiers(A))
    (mark,) = story.watch.open_calls.values()
    assert (mark.completion_estimate, mark.cost_estimate) == (27, 6 + 3 * 27)


async def test_every_sink_reads_the_one_entry_after_it_is_kept():
    read = []
    story = await serve(Setting(sinks=(read.append, read.append)), tiers(A))
    assert read == [story.entry, story.entry]


@pytest.mark.parametrize("medium", [[DOWN], B], ids=["down again", "answers"])
async def test_a_fall_to_a_lower_tier_is_no_escalation(medium):
    story = await serve(replace(STREAM, value=0.9, thresholds=(0.5, 0.8)), tiers(A, medium, [DOWN]))
    assert story.called.startswith("large medium")
    assert story.entry.served_tier == story.upstream.calls[-1].tier.name
    assert (story.row["escalated"], story.row["escalations"]) == (False, [])


@pytest.mark.parametrize("stream", [False, True])
async def test_a_sink_that_fails_is_logged_and_the_reply_served(stream, caplog):
    def faulty(entry):
        raise ZeroDivisionError

    read = []
    story = await serve(Setting(stream=stream, sinks=(faulty, read.append)), tiers(A))
    assert (story.ending, story.line.status, story.text) == ("small", 200, "small answer")
    assert read == [story.entry]
    assert "A sink could not read the entry entry-1." in caplog.text


async def test_a_journal_that_fails_is_logged_and_the_reply_served(monkeypatch, caplog):
    engine, job, reply, (_, watch, line) = prepare(STREAM, tiers(A))

    def full(entry, slots):
        raise OSError("no space left")

    monkeypatch.setattr(watch, "append", full)
    await reply.finish(await engine.run(job, reply))
    assert (line.status, line.data.count(b"[DONE]")) == (200, 1)
    assert "The entry entry-1 was not kept." in caplog.text
    assert "no space left" in caplog.text


@pytest.mark.parametrize("stream", [False, True])
async def test_a_fault_of_ours_is_recorded_once_and_raised(stream):
    script = [chunk("smal"), ZeroDivisionError()]
    engine, job, reply, (upstream, watch, _) = prepare(Setting(stream=stream), tiers(script))
    with pytest.raises(ZeroDivisionError):
        await engine.run(job, reply)
    (entry,) = watch.entries
    assert (entry.ending, entry.status) == ("internal_error", 500)
    assert [call.status for call in entry.calls] == ["failed"]
    assert upstream.closed == ["small"]


@pytest.mark.parametrize("setting", [Setting(), STREAM, TRUSTING, EARLY])
async def test_a_check_that_raises_abstains_and_is_logged(setting, caplog):
    def faulty(request, reply):
        raise ZeroDivisionError

    story = await serve(replace(setting, checks={"shape": faulty}), tiers(A))
    (attempt,) = story.entry.outcome.attempts
    assert [item.finding.result for item in attempt.evidence] == ["abstain", "pass", "pass"]
    assert [call.status for call in attempt.calls] == ["ok"]
    assert (story.ending, story.text, story.line.status) == ("small", "small answer", 200)
    assert "The check shape failed on the reply of the entry entry-1." in caplog.text


@pytest.mark.parametrize("setting", [TRUSTING, STREAM], ids=["in sight", "held"])
async def test_waiting_for_the_client_is_neither_the_upstream_s_nor_ours(setting):
    async def slow():
        await asyncio.sleep(0.01)

    timing = (await serve(replace(setting, hook=slow), tiers(A))).entry.timing
    assert timing.paused >= 0.02
    assert timing.upstream + timing.paused <= timing.total
    assert timing.overhead == timing.total - timing.upstream - timing.paused
    assert 0 < timing.first_token <= timing.total


async def test_a_pause_is_counted_though_the_client_leaves_in_it():
    async def gone():
        await asyncio.sleep(0.01)
        raise asyncio.CancelledError

    engine, job, reply, (_, watch, _) = prepare(replace(TRUSTING, hook=gone), tiers(A))
    with pytest.raises(asyncio.CancelledError):
        await engine.run(job, reply)
    timing = watch.entries[0].timing
    assert timing.paused >= 0.01
    assert timing.upstream + timing.paused <= timing.total


async def test_a_plain_reply_s_first_token_is_its_last():
    story = await serve(Setting(), tiers(A))
    assert story.entry.timing.first_token == story.entry.timing.total
    failed = await serve(Setting(), tiers([DOWN], [DOWN], [DOWN]))
    assert failed.entry.timing.first_token is None


@pytest.mark.parametrize(
    ("keep", "length", "kept"),
    [(False, 9, False), (True, 9, True), (True, 1_000_000, True), (True, 1_000_001, False)],
)
async def test_a_prompt_is_in_the_record_where_that_is_asked_for(keep, length, kept):
    body = {"messages": [{"role": "user", "content": "x" * length}]}
    engine, job, reply, (_, watch, _) = prepare(Setting(body=body), tiers(A))
    engine._parts = replace(engine._parts, keep_prompts=keep)
    await engine.run(job, reply)
    assert watch.entries[0].prompt == (job.signals if kept else None)
