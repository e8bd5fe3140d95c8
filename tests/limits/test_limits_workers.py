"""Two workers of one gateway, without Redis: they meet in the file beside the ledger."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import httpx
import pytest
from api.serving import CHAT, ask_for, config
from app.serving import Process

from gateway.cli import main

pytestmark = pytest.mark.live
WITHIN = 2.0


async def statuses(url, key, times):
    """Ask on so many connections of their own, so that every worker hears of it."""

    async def one():
        async with httpx.AsyncClient(timeout=20, trust_env=False) as client:
            headers = {"authorization": f"Bearer {key}"}
            body = ask_for(max_tokens=12)
            return (await client.post(url + CHAT, json=body, headers=headers)).status_code

    return await asyncio.gather(*(one() for _ in range(times)))


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
