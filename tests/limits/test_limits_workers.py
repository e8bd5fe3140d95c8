"""Two workers of one gateway, without Redis: they meet in the file beside the ledger."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from api.serving import CHAT, ask_for, config
from app.collecting import collecting
from app.serving import Process, until

from gateway.cli import main

pytestmark = pytest.mark.live
WITHIN = 2.0
BUDGET = "{budget_usd: {day: 2e-3}}"
WHOLE = {"max_tokens": 60}
"""Enough for a whole reply: what is cut off is not kept."""


async def answers(url, key, times, **fields):
    """Ask on so many connections of their own, so that every worker hears of it."""

    async def one():
        async with httpx.AsyncClient(timeout=20, trust_env=False) as client:
            headers = {"authorization": f"Bearer {key}"}
            body = ask_for(**{"max_tokens": 12, **fields})
            return await client.post(url + CHAT, json=body, headers=headers)

    return await asyncio.gather(*(one() for _ in range(times)))


async def statuses(url, key, times):
    return [each.status_code for each in await answers(url, key, times)]


def codes(found):
    return {each.json()["error"]["code"] for each in found}


def command(served, capsys, *words):
    where, *rest = words
    assert main(["keys", where, "--config", str(served.path), *rest]) == 0
    return capsys.readouterr().out.strip()


async def test_two_workers_know_the_same_keys_and_share_a_budget(tmp_path, capsys):
    document = config(
        key_store={"enabled": True}, server__workers=2, routes__waterfall__fall_down=False
    )
    async with Process(tmp_path, document) as served:
        await served.ready()
        poor = command(served, capsys, "create", "poor", "--limits", "{budget_usd: {day: 0.00004}}")
        key = command(served, capsys, "create", "app")
        made = await by_the_admin_listener(served)
        await asyncio.sleep(WITHIN)
        assert set(await statuses(served.url, made, 6)) == {200}
        found = await statuses(served.url, poor, 60)
        assert sorted(found) == [200, *[429] * 59], "one request's worth, by two workers"
        assert set(await statuses(served.url, key, 12)) == {200}
        command(served, capsys, "revoke", "app")
        await asyncio.sleep(WITHIN)
        assert set(await statuses(served.url, key, 12)) == {401}
        secrets = [key[10:], poor[10:]]
        for path in [*tmp_path.rglob("*"), *process_lists()]:
            with contextlib.suppress(OSError):  # a process that has ended meanwhile
                told = path.read_bytes() if path.is_file() else b""
                assert not [each for each in secrets if each.encode() in told], path


async def by_the_admin_listener(served):
    async with httpx.AsyncClient(timeout=20, trust_env=False) as client:
        headers = {"authorization": f"Bearer {served.token}"}
        answer = await client.post(
            f"{served.admin_url}/admin/keys", json={"name": "made"}, headers=headers
        )
        assert answer.status_code == 201
        return answer.json()["key"]


def process_lists():
    """What `ps` shows of every process."""
    return [each / "cmdline" for each in Path("/proc").glob("[0-9]*")]


async def test_who_is_good_no_more_is_refused_though_its_replies_are_kept(tmp_path, capsys):
    with collecting() as (collector, endpoint):
        document = config(
            key_store={"enabled": True},
            server__workers=2,
            server__log="json",
            routes__waterfall__cache={},
            routes__waterfall__fall_down=False,
            telemetry={"otlp": {"endpoint": endpoint, "sample": 1}},
        )
        async with Process(tmp_path, document) as served:
            await served.ready()
            poor = command(served, capsys, "create", "poor", "--limits", BUDGET)
            gone = command(served, capsys, "create", "gone")
            brief = command(served, capsys, "create", "brief", "--expires", "1h")
            await asyncio.sleep(WITHIN)
            for key in (poor, gone, brief):
                assert await kept_for(served, key)
            told = [await spent(served, poor)]
            command(served, capsys, "revoke", "gone")
            its_time_is_over(tmp_path / "waterfall.db", "brief")
            await asyncio.sleep(WITHIN)
            told += await answers(served.url, gone, 8, **WHOLE)
            assert codes(told[1:9]) == {"key_revoked"}
            late = await answers(served.url, brief, 8, **WHOLE)
            assert codes(late) == {"key_expired"}
            told.append(await spent(served, poor))  # blocks that had been held have come back
            again = await answers(served.url, poor, 8, **WHOLE)
            assert codes(again) == {"insufficient_quota"}
            wrong = await answers(served.url, poor[:-1], 4)
            assert {each.status_code for each in wrong} == {401}
            await until(lambda: len(collector.spans) > 10)
            texts = [each.content for each in (*told, *late, *again, *wrong)]
        texts += [each.SerializeToString() for each in collector.traces]
    texts += [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    secrets = [key[10:-1].encode() for key in (poor, gone, brief)]
    assert not [text for text in texts if any(each in text for each in secrets)]


def its_time_is_over(ledger, name):
    with closing(sqlite3.connect(ledger, timeout=30)) as connection, connection:
        connection.execute("UPDATE client_key SET expires_at = 1 WHERE name = ?", (name,))


async def kept_for(served, key):
    """Has its reply been kept, and said again?"""
    found = [each for _ in range(5) for each in await answers(served.url, key, 1, **WHOLE)]
    assert {each.status_code for each in found} == {200}
    return found[-1].headers["x-waterfall-cache"] == "hit"


async def spent(served, key):
    """Ask for other things until both workers refuse; return the last answer."""
    refused = 0
    for number in range(400):
        say = [{"role": "user", "content": f"Say {number}."}]
        (answer,) = await answers(served.url, key, 1, messages=say, **WHOLE)
        refused = refused + 1 if answer.status_code == 429 else 0
        if refused == 8:
            return answer
    raise AssertionError("its budget is never spent")
