"""The process: how it starts, drains and ends, and what of a secret it ever says."""

from __future__ import annotations

import asyncio
import hashlib
import signal
import socket

import httpx
import orjson
import pytest
from api.serving import CHAT, LIMIT, REFUSES, SMALL, ask_for, config
from app.serving import Process, Wire, posted

from gateway.store import read

CEILING = 30.0  # seconds: for a machine that is busy; what was measured is printed
SLOWLY = {"kind": "simulated", "first_token": 0, "per_token": "40ms", "tokens": [25, 30]}
FOREVER = {"kind": "simulated", "first_token": 0, "per_token": "50ms", "tokens": [900, 999]}


async def test_it_starts_serves_and_stops(tmp_path):
    async with Process(tmp_path, config()) as it:
        seconds = await it.ready()
        print(f"start to ready: {seconds:.2f} s")  # noqa: T201 (the figure is the point)
        assert seconds < CEILING
        async with httpx.AsyncClient(base_url=it.url, timeout=LIMIT) as client:
            assert (await client.get("/health/ready")).status_code == 200
            answers = [await client.post(CHAT, json=ask_for(**REFUSES)) for _ in range(3)]
        it.signal()
        assert await it.ended() == 0
    entries = read.requests(tmp_path / "waterfall.db")
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert [entry["request_id"] for entry in entries] == ids
    assert [orjson.loads(line)["request_id"] for line in it.stdout.splitlines()] == ids
    assert "only this machine is served" in it.stderr
    assert "Traceback" not in it.stderr


async def test_sigterm_lets_a_stream_end_and_takes_nothing_new(tmp_path):
    async with Process(tmp_path, config(upstreams__sim=SLOWLY)) as it:
        await it.ready()
        async with Wire(it.url) as busy:
            await busy.send(posted(orjson.dumps(ask_for("small", stream=True))))
            head = await busy.until(b"\r\n\r\n")
            it.signal()
            reply = await busy.rest()
        code = await it.ended()
        with pytest.raises(OSError, match="onnect"):
            await asyncio.open_connection("127.0.0.1", int(it.url.rpartition(":")[2]))
    assert head.startswith(b"HTTP/1.1 200")
    assert reply.count(b"data: [DONE]") == 1
    assert code == 0
    entry = read.requests(tmp_path / "waterfall.db")[0]
    assert (entry["outcome"], entry["status"]) == ("ok", 200)
    assert "Traceback" not in it.stderr


