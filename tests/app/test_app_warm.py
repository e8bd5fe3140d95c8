"""Connections that stand before the first request: opened in the background, and quietly."""

from __future__ import annotations

import asyncio
import logging

import pytest
from api.serving import config
from app.serving import listening, until

TIERS = {name: {"upstream": "far", "model": name, "price": "free"} for name in ("small", "large")}


@pytest.fixture
async def far():
    """A listener that counts who has connected, and never says anything."""
    peers = []

    async def connected(reader, writer):
        peers.append(writer)
        await reader.read()
        writer.close()

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        yield peers, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        for each in peers:
            each.close()


def upstream(url, **keys):
    return config(upstreams={"far": {"base_url": url, **keys}}, tiers=TIERS)


@pytest.mark.parametrize(("keys", "expected"), [({}, 2), ({"warm": 5}, 5), ({"warm": 0}, 0)])
async def test_when_serving_begins_and_after_each_reload(tmp_path, far, keys, expected):
    peers, url = far
    async with listening(tmp_path, upstream(url, **keys)) as served:
        await until(lambda: len(peers) >= expected)
        assert await served.gateway.reload()
        await until(lambda: len(peers) >= 2 * expected)
        await asyncio.sleep(0.05)
        assert len(peers) == 2 * expected


async def test_an_upstream_that_is_not_there_is_a_line_for_debugging(tmp_path, caplog):
    caplog.set_level(logging.DEBUG, "waterfall")
    async with listening(tmp_path, upstream("http://127.0.0.1:9/v1")):
        await until(lambda: "upstream far is not warmed" in caplog.text)
    (record,) = (each for each in caplog.records if "warmed" in each.getMessage())
    assert record.levelno == logging.DEBUG


async def test_one_that_answers_nobody_delays_neither_serving_nor_the_end(tmp_path, monkeypatch):
    async def hang(*_, **__):
        begun.set()
        await asyncio.sleep(60)

    begun = asyncio.Event()
    monkeypatch.setattr("gateway.upstreams.http1.pool.Dialler.connect", hang)
    async with asyncio.timeout(10):
        async with listening(tmp_path, upstream("http://127.0.0.1:9/v1")):
            await begun.wait()
