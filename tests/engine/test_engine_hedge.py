"""Hedging: where a first token is slow, another call is started; whoever speaks first is heard."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from engine.scripted import chunk, hang, says
from engine.serving import LARGE, SMALL, Setting, holding, prepare, serve

from gateway.core.errors import UpstreamDown
from gateway.core.plan import Hedge
from gateway.core.verdict import Early
from gateway.engine.racing import HedgeBudget

NO = "I'm sorry, but I can"
A, B = says("small ", "answer", used=(10, 7)), says("large ", "answer", used=(10, 7))
BAD = says(NO, "not", used=(10, 7))
DOWN = UpstreamDown("no connection")
SAME, NEXT = Hedge(0.001, "same", 1.0), Hedge(0.001, "next", 1.0)


def setting(hedge, hold="reply", **more):
    first, large = holding(hold, SMALL, LARGE)
    return Setting(stream=True, tiers=(replace(first, hedge=hedge), large), **more)


def tiers(small, large=B):
    return {"small": small, "large": large}


async def turn():
    for _ in range(5):
        await asyncio.sleep(0)


def outruns(story):
    return [(a.tier.name, a.outrun) for a in story.entry.outcome.attempts]


HOLDS = ["reply", ("tokens", 1), "sentence", "none"]


@pytest.mark.parametrize("hold", HOLDS)
async def test_a_second_call_of_the_same_tier_answers_for_a_silent_one(hold):
    story = await serve(setting(SAME, hold), tiers([[hang], A]))
    assert (story.called, story.text, story.ending) == ("small small", "small answer", "small")
    assert outruns(story) == [("small", True), ("small", False)]
    assert [call.status for call in story.entry.calls] == ["cancelled", "ok"]
    assert (story.row["escalated"], story.row["escalations"]) == (False, [])
    assert story.entry.discarded == 6
    assert story.line.headers["x-waterfall-attempts"] == "2"


@pytest.mark.parametrize("hold", HOLDS)
async def test_the_next_tier_answers_for_a_silent_one(hold):
    story = await serve(setting(NEXT, hold), tiers([hang]))
    assert (story.called, story.text, story.ending) == ("small large", "large answer", "large")
    assert outruns(story) == [("small", True), ("large", False)]
    move = {"from": "small", "to": "large", "cause": "hedge", "reason": "slow"}
    assert (story.row["escalated"], story.row["escalations"]) == (True, [move])
    assert story.line.headers["x-waterfall-escalated"] == "true"
    assert story.line.headers["x-waterfall-attempts"] == "2"


@pytest.mark.parametrize("hold", HOLDS)
@pytest.mark.parametrize("hedge", [SAME, NEXT])
async def test_the_first_is_heard_if_it_speaks_first(hedge, hold):
    asked = asyncio.Event()
    script = [asked.wait, chunk("", role="assistant"), *A]
    rival = [asked.set, turn, turn, hang]
    told = {SAME: tiers([script, rival]), NEXT: tiers(script, rival)}[hedge]
    story = await serve(setting(hedge, hold), told)
    assert (story.text, story.ending) == ("small answer", "small")
    assert [a.outrun for a in story.entry.outcome.attempts] == [True, False]
    assert story.entry.outcome.attempts[0].rival
    assert (story.row["escalated"], story.row["escalations"]) == (False, [])


async def test_a_quick_first_token_needs_no_hedge():
    story = await serve(setting(Hedge(5.0, "same", 1.0)), tiers([chunk("small"), turn, *A]))
    assert (story.called, len(story.entry.outcome.attempts)) == ("small", 1)


async def test_a_role_is_no_token():
    first = [chunk("", role="assistant"), hang]
    story = await serve(setting(SAME, "none"), tiers([first, A]))
    assert (story.called, story.text) == ("small small", "small answer")
    assert story.line.data.count(b'"role"') == 0


async def test_a_thought_is_one():
    thinks = [chunk(reasoning_content="hm"), turn, *A]
    story = await serve(setting(Hedge(0.001, "same", 1.0)), tiers([thinks, [hang]]))
    assert story.called == "small"


async def test_a_plain_reply_is_not_hedged():
    asked = replace(setting(SAME), stream=False)
    story = await serve(asked, tiers([lambda: asyncio.sleep(0.01), *A]))
    assert story.called == "small"


async def test_a_hedge_that_fails_changes_nothing():
    asked = asyncio.Event()
    story = await serve(setting(NEXT), tiers([asked.wait, turn, *A], [asked.set, DOWN]))
    assert (story.text, story.ending) == ("small answer", "small")
    assert story.called == "small large"


async def test_a_first_that_fails_is_answered_by_its_hedge():
    asked = asyncio.Event()
    slow = [asked.wait, DOWN]
    story = await serve(setting(SAME), tiers([slow, [asked.set, turn, *A]]))
    assert (story.called, story.text, story.ending) == ("small small", "small answer", "small")


async def test_both_fail():
    asked = asyncio.Event()
    story = await serve(setting(NEXT), tiers([asked.wait, DOWN], [[asked.set, DOWN], B]))
    assert (story.called, story.text) == ("small large large", "large answer")
    assert outruns(story) == [("large", True), ("small", False), ("large", False)]


async def test_a_first_that_is_deferred_at_its_first_word_leaves_the_floor():
    asked = asyncio.Event()
    small = [asked.wait, chunk(NO), chunk("never"), hang]
    given = setting(NEXT)
    early = replace(given.tiers[0].bar, early=Early(refusal=True))
    given = replace(given, tiers=(replace(given.tiers[0], bar=early), given.tiers[1]))
    story = await serve(given, tiers(small, [asked.set, turn, *B]))
    assert (story.text, story.ending) == ("large answer", "large")
    assert b"never" not in story.line.data


async def test_the_winner_s_draft_is_judged_like_any_other():
    story = await serve(setting(SAME), tiers([[hang], BAD]))
    assert (story.called, story.text) == ("small small large", "large answer")
    assert outruns(story) == [("small", True), ("small", False), ("large", False)]


@pytest.mark.parametrize("hedge", [SAME, NEXT])
async def test_a_client_that_leaves_leaves_nothing_running(hedge):
    when = asyncio.Event()
    both = [[hang], [when.set, hang]]
    script = tiers(both) if hedge is SAME else tiers(*both)
    engine, job, reply, (upstream, watch, _) = prepare(setting(hedge), script)
    task = asyncio.create_task(engine.run(job, reply))
    await when.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (entry,) = watch.entries
    assert len(upstream.closed) == len(list(entry.calls)) == 2
    assert {call.status for call in entry.calls} == {"cancelled"}


@pytest.mark.parametrize("place", [0, 1])
async def test_a_fault_of_ours_is_raised_only_where_it_matters(place):
    asked = asyncio.Event()
    scripts = [[asked.wait, turn, *A], [asked.set, *A]]
    scripts[place].insert(2 if place == 0 else 1, ZeroDivisionError())
    engine, job, reply, (upstream, _, _) = prepare(setting(SAME), tiers(scripts))
    entry = await engine.run(job, reply)
    assert (entry.served_tier, len(upstream.closed)) == ("small", 2)
    assert entry.outcome.attempts[0].outrun


async def test_hedges_keep_to_their_share(monkeypatch):
    asked, decided, spend = setting(Hedge(0.001, "same", 0.25)), asyncio.Event(), HedgeBudget.spend

    def deciding(budget, tier):
        decided.set()
        return spend(budget, tier)

    monkeypatch.setattr(HedgeBudget, "spend", deciding)
    engine, job, reply, (upstream, _, _) = prepare(asked, tiers([[turn, hang], A]))
    await engine.run(job, reply)
    assert len(upstream.calls) == 2
    calls = []
    for _ in range(8):
        decided.clear()  # the first is slow for as long as it takes to think of a hedge
        upstream.scripts["small"] = [[decided.wait, turn, *A], A]
        before = len(upstream.calls)
        _, job, reply, _ = prepare(asked, tiers(A))
        await engine.run(job, reply)
        calls.append(len(upstream.calls) - before)
    assert calls.count(2) == 2


def test_a_budget():
    budget, tier = HedgeBudget(), replace(SMALL, hedge=Hedge(1.0, "same", 0.5))
    assert not budget.spend(tier), "of a tier without a stream"
    budget.save(tier)
    assert budget.spend(tier)
    assert not budget.spend(tier), "half a hedge is none"
    budget.save(tier)
    assert budget.spend(tier)
    for _ in range(1000):
        budget.save(tier)
    assert sum(budget.spend(tier) for _ in range(1000)) == 10
    assert not budget.spend(LARGE)
