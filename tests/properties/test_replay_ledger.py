"""Replay: a ledger decided again under its own policy comes to its own decisions, all of them."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
from engine.scripted import hang
from engine.serving import LARGE, MEDIUM, job_for, prepare, serve
from engine.test_engine_checks import Examiner, asking
from engine.test_engine_checks import bar as waiting
from engine.test_engine_combine import A, B, bar, sure
from engine.test_engine_combine import setting as combined
from hypothesis import given
from hypothesis import strategies as st
from properties.drafts import waterfalls
from properties.races import varied
from properties.test_no_leak import flow
from properties.test_no_leak_checks import examined
from properties.weighed import weighed
from sample_rows import record

from gateway.core.errors import UpstreamDown
from gateway.store.histories import read_histories
from gateway.store.schema import create_statements
from gateway.store.sqlite import insert
from router_models.replay.again import decide_again
from router_models.replay.figures import alike
from router_models.replay.policy import Under, as_recorded
from router_models.replay.recorded import read_record


def recorded(*entries):
    """The entries as the ledger gives them back."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.row_factory = sqlite3.Row
        for statement in create_statements():
            connection.execute(statement)
        assert insert(connection, [record(each) for each in entries]).new == len(entries)
        return [read_record(each) for each in read_histories(connection, "waterfall")]


def told(record, again):
    """Both, for a message."""
    return again, {k: v for k, v in record.row.items() if k != "decided"}, record.decided


@given(waterfalls())
def test_a_ledger_under_its_own_policy_comes_to_its_own_decisions(fall):
    story = asyncio.run(flow(fall))
    (record,) = recorded(story.entry)
    again = decide_again(as_recorded(record), record)
    assert alike(record, again), told(record, again)
    if record.over:
        assert not again.unknown
        moves = [(one, other) for one, other in zip(again.called, again.called[1:], strict=False)]
        ups = [(e["from"], e["to"]) for e in story.row["escalations"]]
        assert [move for move in moves if move in ups] == ups


@given(waterfalls(), st.integers(0, 2**32))
def test_so_does_one_with_races_and_early_decisions(fall, seed):
    story = asyncio.run(flow(varied(fall, seed)))
    (record,) = recorded(story.entry)
    again = decide_again(as_recorded(record), record)
    assert alike(record, again), told(record, again)


@given(waterfalls(), st.integers(0, 2**32))
def test_so_does_one_with_combiners_and_checks_bought_in_their_bands(fall, seed):
    story = asyncio.run(flow(weighed(varied(fall, seed), seed)))
    (record,) = recorded(story.entry)
    assert record.decided.plan.p_good == story.plan.p_good
    again = decide_again(as_recorded(record), record)
    assert alike(record, again), told(record, again)


@given(examined())
def test_so_does_one_with_checks_that_wait_beside_drafts_and_after_them(fall):
    story = asyncio.run(flow(fall))
    (record,) = recorded(story.entry)
    again = decide_again(as_recorded(record), record)
    assert alike(record, again), told(record, again)


async def test_a_check_given_up_with_its_draft_and_a_client_that_leaves_a_later_one():
    """The draft fails while a check runs beside it; the client leaves while another's waits."""
    beside, later = Examiner(during=hang), Examiner(during=hang)
    given = asking({"beside": beside})
    given = replace(
        given,
        tiers=(given.tiers[0], replace(MEDIUM, bar=waiting("later")), LARGE),
        examiners={"beside": beside, "later": later},
    )
    scripts = {"small": [beside.begun.wait, UpstreamDown("reset", kind="server")], "medium": A}
    engine, job, reply, (_, watch, _) = prepare(given, scripts)
    serving = asyncio.create_task(engine.run(job, reply))
    await later.begun.wait()
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    (entry,) = watch.entries
    small, medium = entry.outcome.attempts
    assert small.evidence[-1].finding.reason == medium.evidence[-1].finding.reason == "left"
    (record,) = recorded(entry)
    again = decide_again(as_recorded(record), record)
    assert again.unknown == "cut"
    assert alike(record, again), told(record, again)


@pytest.mark.parametrize("p_good", [(0.3, 0.95), (0.55, 0.95)])
@pytest.mark.parametrize("panel", [0.1, 0.9])
async def test_a_check_is_bought_again_where_the_scorer_s_word_put_it_in_the_band(p_good, panel):
    """Of this tier's own word too: at 0.3 the reply is lost, at 0.55 it is doubtful."""
    given = combined(bar(prior=1.5), taste=sure(0.45), panel=sure(panel), p_good=p_good)
    story = await serve(given, {"small": A, "large": B})
    (record,) = recorded(story.entry)
    again = decide_again(as_recorded(record), record)
    assert alike(record, again), told(record, again)
    assert record.decided.plan.tiers[0].bar.combiner == bar(prior=1.5).combiner
    bought = len(story.entry.outcome.attempts[0].evidence) > 1
    assert bought == (p_good[0] == 0.55)
    without = replace(given, tiers=tuple(_without_bands(tier) for tier in given.tiers))
    other = decide_again(Under(job_for(without).route)(record), record)
    assert other.unknown == ("" if bought else "check")


def _without_bands(tier):
    """The same tier, which always buys."""
    return replace(tier, bar=replace(tier.bar, combiner=replace(tier.bar.combiner, bands={})))


@given(waterfalls())
def test_the_same_configuration_comes_to_the_same(fall):
    story = asyncio.run(flow(fall))
    (record,) = recorded(story.entry)
    plan = Under(job_for(fall.setting).route)(record)
    again = decide_again(plan, record, prices=True)
    assert alike(record, again), told(record, again)


@given(waterfalls(), waterfalls())
def test_another_policy_is_told_or_is_unknown_and_never_made_up(fall, other):
    """Whatever it says was called, was called; what it costs is made of what that cost."""
    story = asyncio.run(flow(fall))
    (record,) = recorded(story.entry)
    route = replace(job_for(other.setting).route, tiers=fall.setting.tiers)
    plan = Under(replace(route, thresholds=route.thresholds[: len(route.tiers) - 1]))(record)
    if isinstance(plan, str):
        return
    again = decide_again(plan, record)
    assert again.start == plan.tiers[0].name
    if not again.unknown:
        assert set(again.called) <= set(record.actual)
        assert again.cost <= record.row["cost"]
        assert again.served in {*again.called, "none"}
