"""Live thresholds in a whole gateway: planned by, shown, set by hand, and kept over a reload."""

from __future__ import annotations

import asyncio
import random

import pytest
from api.serving import config, house
from sample_outcomes import quick_artefact, sums
from tuning.memory import Memory

import gateway.store.store
from gateway.cli.route import plan
from gateway.core.ports import Labelled, Scored

SHARE = {"routes__waterfall__threshold": {"target_share": 0.2}}
QUALITY = {"routes__waterfall__threshold": {"target_quality": 0.9}}
EASY = [{"role": "user", "content": "Say hello."}]
HARD = [{"role": "user", "content": "Prove step by step why the integral diverges. " * 20}]


@pytest.fixture
def archive(monkeypatch):
    """A ledger that remembers a thousand scores by rules, all of them low."""
    kept = Memory()
    rows = [place / 1000 * 0.3 for place in range(1000)]
    kept.scored["waterfall", "rules@1"] = [
        Scored(number, score, score, above=False, threshold=0.8)
        for number, score in enumerate(rows, 1)
    ]
    monkeypatch.setattr(gateway.store.store, "Archive", lambda path: kept)
    return kept


async def page(it):
    return (await it.get("/metrics")).body.decode()


async def dry(it, messages=EASY):
    body = {"model": "waterfall", "messages": messages}
    return await it.post(body, "/v1/route")


async def test_a_request_is_planned_by_what_is_in_force(tmp_path, archive):
    async with house(tmp_path, **SHARE) as it:
        easy, hard = await it.chat(messages=EASY), await it.chat(messages=HARD)
        entries = it.entries()
        shown = await page(it)
        told = await dry(it)
    assert (easy.told("start"), hard.told("start")) == ("small; score", "large; score")
    assert float(hard.told("difficulty")) > 0.99
    live = told.json["threshold"]
    assert live == pytest.approx(0.8, abs=0.01)
    assert live != 0.8
    assert hard.told("threshold") == f"{live:g}"
    assert [entry["threshold"] for entry in entries] == [live, live]
    assert f'waterfall_threshold{{route="waterfall"}} {live}' in shown
    assert 'waterfall_target_share{route="waterfall"} 0.2' in shown
    assert told.json["tuning"]["basis"] == "share"
    assert told.json["tuning"]["reference"] == "own"


async def test_reference_artefact_leaves_scores_as_they_are(tmp_path, archive):
    async with house(tmp_path, routes__waterfall__reference="artefact") as it:
        own = float((await dry(it, HARD)).told("difficulty"))
        it.write(config())
        assert await it.gateway.reload()
        assert float((await dry(it, HARD)).told("difficulty")) > 0.99 > own


async def test_a_request_s_own_threshold_wins(tmp_path, archive):
    body = {"model": "waterfall", "messages": HARD}
    async with house(tmp_path, **SHARE) as it:
        answer = await it.post(body, x_waterfall_threshold="1")
    assert (answer.told("start"), answer.told("threshold")) == ("small; score", "1")


async def test_a_number_set_by_hand_until_the_next_reload(tmp_path, archive):
    async with house(tmp_path, **SHARE) as it:
        before = (await dry(it)).json["threshold"]
        headers = {"authorization": f"Bearer {it.gateway.admin_secret}"}
        put = {"route": "waterfall", "threshold": 0.33}
        answer = await it.post(put, "/admin/threshold", it.admin, "PUT", **headers)
        assert answer.status == 200
        await asyncio.to_thread(it.gateway.keeper.round)
        told = (await dry(it)).json
        assert (told["threshold"], told["tuning"]["basis"]) == (0.33, "config")
        assert 'waterfall_threshold{route="waterfall"} 0.33' in await page(it)
        assert await it.gateway.reload()
        assert (await dry(it)).json["threshold"] == before


async def test_a_reload_and_a_restart_begin_with_the_same(tmp_path, archive):
    async with house(tmp_path, **SHARE) as it:
        before = (await dry(it)).json["threshold"]
        archive.scored.clear()
        it.write(config(routes__waterfall__deadline="5s", **SHARE))
        assert await it.gateway.reload()
        assert (await dry(it)).json["threshold"] == before
    async with house(tmp_path, **SHARE) as it:
        assert (await dry(it)).json["threshold"] == before


async def test_quality_starts_everything_above_until_there_are_labels(tmp_path, archive):
    async with house(tmp_path, **QUALITY) as it:
        first = await it.chat(messages=EASY)
        told = (await dry(it)).json["tuning"]
        assert (told["basis"], told["labels_missing"]) == ("conservative", 9)
        assert 'waterfall_tuning_labels_missing{route="waterfall"} 9.0' in await page(it)
        archive.labels["waterfall", "rules@1"] = [
            Labelled(number, 0.0, {"small": 1.0, "large": 1.0}) for number in range(50)
        ]
        for _ in range(5):
            await asyncio.to_thread(it.gateway.keeper.round)
        second = await it.chat(messages=EASY)
        shown = await page(it)
    assert (first.told("start"), second.told("start")) == ("large; score", "small; score")
    assert 'waterfall_promise{kind="expectation",route="waterfall"} 1.0' in shown


