"""The same promise with checks that wait in play, beside drafts and after them, and repairs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from properties.drafts import LETTERS, waterfalls
from properties.test_no_leak import (
    flow,
    in_sight,
    one_done_after_a_whole_reply_and_none_after_anything_else,
    the_bytes_read_the_same_wherever_they_are_split,
)

from gateway.core.asking import Asks
from gateway.core.errors import UpstreamDown
from gateway.core.money import Price, Usage
from gateway.core.plan import Tier
from gateway.core.verdict import ABSTAIN, ABSTENTIONS, Bar, CheckSpec, Finding

ASKED = Tier("asked", "far", "judge-1", Price(10**6, 10**6))
NAMES = ("first", "second", "third")
FINDINGS = (
    Finding("pass", confidence=0.95),
    Finding("pass", confidence=0.1),
    Finding("fail", "check_failed"),
    ABSTAIN,
)


@dataclass(frozen=True)
class Mood:
    """What one check does: how many turns of the loop its call takes, and how it all ends."""

    finding: Finding
    turns: int
    calls: int
    early: bool
    ends: str

    async def examine(self, question, seconds, calls):
        if not self.early:
            await question.reply()
        for _ in range(self.calls):
            await calls.make(ASKED, Usage(7, 5), seconds, self._send)
        await question.reply()
        if self.ends == "raises":
            raise RuntimeError("a fault of ours")
        return self.finding

    async def _send(self, on_sent):
        on_sent()
        for _ in range(self.turns):
            await asyncio.sleep(0)
        if self.ends == "hangs":
            await asyncio.Event().wait()
        if self.ends == "fails":
            raise UpstreamDown("reset", kind="server")
        return "said", Usage(3, 2)


@st.composite
def examined(draw):
    """A waterfall whose tiers have checks that wait as well."""
    fall = draw(waterfalls())
    moods = {
        name: Mood(
            draw(st.sampled_from(FINDINGS)),
            draw(st.integers(0, 4)),
            draw(st.integers(0, 2)),
            early=draw(st.booleans()),
            ends=draw(st.sampled_from([*["well"] * 6, "fails", "raises", "hangs"])),
        )
        for name in NAMES
    }
    tiers = tuple(replace(tier, bar=draw(bars(tier.bar))) for tier in fall.setting.tiers)
    hangs = any(mood.ends == "hangs" for mood in moods.values())
    body = dict(fall.setting.body)
    if draw(st.booleans()):
        body["response_format"] = {"type": "json_object"}
    setting = replace(
        fall.setting,
        tiers=tiers,
        body=body,
        examiners=moods,
        deadline=0.05 if hangs else 60.0,
        ceiling=draw(st.sampled_from([None, None, 5_000_000, 400_000])),
    )
    return replace(fall, setting=setting)


@st.composite
def bars(draw, bar):
    names = draw(st.lists(st.sampled_from(NAMES), unique=True))
    waiting = [
        CheckSpec(
            name,
            waits=True,
            asks=Asks(Price(10**6), draw(st.integers(1, 3))),
            concurrent=draw(st.booleans()),
        )
        for name in names
    ]
    specs = (*bar.checks, CheckSpec("format"), *waiting)
    return Bar(checks=specs, repair=draw(st.booleans()), at_once=draw(st.booleans()))


@given(examined(), st.sets(st.integers(0, 4_000)))
def test_whatever_happens(fall, cuts):
    story = asyncio.run(flow(fall))
    nothing_of_any_tier_but_the_one_in_sight(fall, story)
    one_done_after_a_whole_reply_and_none_after_anything_else(story)
    every_call_is_booked_once(story)
    at_most_one_repair(story)
    every_abstention_says_why(story)
    the_bytes_read_the_same_wherever_they_are_split(story.line.data, cuts)


def nothing_of_any_tier_but_the_one_in_sight(fall, story):
    shown = in_sight(story)
    seen = story.line.data.decode() + str(story.line.headers)
    for tier, letters in zip(fall.setting.tiers, LETTERS, strict=False):
        if tier.name != shown:
            assert not set(letters) & set(seen), f"{tier.name} leaked"
    for attempt in story.entry.outcome.attempts:
        deferred = attempt.verdict is not None and not attempt.verdict.accepted
        assert not (deferred and attempt.released)


def every_call_is_booked_once(story):
    calls = list(story.entry.calls)
    assert {id(call) for call in calls} == {id(call) for call in story.watch.settled.values()}
    assert len({call.call_id for call in calls}) == len(calls) == len(story.watch.open_calls)
    assert sorted(story.watch.freed) == sorted(story.watch.open_calls)
    assert story.entry.cost == story.row["cost"] == sum(call.cost.total for call in calls)
    for attempt in story.entry.outcome.attempts:
        assert attempt.check_cost == sum(call.cost.total for call in attempt.checking)
        assert all(call.tier == "asked" for call in attempt.checking)
    purposes = {call.call_id: call.purpose for call in story.watch.open_calls.values()}
    checking = {call.call_id for a in story.entry.outcome.attempts for call in a.checking}
    assert {name for name, purpose in purposes.items() if purpose == "check"} == checking


def at_most_one_repair(story):
    names = [attempt.tier.name for attempt in story.entry.outcome.attempts]
    repairs = [name for name, after in pairwise(names) if name == after]
    assert len(repairs) == len(set(repairs))
    assert all(names.count(name) <= 2 for name in names)


def every_abstention_says_why(story):
    for attempt in story.entry.outcome.attempts:
        names = [item.check for item in attempt.evidence]
        assert len(set(names)) == len(names), "each is asked once"
        for item in attempt.evidence:
            if item.finding.result == "abstain" and item.finding.reason:
                assert item.finding.reason in ABSTENTIONS
