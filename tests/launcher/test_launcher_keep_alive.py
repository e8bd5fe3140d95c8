"""How long a client's connection may rest."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from gateway.launcher import servers


async def app(_scope, _receive, send):
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize("rest", [0.8, 1.6])
async def test_a_connection_rests_for_so_long_and_no_longer(monkeypatch, rest):
    assert servers.KEEP_ALIVE > 60, "balancers close what has been idle for a minute"
    monkeypatch.setattr(servers, "KEEP_ALIVE", rest)
    door = socket.create_server(("127.0.0.1", 0))
    async with servers.serving([(app, door)], 1):
        reader, writer = await asyncio.open_connection(*door.getsockname())
        writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        assert b"204" in await reader.readuntil(b"\r\n\r\n")
        answered = time.monotonic()
        assert await reader.read() == b""
        assert time.monotonic() - answered >= 0.9 * rest
        writer.close()
