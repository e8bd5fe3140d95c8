"""Speculation: the next tier is started beside the draft, whose verdict decides."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest
from engine.scripted import Unsent, chunk, hang, says
from engine.serving import BAR, LARGE, MEDIUM, SMALL, Setting, holding, prepare, serve

from gateway.core.errors import UpstreamDown, UpstreamRejected
from gateway.core.routing import Speculation
from gateway.core.verdict import Early
from gateway.engine import lane

GUESS = Speculation((0.0, 1.0))
NO = "I'm sorry, but I can"
A, B = says("small ", "answer", used=(10, 7)), says("large ", "answer", used=(10, 7))
BAD = says(NO, "not", used=(10, 7))
DOWN = UpstreamDown("no connection")
STREAM = Setting(stream=True, tiers=(SMALL, LARGE), speculate=GUESS)
EARLY = replace(STREAM, tiers=holding(("tokens", 1), SMALL, LARGE))
SOON = Setting(tiers=(SMALL, LARGE), speculate=GUESS)


async def turn():
    """Let the others have a turn or two."""
    for _ in range(5):
        await asyncio.sleep(0)


async def seen(line, text):
    """Wait until the client has this."""
    came = asyncio.Event()
    line.hook = lambda: came.set() if text in line.data else None
    while text not in line.data:
        came.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(came.wait(), 0.01)


def slow(script):
    return [item for step in script for item in (turn, step)]


def tiers(small, large):
    return {"small": small, "large": large}


@pytest.mark.parametrize("setting", [STREAM, SOON], ids=["streamed", "plain"])
async def test_a_good_draft_is_served_and_the_guess_cancelled_and_billed(setting):
    story = await serve(setting, tiers(slow(A), [chunk("large"), hang]))
    guess, served = story.entry.outcome.attempts
    assert (story.text, story.ending) == ("small answer", "small")
    assert (guess.outrun, guess.tier.name, guess.calls[0].status) == (True, "large", "cancelled")
    assert served is story.entry.outcome.served
    assert guess.spent == story.entry.discarded == 12_000 + 6_000 * (2 if setting.stream else 0)
    assert story.entry.cost == guess.spent + 31
    assert sorted(story.upstream.closed) == ["large", "small"]
    assert (story.row["escalated"], story.row["escalations"]) == (False, [])
    assert story.line.headers["x-waterfall-attempts"] == "2"


async def test_a_released_draft_ends_the_guess_at_once():
    gone = []

    def look():
        gone.append(list(upstream.closed))

    script = [turn, chunk("smal"), turn, look, chunk("l"), chunk(finish="stop")]
    engine, job, reply, (upstream, _, line) = prepare(EARLY, tiers(script, [chunk("lar"), hang]))
    entry = await engine.run(job, reply)
    assert gone == [["large"]]
    assert [a.tier.name for a in entry.outcome.attempts] == ["large", "small"]
    assert line.headers["x-waterfall-attempts"] == "2"
    assert line.headers["x-waterfall-escalated"] == "false"


@pytest.mark.parametrize("setting", [STREAM, EARLY, SOON], ids=["held", "tokens", "plain"])
async def test_a_deferred_draft_leaves_the_floor_to_the_guess(setting):
    story = await serve(setting, tiers(slow(BAD), B))
    first, guess = story.entry.outcome.attempts
    assert story.called == "small large"
    assert (story.text, story.ending) == ("large answer", "large")
    assert (first.verdict.accepted, guess.rival, guess.outrun) == (False, True, False)
    assert story.entry.cost == first.spent + 62_000
    assert [move["cause"] for move in story.row["escalations"]] == ["deferral"]
    assert story.line.headers["x-waterfall-tier"] == "large"
    assert story.line.headers["x-waterfall-escalated"] == "true"


async def test_what_the_guess_has_said_goes_out_at_once_and_the_rest_as_it_comes():
    done = asyncio.Event()
    large = [chunk("lar"), chunk("ge "), done.wait, chunk("answer"), chunk(finish="stop")]
    engine, job, reply, (_, _, line) = prepare(STREAM, tiers(slow(BAD), large))
    task = asyncio.create_task(engine.run(job, reply))
    await seen(line, b"ge ")
    assert b"answer" not in line.data
    done.set()
    entry = await task
    assert entry.served_tier == "large"
    assert line.data.index(b"lar") < line.data.index(b"ge ") < line.data.index(b"answer")


async def test_a_slow_client_gets_it_in_order():
    async def slowly():
        await turn()

    setting = replace(STREAM, hook=slowly)
    large = slow(says(*"abcdefgh", used=(10, 7)))
    story = await serve(setting, tiers(slow(BAD), large))
    assert story.text == "abcdefgh"


async def test_a_guess_of_which_nothing_has_come_is_waited_for():
    go = asyncio.Event()
    small = [*slow(BAD)[:-1], go.set]
    story = await serve(STREAM, tiers([*small, chunk(finish="stop")], [go.wait, turn, *B]))
    assert (story.called, story.text) == ("small large", "large answer")


async def test_a_guess_keeps_no_more_than_it_may(monkeypatch):
    monkeypatch.setattr(lane, "CAP", 2_000)
    read = []
    large = [item for n in range(50) for item in (lambda n=n: read.append(n), chunk(f"{n} "))]
    bad = [item for step in BAD for item in (turn, turn, step)]
    counted = []
    small = [*bad[:-1], lambda: counted.append(len(read)), bad[-1]]
    story = await serve(STREAM, tiers(small, [*large, chunk(finish="stop")]))
    assert counted[0] < 10
    assert story.text == "".join(f"{n} " for n in range(50))


async def test_a_blocked_guess_can_be_given_up(monkeypatch):
    monkeypatch.setattr(lane, "CAP", 100)
    story = await serve(STREAM, tiers(slow(A), [chunk("large")] * 9))
    assert (story.ending, sorted(story.upstream.closed)) == ("small", ["large", "small"])


@pytest.mark.parametrize("fault", [DOWN, UpstreamRejected("bad"), ZeroDivisionError()])
async def test_a_guess_that_fails_is_as_if_it_had_not_been_made(fault, caplog):
    story = await serve(STREAM, tiers(slow(BAD), [[chunk("x"), fault], B]))
    assert (story.called, story.text, story.ending) == (
        "small large large",
        "large answer",
        "large",
    )
    outrun, first, last = story.entry.outcome.attempts
    assert (outrun.outrun, outrun.calls[0].status) == (True, "failed")
    assert ("was not needed failed" in caplog.text) == isinstance(fault, ZeroDivisionError)
    assert first.verdict is not None
    assert last is story.entry.outcome.served
    ok = await serve(STREAM, tiers(slow(A), [fault]))
    assert (ok.ending, ok.text) == ("small", "small answer")


async def test_a_guess_that_was_lost_already_decides_nothing_either():
    """Its prefix had been judged before it was given up; the request has not begun with it."""
    lost = replace(MEDIUM, bar=replace(BAR, early=Early(refusal=True)))
    given = replace(STREAM, tiers=(SMALL, lost, LARGE), thresholds=(0.5, 0.9))
    story = await serve(given, {"small": slow(A), "medium": BAD, "large": None})
    guess, served = story.entry.outcome.attempts
    assert (guess.calls[0].status, guess.outrun, guess.verdict) == ("left", True, None)
    assert (guess.evidence, guess.reply) == ((), None)
    assert served is story.entry.outcome.served
    assert (story.row["escalated"], story.row["escalations"]) == (False, [])


async def test_one_that_was_never_sent_is_no_attempt():
    story = await serve(STREAM, tiers(slow(A), [Unsent(DOWN)]))
    assert [a.tier.name for a in story.entry.outcome.attempts] == ["small"]


async def test_a_failed_draft_is_answered_by_the_guess():
    story = await serve(STREAM, tiers([turn, DOWN], slow(B)))
    assert (story.called, story.ending) == ("small large", "large")
    assert [move["cause"] for move in story.row["escalations"]] == ["fall_through"]


async def test_a_bare_retry_keeps_the_guess():
    rejected = [turn, UpstreamRejected("usage?")]
    story = await serve(STREAM, tiers([rejected, slow(BAD)], slow(B)))
    assert (story.called, story.text) == ("small large small!", "large answer")
    good = await serve(EARLY, tiers([rejected, slow(A)], [chunk("large"), hang]))
    assert (good.called, good.text) == ("small large small!", "small answer")
    assert [a.outrun for a in good.entry.outcome.attempts] == [True, False]


async def test_a_guess_that_came_true_is_one_after_its_bare_retry_too():
    rejected = [*[turn] * 9, UpstreamRejected("usage?")]
    story = await serve(STREAM, tiers(slow(BAD), [rejected, B]))
    assert (story.called, story.text) == ("small large large!", "large answer")
    assert [(a.rival, a.bare) for a in story.entry.outcome.attempts] == [
        (False, False),
        (True, True),
    ]


async def test_a_guess_later_than_the_verdict_is_never_made():
    setting = replace(STREAM, speculate=replace(GUESS, after=5.0))
    good = await serve(setting, tiers(A, B))
    assert (good.called, len(good.entry.outcome.attempts)) == ("small", 1)
    bad = await serve(setting, tiers(BAD, B))
    assert (bad.called, bad.text) == ("small large", "large answer")


async def test_one_after_a_while_is_made_when_the_while_is_over():
    setting = replace(STREAM, speculate=replace(GUESS, after=0.001))
    made = asyncio.Event()
    story = await serve(setting, tiers([made.wait, *BAD], [made.set, *B]))
    assert (story.called, story.text) == ("small large", "large answer")


async def test_a_guess_may_be_judged_itself():
    three = Setting(stream=True, speculate=GUESS)
    story = await serve(three, {"small": slow(BAD), "medium": slow(BAD), "large": B})
    assert (story.called, story.text) == ("small medium large", "large answer")
    good = await serve(three, {"small": slow(BAD), "medium": B, "large": None})
    assert (good.called, good.ending) == ("small medium", "medium")
    prefix = replace(three, tiers=holding(("tokens", 1)))
    left = await serve(prefix, {"small": slow(BAD), "medium": BAD, "large": B})
    assert (left.called, left.text) == ("small medium large", "large answer")


async def test_a_ceiling_that_reaches_for_one_call_allows_no_guess():
    story = await serve(replace(STREAM, ceiling=1_548_000 + 700), tiers(slow(A), B))
    assert story.called == "small"


@pytest.mark.parametrize("setting", [STREAM, EARLY, SOON])
async def test_a_client_that_leaves_leaves_nothing_running(setting):
    when = asyncio.Event()
    script = tiers([turn, chunk(""), when.set, hang], [chunk("l"), hang])
    engine, job, reply, (upstream, watch, _) = prepare(setting, script)
    task = asyncio.create_task(engine.run(job, reply))
    await when.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (entry,) = watch.entries
    assert sorted(upstream.closed) == ["large", "small"]
    assert {call.status for call in entry.calls} == {"cancelled"}
    assert (entry.ending, len(list(entry.calls))) == ("cancelled", 2)
    assert entry.cost == sum(call.cost.total for call in entry.calls) > 12_000


async def test_one_that_leaves_after_the_guess_was_adopted():
    when = asyncio.Event()
    large = [chunk("large"), turn, turn, turn, turn, when.set, hang]
    engine, job, reply, (upstream, watch, line) = prepare(STREAM, tiers(slow(BAD), large))
    task = asyncio.create_task(engine.run(job, reply))
    await when.wait()
    await seen(line, b"large")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(upstream.closed) == ["large", "small"]
    assert [call.status for call in watch.entries[0].calls] == ["ok", "cancelled"]


async def test_a_fault_of_ours_leaves_nothing_running():
    script = tiers([turn, ZeroDivisionError()], [chunk("l"), hang])
    engine, job, reply, (upstream, watch, _) = prepare(STREAM, script)
    with pytest.raises(ZeroDivisionError):
        await engine.run(job, reply)
    assert sorted(upstream.closed) == ["large", "small"]
    assert watch.entries[0].status == 500


async def test_the_wait_for_two_at_once_is_not_counted_twice():
    timing = (await serve(STREAM, tiers(slow(BAD), slow(B)))).entry.timing
    assert timing.upstream + timing.paused <= timing.total