async def test_the_options_of_a_target_reach_it(tmp_path, archive):
    asked = {"target_quality": 0.9, "confidence": 0.9, "until": 1}
    async with house(tmp_path, routes__waterfall__threshold=asked) as it:
        answer = await dry(it, HARD)
        assert answer.told("start") == "small; score"
        assert answer.json["tuning"]["labels_missing"] == 28
        assert 'waterfall_promise{kind="probability",route="waterfall"} 0.0' in await page(it)
    archive.rows.clear()
    archive.scored["waterfall", "rules@1"] += [
        Scored(1000 + n, 0.5 + n / 1e4, 0.0, above=False, threshold=None) for n in range(300)
    ]
    asked = {"target_share": 0.5, "window": 200}
    async with house(tmp_path, routes__waterfall__threshold=asked) as it:
        assert (await dry(it)).json["threshold"] > 0.8, "of the last 200 alone"


# ------------------------------------------------------------------ with the real ledger

WORDS = "prove why step integral theorem code complexity because derive explain".split()


def asked(chance):
    """A request whose score by rules may be anything, mostly low."""
    said = " ".join(chance.choice(WORDS) for _ in range(int(chance.random() ** 3 * 300) + 1))
    return {"model": "waterfall", "messages": [{"role": "user", "content": said}]}


async def send_up(it, chance, count):
    """Plan and record requests; return the share that started above the first tier."""
    answers = [await it.post(asked(chance)) for _ in range(count)]
    assert {answer.status for answer in answers} == {200}
    return sum(answer.told("start").startswith("large") for answer in answers) / count


async def go_round(it):
    assert it.gateway.store.flush(20)
    for _ in range(2):  # the keeper's own thread may have been faster, with less to go by
        await asyncio.to_thread(it.gateway.keeper.round)


@pytest.mark.parametrize("threshold", [{"target_share": 0.2}, 0.8])
async def test_a_fifth_of_the_gateway_s_own_traffic(tmp_path, threshold):
    """Also of a second process with the same ledger, and after a reload and a restart."""
    chance = random.Random(8)
    changes = {"routes__waterfall__threshold": threshold}
    async with house(tmp_path, **changes) as it, house(tmp_path, **changes) as other:
        await send_up(it, chance, 600)
        await send_up(other, chance, 400)
        assert other.gateway.store.flush(20)
        await go_round(it)
        await go_round(other)
        assert await send_up(it, chance, 500) == pytest.approx(0.2, abs=0.04)
        await go_round(it)
        await go_round(other)
        assert (await dry(other)).json["tuning"] == (await dry(it)).json["tuning"]
        kept = [(await dry(each, HARD)).told("difficulty") for each in (it, other)]
        assert kept[0] == kept[1]
        it.write(config(routes__waterfall__deadline="7s", **changes))
        assert await it.gateway.reload()
        assert (await dry(it, HARD)).told("difficulty") == kept[0]
    async with house(tmp_path, **changes) as it:
        told = await dry(it, HARD)
        assert (told.told("difficulty"), told.json["tuning"]["reference"]) == (kept[0], "own")
        settings = it.gateway.settings
    offline = plan(settings.routes["waterfall"], HARD[0]["content"], settings.ledger.path)
    assert f"{offline['difficulty']:.4f}" == kept[0], "the command looks it up in the ledger"
    assert offline["thresholds"] == [told.json["threshold"]]
    assert offline["tuning"] == told.json["tuning"]


async def test_labels_that_clients_send_make_a_promise(tmp_path):
    told = await labelled(tmp_path, [EASY] * 40)
    assert (told["basis"], told["labels"]) == ("quality", 40)
    assert told["promise"]["void"] is False


async def test_labels_of_questions_that_the_scorer_was_trained_on_make_none(tmp_path):
    quick_artefact(tmp_path / "sums", "sums@1")
    met = [[{"role": "user", "content": each["prompt"]}] for each in sums(40)]
    assert (await labelled(tmp_path, met, routes__waterfall__scorer="sums"))["promise"] is None
    told = await labelled(tmp_path, [*met, *[EASY] * 12], routes__waterfall__scorer="sums")
    assert (told["basis"], told["labels"]) == ("quality", 12)


async def labelled(tmp_path, asked, **changes):
    """Ask, call every answer a good one at both tiers, and tell what comes of it."""
    async with house(tmp_path, **QUALITY, **changes) as it:
        entries = [await it.chat(messages=each) for each in asked]
        assert it.gateway.store.flush(20)
        for answer in entries:
            for tier in ("small", "large"):
                body = {
                    "request_id": answer.header("x-request-id"),
                    "tier": tier,
                    "score": 1.0,
                    "label": "judge",
                }
                assert (await it.post(body, "/v1/feedback")).status in {200, 201, 202, 204}
        for _ in range(6):
            await go_round(it)
        return (await dry(it)).json["tuning"]
