"""What our listener offers beside `send`: a part of a body that is written in the call."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import httpx
import pytest
from app.serving import LIMIT, Wire

from gateway.api.sending import WRITE, unwritten, writer
from gateway.launcher import servers

GET = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
PART = b"0123456789abcdef" * 4096


class App:
    """Begins an answer, has `body` given it, and ends it; `heard` is what came after."""

    def __init__(self, body):
        self.body, self.heard = body, asyncio.get_running_loop().create_future()

    async def __call__(self, scope, receive, send):
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        told = await self.body(writer(scope), send, receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        self.heard.set_result(told)


@contextlib.asynccontextmanager
async def served(body):
    app, door = App(body), socket.create_server(("127.0.0.1", 0))
    async with servers.serving([(app, door)], 1):
        yield app, f"http://127.0.0.1:{door.getsockname()[1]}"


async def test_what_is_written_stands_between_what_is_sent():
    async def body(write, send, _):
        assert write(b"one, ")
        await send({"type": "http.response.body", "body": b"two, ", "more_body": True})
        assert write(b"three")

    async with served(body) as (_, url), httpx.AsyncClient() as client:
        answers = [await client.get(url) for _ in range(2)]  # of one connection
    assert [each.text for each in answers] == ["one, two, three"] * 2


async def test_nothing_is_written_to_who_does_not_read_and_sending_waits_for_them():
    async def body(write, send, _):
        count = 1
        while write(PART):
            count += 1
        message = {"type": "http.response.body", "body": PART, "more_body": True}
        waiting = asyncio.create_task(send(message))
        await asyncio.sleep(0.02)
        assert not waiting.done()
        assert not write(b"not this")
        reading.set()
        await waiting
        return count

    reading = asyncio.Event()
    async with served(body) as (app, url), Wire(url) as wire:
        await wire.send(GET)
        async with asyncio.timeout(LIMIT):
            await reading.wait()
        whole = await wire.rest()
        count = await app.heard
    assert whole.count(b"%x\r\n%b\r\n" % (len(PART), PART)) == count
    assert b"not this" not in whole


async def test_who_has_left_is_written_to_without_a_word():
    async def body(write, _, receive):
        left.set()
        assert (await receive())["type"] == "http.disconnect"
        return write(b"x"), write(b"y")

    left = asyncio.Event()
    async with served(body) as (app, url):
        async with Wire(url) as wire:
            await wire.send(GET)
            await left.wait()
        async with asyncio.timeout(LIMIT):
            assert await app.heard == (True, True)


@pytest.mark.parametrize(
    "scope", [{}, {"extensions": {}}, unwritten({"extensions": {WRITE: print}})]
)
def test_a_server_may_offer_nothing(scope):
    assert writer(scope) is None
