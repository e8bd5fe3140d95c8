"""A model that is asked, and what ends the asking: its breaker, clients that leave, a kill."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

import orjson
from api.serving import ALONE, LIMIT, ask_for, config
from app.scoring import asking, llm, metric, said
from app.serving import Process, Wire, listening, posted, until
from upstreams.scripted import Scripted, whole

from gateway.store import read
from gateway.store.store import open_store
from gateway.waiting.guard import Guard

RULES = "rules@1+fallback"


def document(server):
    """A configuration whose scorer asks this server about everything."""
    return config(
        upstreams__asked={"kind": "openai", "base_url": server.url, **ALONE},
        routes__waterfall__scorer=llm(),
    )


# ------------------------------------------------------------------ the breaker


async def test_the_breaker_opens_and_half_opens(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(Guard.__init__, "__defaults__", (None, lambda: now[0]))
    bad, good = [whole(b"{}", 500), "close"], [said("100")]
    async with asking(tmp_path, *[bad] * 6, good) as (it, server):

        async def labels(count):
            replies = [await it.chat() for _ in range(count)]
            return {reply.told("scorer").partition("@")[0] for reply in replies}

        assert await labels(8) == {"rules"}
        assert len(server.requests) == 5, "open after the fifth"
        assert await metric(it, "scorer_fallbacks_total", route="waterfall", reason="open") == 3
        now[0] = 10.0
        assert await labels(3) == {"rules"}
        assert len(server.requests) == 6, "one probe, which failed"
        now[0] = 20.0
        assert await labels(3) == {"llm-rules"}
        assert len(server.requests) == 9, "closed"


async def test_what_a_client_can_bring_about_does_not_open_it(tmp_path):
    """An answer led astray, a prompt refused, a deadline of its own."""
    async with asking(tmp_path, said("banana")) as (it, server):
        for _ in range(8):
            assert (await it.chat()).told("scorer") == RULES
    assert len(server.requests) == 8
    async with asking(tmp_path, whole(b'{"error": {"message": "no"}}', 400)) as (it, server):
        for _ in range(8):
            assert (await it.chat()).told("scorer") == RULES
    assert len(server.requests) == 8
    async with asking(tmp_path, "hang") as (it, server):
        for _ in range(8):
            await it.post(ask_for(), x_waterfall_deadline="100ms")
        assert len(server.requests) > 5, "but where the machine stood still before it was asked"


# ------------------------------------------------------------------ those who leave


async def test_a_client_that_leaves_closes_the_question(tmp_path):
    async with Scripted("hang") as server, listening(tmp_path, document(server)) as served:
        async with Wire(served.base_url) as wire:
            await wire.send(posted(orjson.dumps(ask_for())))
            async with asyncio.timeout(LIMIT):
                await server.asked.wait()
        async with asyncio.timeout(LIMIT):
            await server.left.wait()
        store, path = served.gateway.store, served.gateway.settings.ledger.path
        await until(lambda: store.flush(LIMIT) and read.requests(path))
        (entry,) = read.requests(path)
        (call,) = read.request(path, entry["request_id"])["calls"]
        assert store.state().open_calls == 0, "no mark is left"
    assert (entry["outcome"], entry["status"], entry["tier"]) == ("cancelled", 499, "none")
    assert (call["purpose"], call["status"], call["estimated"]) == ("score", "cancelled", 1)
    assert entry["cost"] == call["cost"] > 0


async def test_a_killed_gateway_s_question_is_found(tmp_path):
    async with Scripted("hang") as server, Process(tmp_path, document(server)) as served:
        await served.ready()
        async with Wire(served.url) as wire:
            await wire.send(posted(orjson.dumps(ask_for())))
            async with asyncio.timeout(LIMIT):
                await server.asked.wait()
            served.child.kill()
            await served.ended()
    store = open_store(tmp_path / "waterfall.db")
    store.close()
    with closing(sqlite3.connect(tmp_path / "waterfall.db")) as ledger:
        calls = ledger.execute("SELECT purpose, status, tier, cost > 0 FROM call").fetchall()
        requests = ledger.execute("SELECT outcome, start_tier, cost > 0 FROM request").fetchall()
    assert calls == [("score", "unsettled", "scorer", 1)]
    assert requests == [("unsettled", "none", 1)]


async def test_a_reload_leaves_a_question_under_way(tmp_path):
    async with asking(tmp_path, 0.3, said("100")) as (it, server):
        asking_now = asyncio.create_task(it.chat())
        await until(server.asked.is_set)
        it.write(config())
        assert await it.gateway.reload()
        assert (await asking_now).told("start") == "large; score"
        assert (await it.chat()).told("scorer") == "rules@1"
