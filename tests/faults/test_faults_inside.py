"""The fault matrix, rows of the store, the configuration, the process and overload."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import time
from datetime import UTC, datetime

import pytest
import yaml
from api.serving import config
from app.serving import Process, Wire, posted, until
from faults.rig import LARGE, SMALL, rigged

from gateway.app import read_settings
from gateway.config import ConfigError


async def test_f38_the_database_is_locked(tmp_path):
    """serving goes on, rows wait, and are written once afterwards"""
    async with rigged(tmp_path) as rig:
        await rig.ask()
        assert len(rig.rows("request")) == 1
        path = rig.gateway.settings.ledger.path
        lock = sqlite3.connect(path, isolation_level=None)
        lock.execute("BEGIN EXCLUSIVE")
        try:
            replies = [await rig.ask() for _ in range(20)]
        finally:
            lock.execute("ROLLBACK")
            lock.close()
        assert {each.status for each in replies} == {200}
        assert len(rig.rows("request")) == 21


@pytest.mark.parametrize("text", ["", "tiers: [", "tiers: 5", "routes: {waterfall: {tiers: [no]}}"])
async def test_f44_a_bad_configuration(tmp_path, text):
    """refused at the start with file and line; at a reload the last good one stays"""
    async with rigged(tmp_path) as rig:
        path = tmp_path / "waterfall.yaml"
        good = path.read_text()
        path.write_text(text)
        with pytest.raises(ConfigError, match=r"waterfall\.yaml"):
            read_settings(path, {})
        assert not await rig.gateway.reload()
        assert (await rig.ask()).status == 200
        assert await rig.metric("config_reloads_total", result="failed") >= 1
        path.write_text(good)


SPOILT = {
    "unknown key": ("tierz: {}\n", "tierz"),
    "missing secret": ('server: {admin_key: "${NOT_SET_ANYWHERE}"}\n', "NOT_SET_ANYWHERE"),
    "the same tier twice": ("", "named twice"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_f45_what_cannot_be_meant(tmp_path, case):
    """refused at the start, naming the key, and no secret"""
    more, told = SPOILT[case]
    document = config(upstreams__sim__seed=1)
    if case == "the same tier twice":
        document["routes"]["waterfall"]["tiers"] = ["small", "small"]
    document["keys"] = [{"name": "app", "hash": "sk-canary-in-the-wrong-place"}]
    if "server" in more:
        document.pop("server")
    path = tmp_path / "waterfall.yaml"
    path.write_text(yaml.safe_dump(document) + more)
    with pytest.raises(ConfigError) as refused:
        read_settings(path, {})
    assert told in str(refused.value)
    assert "sk-canary" not in str(refused.value)


SLOW = {"kind": "simulated", "first_token": 0, "per_token": "50ms", "tokens": [60, 60]}


def slow(drain):
    server = {"port": 0, "admin": "127.0.0.1:0", "drain": drain}
    return config(upstreams__sim=SLOW, server=server)


async def test_f46_sigterm_mid_stream(tmp_path):
    """not ready at once; at the drain's end an error event; ledger flushed; exit code 0"""
    body = b'{"model":"large","stream":true,"messages":[{"role":"user","content":"go"}]}'
    async with Process(tmp_path, slow("1s")) as it:
        await it.ready()
        async with Wire(it.url) as wire, Wire(it.url) as halting:
            await halting.send(posted(b"{}", content_length=5000))
            await wire.send(posted(body))
            await wire.until(b"data: ")
            it.signal()
            told, answer = await wire.rest(), await halting.rest()
        assert await it.ended() == 0, it.stderr
        assert "Traceback" not in it.stderr + it.stdout
    assert b"event: error" in told
    assert b"[DONE]" not in told
    assert answer.startswith(b"HTTP/1.1 503 "), "whose body had not come"
    with sqlite3.connect(tmp_path / "waterfall.db") as ledger:
        assert ledger.execute("SELECT status FROM request").fetchall() == [(499,)]


async def test_f47_a_second_signal(tmp_path):
    """ends at once; the call that was under way is in the ledger after the next start"""
    body = b'{"model":"large","stream":true,"messages":[{"role":"user","content":"go"}]}'
    async with Process(tmp_path, slow("30s")) as it:
        await it.ready()
        async with Wire(it.url) as wire:
            await wire.send(posted(body))
            await wire.until(b"data: ")
            it.signal()
            await asyncio.sleep(0.5)
            it.signal()
            began = time.perf_counter()
            assert await it.ended() == -signal.SIGTERM
            assert time.perf_counter() - began < 5
    async with Process(tmp_path, slow("1s")) as it:
        await it.ready()
        it.signal()
        assert await it.ended() == 0
    with sqlite3.connect(tmp_path / "waterfall.db") as ledger:
        assert len(ledger.execute("SELECT * FROM call").fetchall()) == 1


async def test_f51_a_flood(tmp_path):
    """503 at once for what is too much, who is inside is served, health answers, and it is over
    when it is over"""
    async with rigged(tmp_path, server={"max_in_flight": 5}, around={"timeouts": {}}) as rig:
        slowly = {SMALL: "slow_first,seconds=0.2", LARGE: "ok"}
        replies = await asyncio.gather(*(rig.ask(slowly) for _ in range(50)))
        served = [each for each in replies if each.status == 200]
        shed = [each for each in replies if each.status == 503]
        assert (len(served) >= 5, len(served) + len(shed)) == (True, 50)
        assert all(each.headers["retry-after"] == "1" for each in shed)
        assert await rig.metric("requests_shed_total", reason="requests") == len(shed)


async def test_f52_the_clock_jumps(tmp_path, monkeypatch):
    """deadlines are on the monotonic clock: no request notices"""
    async with rigged(tmp_path) as rig:
        task = asyncio.create_task(rig.ask("slow_first,seconds=0.2"))
        await until(rig.near.lines)

        def later():
            return datetime.now(tz=UTC).timestamp() + 3600

        monkeypatch.setattr("time.time", later)
        monkeypatch.setattr("time.time_ns", lambda: int(later() * 1e9))
        assert (await task).told("tier") == "small"
        assert (await rig.ask()).status == 200
