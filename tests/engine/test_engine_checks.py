"""Checks that wait, in the engine: when they are bought, what ends them, what is written down."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from engine.scripted import hang, says
from engine.serving import LARGE, SMALL, Setting, prepare, serve

from gateway.core.asking import Asks
from gateway.core.errors import UpstreamDown
from gateway.core.money import Price, Usage
from gateway.core.plan import Tier
from gateway.core.verdict import Bar, CheckSpec, Finding

ASKED = Tier("asked", "far", "judge-1", Price(10**6, 10**6))
LOW, HIGH = Finding("pass", confidence=0.1), Finding("pass", confidence=0.9)
QUESTION = {"small": says("an answer"), "large": says("a better one")}


class Examiner:
    """Examines as told: `during` is awaited in a call of its own, `then` is its finding."""

    def __init__(self, then=HIGH, during=None, early=False, calls=1):
        self._then, self._during, self._early, self._calls = then, during, early, calls
        self.begun, self.seen = asyncio.Event(), []

    async def examine(self, question, seconds, calls):
        self.begun.set()
        if not self._early:
            self.seen.append(await question.reply())
        for _ in range(self._calls):
            await calls.make(ASKED, Usage(7, 5), seconds, self._send)
        if self._early:
            self.seen.append(await question.reply())
        if isinstance(self._then, Exception):
            raise self._then
        return self._then

    async def _send(self, on_sent):
        on_sent()
        if self._during is not None:
            await self._during()
        return "said", Usage(3, 2)


def bar(*names, **more):
    costs = {"dear": 100, "cheap": 1}
    specs = [
        CheckSpec(
            name,
            waits=True,
            asks=Asks(Price(10**6), costs.get(name, 10)),
            concurrent=name == "beside",
        )
        for name in names
    ]
    return Bar(checks=(CheckSpec("shape"), CheckSpec("refusal"), *specs), **more)


def asking(examiners, **more):
    tiers = (replace(SMALL, bar=bar(*examiners, **more.pop("bar", {}))), LARGE)
    return Setting(tiers=tiers, examiners=examiners, **more)


def found(story, name, attempt=0):
    evidence = story.entry.outcome.attempts[attempt].evidence
    (item,) = [each for each in evidence if each.check == name]
    return item


@pytest.mark.parametrize("stream", [False, True])
async def test_its_word_decides_and_its_call_is_booked(stream):
    examiner = Examiner(LOW)
    story = await serve(asking({"panel": examiner}, stream=stream), QUESTION)
    assert story.ending == "large"
    assert examiner.seen[0].text == "an answer"
    item = found(story, "panel")
    assert (item.finding, item.cost) == (LOW, 5)
    first = story.entry.outcome.attempts[0]
    assert [(call.tier, call.status, call.cost.total) for call in first.checking] == [
        ("asked", "ok", 5)
    ]
    assert [call.purpose for call in story.watch.open_calls.values()] == ["serve", "check", "serve"]
    assert story.entry.cost == sum(call.cost.total for call in story.entry.calls)
    assert first.spent == first.cost.total + 5
    assert story.entry.timing.upstream > 0


async def test_the_cheapest_first_and_the_next_only_if_it_passes():
    for cheap, asked in ((HIGH, True), (LOW, False)):
        examiners = {"dear": Examiner(), "cheap": Examiner(cheap)}
        story = await serve(asking(examiners), QUESTION)
        assert examiners["dear"].begun.is_set() is asked
        assert story.ending == ("small" if asked else "large")


async def test_all_at_once_where_the_bar_says_so():
    """Each ends only once the other has begun."""
    one = Examiner()
    two = Examiner(during=one.begun.wait)
    one._during = two.begun.wait
    examiners = {"one": one, "two": two}
    story = await serve(asking(examiners, bar={"at_once": True}), QUESTION)
    assert (story.ending, found(story, "one").cost, found(story, "two").cost) == ("small", 5, 5)


async def test_a_fault_of_ours_is_an_abstention(caplog):
    story = await serve(asking({"panel": Examiner(RuntimeError("oh"))}), QUESTION)
    assert (story.ending, found(story, "panel").finding.reason) == ("small", "error")
    assert found(story, "panel").cost == 5
    assert "The check panel failed" in caplog.text


async def test_the_deadline_cuts_one_that_does_not_keep_to_it():
    story = await serve(asking({"panel": Examiner(during=hang)}, deadline=0.1), QUESTION)
    item = found(story, "panel")
    assert (story.ending, item.finding.reason) == ("small degraded", "deadline")
    assert item.cost == 7, "its prompt was read"


async def test_what_is_left_of_the_ceiling_counts_every_check():
    """The first leaves too little for the second."""
    examiners = {"dear": Examiner(), "cheap": Examiner(calls=300)}
    story = await serve(asking(examiners, ceiling=2_000), QUESTION)
    assert not examiners["dear"].begun.is_set()
    assert (found(story, "cheap").cost, found(story, "dear").finding.reason) == (1_500, "budget")
    assert story.ending == "small degraded"


async def test_beside_the_draft_one_that_is_not_wanted_is_ended():
    examiner = Examiner(during=hang, early=True)
    scripts = {"small": [examiner.begun.wait, UpstreamDown("down")], "large": says("ok")}
    story = await serve(asking({"beside": examiner}), scripts)
    item = found(story, "beside")
    assert (story.ending, item.finding, item.cost) == ("large", Finding("abstain", "left"), 7)
    assert story.entry.outcome.attempts[0].checking[0].status == "cancelled"


async def test_beside_the_draft_it_is_told_the_reply():
    examiner = Examiner(LOW, early=True)
    scripts = {"small": [examiner.begun.wait, *says("an answer")], "large": says("ok")}
    story = await serve(asking({"beside": examiner}), scripts)
    assert (story.ending, examiner.seen[0].text) == ("large", "an answer")


async def test_beside_the_draft_but_a_free_check_says_no_and_nothing_better_can_be_had():
    examiner = Examiner(during=hang, early=True)
    scripts = {
        "small": [examiner.begun.wait, *says("I cannot help with that.")],
        "large": [UpstreamDown("down")],
    }
    story = await serve(asking({"beside": examiner}), scripts)
    assert (story.ending, found(story, "beside").finding.reason) == ("small degraded", "left")
    assert story.entry.outcome.served is story.entry.outcome.attempts[0]


@pytest.mark.parametrize("again", [False, True], ids=["once", "and again"])
async def test_a_cancel_ends_it_and_books_it(again):
    """Even one that takes a while to end, and a cancel that comes twice."""

    async def slow_to_end():
        try:
            await hang()
        finally:
            await asyncio.sleep(0.05)

    examiner = Examiner(during=slow_to_end)
    engine, job, reply, (_, watch, _) = prepare(asking({"panel": examiner}), QUESTION)
    task = asyncio.create_task(engine.run(job, reply))
    await examiner.begun.wait()
    await asyncio.sleep(0)
    task.cancel()
    if again:
        await asyncio.sleep(0.01)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (entry,) = watch.entries
    (attempt,) = entry.outcome.attempts
    assert entry.outcome.cancelled
    assert attempt.evidence[-1].finding.reason == "left"
    assert [call.status for call in attempt.checking] == ["cancelled"]
    assert entry.cost == sum(call.cost.total for call in entry.calls) > 0
    assert set(watch.freed) == set(watch.open_calls)


async def test_a_cancel_while_the_deadline_ends_it_is_not_lost():
    ending = asyncio.Event()

    async def slow_to_end():
        try:
            await hang()
        finally:
            ending.set()
            await asyncio.sleep(0.05)

    setting = asking({"panel": Examiner(during=slow_to_end)}, deadline=0.1)
    engine, job, reply, (_, watch, _) = prepare(setting, QUESTION)
    task = asyncio.create_task(engine.run(job, reply))
    await ending.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (entry,) = watch.entries
    assert entry.outcome.cancelled
    assert entry.cost == sum(call.cost.total for call in entry.calls) > 0
    assert set(watch.freed) == set(watch.open_calls)


async def test_a_check_that_nobody_opened_abstains(caplog):
    setting = replace(asking({"panel": Examiner()}), examiners={})
    story = await serve(setting, QUESTION)
    assert story.ending == "small"
    assert found(story, "panel").finding.result == "abstain"
    assert "The check panel failed" in caplog.text
