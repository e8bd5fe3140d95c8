"""A candidate scores live traffic and decides nothing, whatever it says or does."""

from __future__ import annotations

from dataclasses import replace

import pytest
from api.serving import ask_for, config, house
from app.scoring import metric

from gateway.app import REFUSALS
from gateway.core.difficulty import Difficulty
from gateway.scorers import heuristic

LONG = [{"role": "user", "content": "Explain why, prove each step, then compare: " * 40}]


async def test_it_is_recorded_beside_the_one_in_force(tmp_path, monkeypatch):
    """`default` in force, `rules` on trial; each is told what to say."""
    said = iter([0.5, 0.1, 0.9])  # the first at the start, when it is asked how many tiers it knows
    monkeypatch.setattr(
        heuristic.RulesScorer, "score", lambda *_: Difficulty(next(said), scorer="rules@1")
    )
    changes = {"routes__waterfall__scorer": "default", "routes__waterfall__candidate": "rules"}
    async with house(tmp_path, **changes) as it:
        counted = {}
        kept = []
        it.gateway.switch.service.engine._parts = _watching(it, kept)
        for agree in ("true", "false"):
            reply = await it.chat()
            counted[agree] = await metric(
                it, "candidate_scores_total", route="waterfall", agree=agree
            )
            assert reply.told("start") == "small; score", "it decides nothing"
            assert reply.told("scorer").startswith("default@")
    assert counted == {"true": 1, "false": 1}
    assert [(each.candidate.value, each.candidate.scorer) for each in kept] == [
        (0.1, "rules@1"),
        (0.9, "rules@1"),
    ]


def _watching(it, kept):
    parts = it.gateway.switch.service.engine._parts
    return replace(parts, sinks=(*parts.sinks, kept.append))


async def test_what_it_does_is_not_the_request_s(tmp_path, monkeypatch, caplog):
    def fail(*_):
        raise ZeroDivisionError("candidate")

    async with house(
        tmp_path, routes__waterfall__scorer="default", routes__waterfall__candidate="rules"
    ) as it:
        monkeypatch.setattr(heuristic.RulesScorer, "score", fail)
        replies = [await it.chat(messages=LONG) for _ in range(3)]
        failed = await metric(it, "candidate_scores_total", route="waterfall", agree="failed")
    assert {reply.status for reply in replies} == {200}
    assert failed == 3
    told = [record for record in caplog.records if "candidate" in record.message]
    assert len(told) == 1, "once in the log"


async def test_without_one_there_is_no_series(tmp_path):
    async with house(tmp_path) as it:
        await it.chat()
        assert await metric(it, "candidate_scores_total", route="waterfall", agree="true") is None


@pytest.mark.parametrize("key", ["scorer", "candidate"])
async def test_one_that_knows_a_tier_too_many_is_refused(tmp_path, monkeypatch, key):
    monkeypatch.setattr(
        heuristic.RulesScorer, "score", lambda *_: Difficulty(0.5, 0.1, (0.1, 0.1, 0.2), "three@1")
    )
    changes = {"routes__waterfall__scorer": "default", f"routes__waterfall__{key}": "rules"}
    told = rf"routes\.waterfall\.{key}: rules@1 knows 3 tiers and the route has 2"
    with pytest.raises(REFUSALS, match=told):
        async with house(tmp_path, **changes):
            pass


async def test_off_and_a_reload_end_the_trial(tmp_path):
    async with house(tmp_path, routes__waterfall__candidate="default") as it:
        assert "waterfall" in it.gateway.switch.service.shadows
        await it.chat()
        it.write(config(routes__waterfall__candidate="off"))
        assert await it.gateway.reload()
        assert it.gateway.switch.service.shadows == {}
        await it.chat()
        found = await metric(it, "candidate_scores_total", route="waterfall", agree="true")
    assert found == 1


@pytest.mark.parametrize("tier", ["small", "large"])
async def test_a_tier_asked_for_by_name_has_a_scorer_in_its_headers(tmp_path, tier):
    async with house(tmp_path) as it:
        reply = await it.post(ask_for(model=tier))
    assert (reply.told("scorer"), reply.told("tier")) == ("rules@1", tier)
