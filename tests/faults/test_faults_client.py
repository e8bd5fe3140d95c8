"""The fault matrix, rows of the client and of the network."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack

import pytest
from app.serving import Wire, posted, until
from faults.rig import SMALL, rigged
from upstreams.scripted import Scripted, free_port


async def leave(rig, fault, *, stream, tokens=0):
    """Ask, and hang up when the upstream has said so much."""
    task = asyncio.create_task(rig.ask(fault, stream=stream, model="small"))
    await until(lambda: any(line["tokens"] >= tokens for line in rig.near.lines()))
    await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.wait([task])
    await rig.quiet()


@pytest.mark.parametrize("stream", [False, True])
async def test_f28_leaves_before_the_first_byte(tmp_path, stream):
    """the upstream's call is cancelled within a second; 499 in ledger and log"""
    async with rigged(tmp_path, around={"timeouts": {}}) as rig:
        await leave(rig, "hang", stream=stream)
        (request,) = rig.rows("request")
        assert request["status"] == 499
        (line,) = rig.near.lines()
        assert (line["outcome"], line["closed_after_ms"] < 1000) == ("closed_by_peer", True)


async def test_f29_leaves_mid_stream(tmp_path):
    """cancelled within a second; the tokens so far are billed and kept"""
    async with rigged(tmp_path, around={"timeouts": {}}) as rig:
        await leave(rig, {SMALL: "stall,after=3"}, stream=True, tokens=3)
        (call,) = rig.rows("call")
        assert (call["status"], call["completion_tokens"] > 0) == ("cancelled", True)
        (line,) = rig.near.lines()
        assert line["closed_after_ms"] < 1000


async def test_f31_slow_head_or_body(tmp_path):
    """408 and cut in time; until then no place is taken, and others are served"""
    server = {"read_timeout": "400ms", "max_in_flight": 5}
    async with rigged(tmp_path, server=server) as rig, AsyncExitStack() as inside:
        wires = [await inside.enter_async_context(Wire(rig.served.base_url)) for _ in range(24)]
        for wire in wires:
            whole = posted(b"{}", content_length=5000)[:-1]
            await wire.send(whole[:20] if wire is wires[0] else whole)
        await asyncio.sleep(0.1)
        reply = await rig.ask()
        assert (reply.status, reply.seconds < 1.0) == (200, True)
        for wire in wires:
            told = await wire.rest()
            assert told.startswith(b"HTTP/1.1 408 ")
            assert b'"code":"request_timeout"' in told
        assert await rig.metric("requests_shed_total", reason="slow") == 24
        await rig.quiet()
        assert rig.gateway.switch.room.bytes == 0


async def test_f33_pipelined(tmp_path):
    """served in order, or closed; never one's answer to another"""
    async with rigged(tmp_path) as rig, Wire(rig.served.base_url) as wire:
        bodies = [
            b'{"model":"nobody-%d","messages":[{"role":"user","content":"a"}]}' % n
            for n in range(20)
        ]
        await wire.send(b"".join(map(posted, bodies[:-1])) + posted(bodies[-1], connection="close"))
        told = (await wire.rest()).decode()
        names = [part.partition("'")[0] for part in told.split("No model '")[1:]]
        assert names == [f"nobody-{n}" for n in range(20)]


async def test_f34_no_such_name(tmp_path, monkeypatch):
    """within the time to connect: the next tier"""
    gone = {"base_url": f"http://nobody.invalid:{free_port()}/v1", "timeouts": {"connect": "300ms"}}
    real = socket.getaddrinfo

    def resolve(host, *args, **kwargs):
        if host == "nobody.invalid":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    async with rigged(tmp_path, upstreams={"gone": gone}, at="gone") as rig:
        reply = await rig.ask()
        assert (reply.status, reply.told("tier"), reply.seconds < 4) == (200, "large", True)


async def test_f35_tls_that_is_none(tmp_path):
    """never asked without: the next tier, and 502 where there is none"""
    async with Scripted(b"not TLS at all", "close", eager=True) as server:
        bad = {"base_url": f"https://127.0.0.1:{server.port}/v1"}
        async with rigged(tmp_path, upstreams={"bad": bad}, at="bad") as rig:
            assert (await rig.ask()).told("tier") == "large"
            assert (await rig.ask(model="small")).status == 502
