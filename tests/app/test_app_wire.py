"""Over real sockets: clients that leave, pipelined and smuggled requests, and sockets' options."""

from __future__ import annotations

import asyncio
import hashlib
import socket

import httpx
import orjson
import pytest
from api.serving import LIMIT, ask_for, config
from app.serving import Wire, listening, posted, until

from gateway import launcher
from gateway.launcher import process
from gateway.store import read
from gateway.upstreams.simulated import serve_simulated

CHAT = "/v1/chat/completions"


def asked(**fields):
    return orjson.dumps(ask_for(**fields))


async def entries(served, count):
    """The ledger's entries, once there are so many."""
    store = served.gateway.store
    async with asyncio.timeout(LIMIT):
        while True:
            assert await asyncio.to_thread(store.flush, LIMIT)
            found = read.requests(store.path)
            if len(found) >= count:
                return found
            await asyncio.sleep(0.01)


async def ended(server, count):
    await until(lambda: sum(line["outcome"] != "open" for line in server.lines()) >= count)
    return server.lines()


def real(server):
    return config(upstreams__sim={"base_url": f"{server.url}/v1", "warm": 0})


async def test_every_socket_sends_at_once(tmp_path, monkeypatch):
    made = []
    listen = launcher.listen
    monkeypatch.setattr(process, "listen", lambda *at: made.append(listen(*at)) or made[-1])
    async with listening(tmp_path) as served:
        flags = [sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for sock in made]
        assert len(flags) == 2
        assert all(flags)
        assert {sock.proto for sock in made} == {socket.IPPROTO_TCP}
        assert served.base_url.startswith("http://127.0.0.1:")


@pytest.mark.parametrize(
    ("stream", "fault"),
    [(False, "hang"), (True, "hang"), (True, "stall,after=3"), (True, "slow_first,seconds=30")],
)
async def test_a_client_that_leaves_closes_the_upstream_and_is_recorded(tmp_path, stream, fault):
    async with serve_simulated() as server, listening(tmp_path, real(server)) as served:
        async with Wire(served.base_url) as wire:
            await wire.send(posted(asked(model="small", stream=stream, simulate=fault)))
            if fault.startswith("stall"):
                await wire.until(b"data: ")
            else:
                await until(server.lines)
        line = (await ended(server, 1))[0]
        entry = (await entries(served, 1))[0]
        async with Wire(served.base_url) as wire:
            await wire.send(posted(asked()))
            assert b"200 OK" in await wire.until(b"\r\n\r\n"), "the next request works"
        metrics = served.gateway.metrics.render().decode()
    assert line["outcome"] == "closed_by_peer"
    assert (entry["status"], entry["outcome"]) == (499, "cancelled")
    assert entry["prompt_tokens"] > 0
    assert entry["estimated"]
    assert 'outcome="cancelled"' in metrics


async def test_many_leave_and_nothing_is_left_open(tmp_path):
    async with serve_simulated() as server, listening(tmp_path, real(server)) as served:

        async def leave(number):
            async with Wire(served.base_url) as wire:
                fault = ("hang", "stall,after=2", "slow_first,seconds=9")[number % 3]
                await wire.send(posted(asked(stream=bool(number % 2), simulate=fault)))
                await asyncio.sleep(number % 7 / 100)

        await asyncio.gather(*map(leave, range(60)))
        await until(lambda: not served.gateway.switch.service.in_flight.count)
        found = await entries(served, 1)
        lines = await ended(server, len(server.lines()))
        await until(lambda: server.open_connections == 0)
        state = served.gateway.store.state()
        async with Wire(served.base_url) as wire:
            await wire.send(posted(asked()))
            assert b"200 OK" in await wire.until(b"\r\n\r\n")
            await until(lambda: not served.gateway.switch.service.in_flight.count)
        metrics = served.gateway.metrics.render().decode()
    assert {entry["status"] for entry in found} == {499}
    assert {line["outcome"] for line in lines} == {"closed_by_peer"}
    assert state.open_calls == 0
    assert 'waterfall_in_flight_requests{route="waterfall"} 0.0' in metrics


async def test_pipelined_requests_are_answered_in_order(tmp_path):
    async with listening(tmp_path) as served, Wire(served.base_url) as wire:
        requests = [posted(asked(), x_request_id=f"r{n}") for n in range(20)]
        await wire.send(b"".join(requests))
        for number in range(20):
            head = await wire.until(b"\r\n\r\n")
            assert f"x-request-id: r{number}\r\n".encode() in head
            size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            async with asyncio.timeout(LIMIT):
                await wire.reader.readexactly(size)