async def test_signals_during_a_start_that_waits(tmp_path):
    """SIGHUP is left to the start, SIGTERM ends it well: here while a database says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setblocking(False)
        url = f"postgresql://a@127.0.0.1:{silent.getsockname()[1]}/a"
        ledger = {"url": url, "spool": str(tmp_path / "spool")}
        async with Process(tmp_path, config(ledger=ledger)) as it, asyncio.timeout(3 * LIMIT):
            waits, _ = await asyncio.get_running_loop().sock_accept(silent)
            with waits:
                it.signal(signal.SIGHUP)
                await asyncio.sleep(0.1)
                assert it.child.returncode is None
                it.signal()
                assert await it.ended() == 0
        assert "Traceback" not in it.stderr


async def test_what_outlasts_the_drain_is_cut_recorded_and_the_exit_is_clean(tmp_path):
    document = config(upstreams__sim=FOREVER, server__drain="1s")
    async with Process(tmp_path, document) as it:
        await it.ready()
        async with Wire(it.url) as busy:
            await busy.send(posted(orjson.dumps(ask_for("small", stream=True))))
            await busy.until(b"data: ")
            it.signal()
            reply = await busy.rest()
        assert await it.ended() == 0
    assert b"[DONE]" not in reply
    entry = read.requests(tmp_path / "waterfall.db")[0]
    assert entry["outcome"] == "cancelled"
    assert entry["completion_tokens"] > 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_it_at_once(tmp_path, number):
    document = config(upstreams__sim=FOREVER, server__drain="600s")
    async with Process(tmp_path, document) as it:
        await it.ready()
        async with Wire(it.url) as busy:
            await busy.send(posted(orjson.dumps(ask_for("small", stream=True))))
            await busy.until(b"data: ")
            it.signal(number)
            await asyncio.sleep(0.2)
            it.signal(signal.SIGHUP)
            await asyncio.sleep(0.2)
            assert it.child.returncode is None, "it drains, and may be told to reload meanwhile"
            it.signal(number)
            assert await it.ended() == -number
            assert b"[DONE]" not in await busy.rest()
    assert "Traceback" not in it.stderr
    # What was under way is in the ledger, at the latest after the next start.
    async with Process(tmp_path, config()) as again:
        await again.ready()
        again.signal()
        assert await again.ended() == 0
    entries = read.requests(tmp_path / "waterfall.db")
    assert len(entries) == 1
    assert entries[0]["outcome"] in {"cancelled", "unsettled"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_an_idle_connection_does_not_hold_it(tmp_path, number):
    async with Process(tmp_path, config(server__drain="600s")) as it:
        await it.ready()
        async with Wire(it.url) as idle:
            await idle.send(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
            await idle.until(b"}")
            it.signal(number)
            assert await it.ended() == 0
            assert await idle.rest() == b""


async def test_neither_a_secret_nor_a_prompt_is_ever_said(tmp_path):
    secrets = {
        "upstream": "sk-canary-upstream-1111",
        "client": "sk-canary-client-2222",
        "wrong": "sk-canary-wrong-3333",
        "admin": "canary-admin-4444",
        "query": "canary-query-5555",
    }
    prompt, said = "canary-prompt-6666", "canary-answer-7777"
    (tmp_path / "key.json").write_text(orjson.dumps({prompt: said}).decode())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{probe.getsockname()[1]}/v1"
    document = config(
        upstreams__real={"base_url": nowhere, "api_key": "${UPSTREAM_KEY}"},
        upstreams__sim={"kind": "simulated", "answers": "key.json"},
        tiers__dead={"upstream": "real", "model": "d", "price": {"input": 1, "output": 1}},
        routes__waterfall__tiers=["dead", "small", "large"],
        keys=[
            {
                "name": "app",
                "hash": "sha256:" + hashlib.sha256(secrets["client"].encode()).hexdigest(),
            }
        ],
    )
    body = {"model": "waterfall", "messages": [{"role": "user", "content": prompt}]}
    seen = []
    async with Process(tmp_path, document, UPSTREAM_KEY=secrets["upstream"]) as it:
        await it.ready()
        async with httpx.AsyncClient(base_url=it.url, timeout=LIMIT) as client:
            mine = {"authorization": f"Bearer {secrets['client']}"}
            for headers, sent in (
                (mine, body),
                (mine, {**body, "stream": True}),
                (mine, {**body, "n": prompt}),
                (mine, {**body, "simulate": {SMALL: "500", "l-model": "500"}}),
                (mine, {**body, "model": "dead\r\n\x1b[31m"}),
                ({"authorization": f"Bearer {secrets['wrong']}"}, body),
            ):
                answer = await client.post(
                    f"{CHAT}?key={secrets['query']}", headers=headers, json=sent
                )
                if answer.status_code != 200:
                    seen.append(answer.text)
                    seen.append(str(answer.headers))
            await client.get(f"/nope?key={secrets['query']}")
            seen.append((await client.get("/metrics")).text)
            wrong = {"authorization": f"Bearer {secrets['admin']}"}
            await client.post(f"{it.admin_url}/admin/reload", headers=wrong)
        it.signal()
        assert await it.ended() == 0
    token = it.token
    everything = "\n".join([it.stdout, it.stderr.replace(token, "", 1), *seen])
    ledger = b"".join(
        path.read_bytes() for path in tmp_path.glob("waterfall.db*") if path.is_file()
    )
    for secret in [*secrets.values(), token]:
        assert secret not in everything
        assert secret.encode() not in ledger
    for words in (prompt, said):
        assert words not in everything
        assert words.encode() not in ledger
    assert "\x1b" not in everything
    assert "Traceback" not in everything