async def test_a_connection_serves_on_after_an_error(tmp_path):
    async with listening(tmp_path) as served, Wire(served.base_url) as wire:
        for body, status in ((b"{", 400), (asked(model="nope"), 404), (asked(), 200)):
            await wire.send(posted(body))
            head = await wire.until(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 %d " % status)
            assert b"\r\nserver:" not in head.lower()
            size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await wire.reader.readexactly(size)


SECOND = b"GET /v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n"
START = (
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
)
SMUGGLED = {
    "both lengths": START + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": START + b"content-length: 0\r\ncontent-length: 45\r\n\r\n",
    "odd coding": START + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "signed length": START + b"content-length: +0\r\n\r\n",
    "hex length": START + b"content-length: 0x0\r\n\r\n",
    "bad chunk": START + b"transfer-encoding: chunked\r\n\r\nzz\r\n\r\n0\r\n\r\n",
    "chunk without end": START + b"transfer-encoding: chunked\r\n\r\n1\r\naX0\r\n\r\n",
    "space before colon": START + b"content-length : 0\r\n\r\n",
    "folded": START + b"x: a\r\n b\r\ncontent-length: 0\r\n\r\n",
    "nul": START + b"x: a\x00b\r\ncontent-length: 0\r\n\r\n",
    "bare lf": START + b"x: a\ncontent-length: 0\r\n\r\n",
    "old": b"GET /v1/models\r\n\r\n",
    "no http": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


@pytest.mark.parametrize("what", SMUGGLED)
async def test_nothing_is_smuggled_behind_a_doubtful_request(tmp_path, what):
    async with listening(tmp_path) as served, Wire(served.base_url) as wire:
        await wire.send(SMUGGLED[what] + SECOND)
        wire.writer.write_eof()
        reply = await wire.rest()
    assert b'"object":"list"' not in reply, "the second request was served"
    assert reply.count(b"HTTP/1.1 ") <= 1
    assert b"HTTP/1.1 200" not in reply
    assert b"HTTP/1.1 500" not in reply


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET http://evil.example/v1/models HTTP/1.1",
        b"GET //evil.example/v1/models HTTP/1.1",
        b"CONNECT evil.example:443 HTTP/1.1",
        b"TRACE /v1/models HTTP/1.1",
        b"GET /v1/../admin HTTP/1.1",
        b"GET * HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
    ],
)
async def test_a_strange_target_is_a_4xx(tmp_path, request_line):
    async with listening(tmp_path) as served, Wire(served.base_url) as wire:
        await wire.send(request_line + b"\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        wire.writer.write_eof()
        reply = await wire.rest()
        await entries(served, 0)
    if reply.startswith(b"HTTP/1.1 200"):
        # RFC 9112: a server takes the absolute form; it serves its own list, whatever the name.
        assert request_line.startswith(b"GET http://")
        assert b'"id":"waterfall"' in reply
    else:
        assert reply[:10] == b"HTTP/1.1 4", reply[:80]


@pytest.mark.parametrize(
    "headers", [{"connection": "upgrade", "upgrade": "h2c"}, {"connection": "upgrade",
    "upgrade": "websocket", "sec_websocket_key": "x", "sec_websocket_version": "13"}]
)  # fmt: skip
async def test_an_upgrade_is_not_made(tmp_path, headers):
    async with listening(tmp_path) as served, Wire(served.base_url) as wire:
        await wire.send(posted(asked(), **headers))
        head = await wire.until(b"\r\n\r\n")
    assert b"101" not in head.split(b"\r\n")[0]


async def test_giant_heads_are_refused_and_the_gateway_lives(tmp_path):
    async with listening(tmp_path) as served:
        for head in (
            b"GET /" + b"x" * 300_000 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n",
            b"GET / HTTP/1.1\r\nhost: localhost\r\nx: " + b"x" * 300_000 + b"\r\n\r\n",
            b"GET / HTTP/1.1\r\nhost: localhost\r\n" + b"x: y\r\n" * 10_000 + b"\r\n",
        ):
            async with Wire(served.base_url) as wire:
                await wire.send(head)
                wire.writer.write_eof()
                reply = await wire.rest()
                assert reply[:10] in {b"", b"HTTP/1.1 4"}
        async with Wire(served.base_url) as wire:
            await wire.send(posted(asked()))
            assert b"200 OK" in await wire.until(b"\r\n\r\n")


async def test_a_large_body_with_a_bad_key_is_refused_before_it_is_sent(tmp_path):
    key = {"name": "k", "hash": "sha256:" + hashlib.sha256(b"good").hexdigest()}
    async with listening(tmp_path, config(keys=[key])) as served, Wire(served.base_url) as wire:
        start = posted(b"", content_length=50_000_000, authorization="Bearer bad")
        await wire.send(start)
        assert b"HTTP/1.1 401" in await wire.until(b"\r\n\r\n")


async def test_open_to_others_with_keys_and_the_admin_on_loopback(tmp_path):
    key = {"name": "k", "hash": "sha256:" + hashlib.sha256(b"good").hexdigest()}
    async with listening(tmp_path, keys=[key], server__host="0.0.0.0") as served:
        told = "\n".join(launcher.describe(served))
        assert served.gateway.admin_secret in told
        assert "only this machine" not in told
        port = served.base_url.rpartition(":")[2].split("/")[0]
        async with Wire(f"http://127.0.0.1:{port}") as wire:
            await wire.send(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert b"404" in await wire.until(b"\r\n")


async def test_a_stream_that_is_kept_for_its_key_is_said_again_to_the_letter(tmp_path):
    """All of it: also what leaves in the call that reads it from the upstream."""
    async with (
        serve_simulated() as server,
        listening(tmp_path, real(server)) as served,
        httpx.AsyncClient(headers={"idempotency-key": "once"}, timeout=LIMIT) as client,
    ):
        body = ask_for(model="small", stream=True)
        first, again = [
            await client.post(f"{served.base_url}/chat/completions", json=body) for _ in range(2)
        ]
        assert len(server.lines()) == 1
    assert again.headers["x-waterfall-replayed"] == "true"
    assert first.text == again.text
    assert first.text.count("data: ") > 3
