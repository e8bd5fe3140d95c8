"""How large a request's head may be, and how long a request may take to arrive."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time

import pytest
from app.serving import Wire

from gateway.launcher import servers
from gateway.launcher.connection import Bounds

GET = b"GET / HTTP/1.1\r\nhost: a\r\n"
POST = b"POST / HTTP/1.1\r\nhost: a\r\n"
CHUNKED = POST + b"transfer-encoding: chunked\r\n\r\n"
QUICK = 0.15
BLOCK = b"a" * 1000


class App:
    """Answers with how many bytes of a body it got; `heard` has what ended each request."""

    def __init__(self):
        self.heard = []
        self.before = self.after = 0.0

    async def __call__(self, _scope, receive, send):
        await asyncio.sleep(self.before)
        size, message = 0, {"more_body": True}
        while message.get("more_body"):
            message = await receive()
            size += len(message.get("body", b""))
        self.heard.append(message["type"])
        await asyncio.sleep(self.after)
        body = b"%d" % size
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@contextlib.asynccontextmanager
async def served(**bounds):
    """An app, a wire to it, and the errors with which requests were turned away."""
    told = []

    def turned_away(error):
        told.append(error.status)
        return "an-id"

    given = {"head": 4096, "url": 1024, "headers": 32, "wait": 20, "turned_away": turned_away}
    app, door = App(), socket.create_server(("127.0.0.1", 0))
    async with (
        servers.serving([(app, door)], 1, Bounds(**given | bounds)),
        Wire(f"http://127.0.0.1:{door.getsockname()[1]}") as wire,
    ):
        yield app, wire, told


def error_of(reply):
    head, _, body = reply.partition(b"\r\n\r\n")
    assert b"connection: close" in head
    assert b"x-request-id: an-id" in head
    return int(head.split()[1]), json.loads(body)["error"]["code"]


async def pour(wire, begin, block, told):
    """Send without an end, until cut; return how many bytes went out."""
    await wire.send(begin)
    count = 0
    while block and not told and count < 1_000_000:
        await wire.send(block)
        count += len(block)
        await asyncio.sleep(0)
    return count


@pytest.mark.parametrize(
    ("begin", "block", "status", "code"),
    [
        (b"GET /", b"a" * 500, 414, "url_too_long"),
        (GET + b"x: ", b"a" * 500, 431, "headers_too_large"),
        (GET + b"x", b"x" * 500, 431, "headers_too_large"),
        (GET, b"x: a\r\n", 431, "headers_too_large"),
        (GET + b"x: " + b"a" * 9000 + b"\r\n\r\n", b"", 431, "headers_too_large"),
        (GET + b"x: a\r\n" * 40 + b"\r\n", b"", 431, "headers_too_large"),
        (b"GET /" + b"a" * 2000 + b" HTTP/1.1\r\nhost: a\r\n\r\n", b"", 414, "url_too_long"),
        (CHUNKED + b"1\r\na\r\n0\r\nx: ", b"a" * 500, 431, "headers_too_large"),
        (CHUNKED + b"1\r\na\r\n0\r\n", b"x: a\r\n", 431, "headers_too_large"),
        (CHUNKED + b"1;x=", b"a" * 500, 431, "headers_too_large"),
        (b"nonsense\r\n\r\n", b"", 400, "invalid_http"),
        (b"CONNECT a:443 HTTP/1.1\r\nhost: a\r\n\r\n", b"", 400, "invalid_http"),
        (CHUNKED + b"nonsense\r\n", b"", 400, "invalid_http"),
    ],
)
async def test_what_has_no_end_is_cut_with_an_error(begin, block, status, code):
    async with served() as (_, wire, told):
        count = await pour(wire, begin, block, told)
        assert error_of(await wire.rest()) == (status, code)
        assert told == [status]
        assert count < 20_000


async def test_heads_up_to_the_bounds_are_taken_however_they_come():
    head = GET + b"x: a\r\n" * 30 + b"\r\n"
    path = b"GET /" + b"a" * 1000 + b" HTTP/1.1\r\nhost: a\r\nx: " + b"a" * 3000 + b"\r\n\r\n"
    async with served() as (_, wire, told):
        for request in (head, path):
            for size in (7, 700, len(request)):
                for at in range(0, len(request), size):
                    await wire.send(request[at : at + size])
                    await asyncio.sleep(0)
                assert b" 200 " in await wire.until(b"\r\n\r\n0")
        await wire.send(POST + b"content-length: 300000\r\n\r\n" + b"a" * 300_000 + GET)
        await wire.until(b"\r\n\r\n300000")
        await wire.send(b"\r\n")
        assert b" 200 " in await wire.until(b"\r\n\r\n0")
        assert told == []


@pytest.mark.parametrize(
    "begin",
    [
        b"G",
        GET + b"x: a",
        POST + b"content-length: 5000\r\n\r\n{",
        CHUNKED + b"5\r\nab",
        POST + b"content-length: 200000\r\n\r\n" + b"a" * 100_000,
    ],
)
async def test_who_stops_half_way_is_answered_408(begin):
    async with served(wait=QUICK) as (app, wire, told):
        began = time.monotonic()
        await wire.send(begin)
        assert error_of(await wire.rest()) == (408, "request_timeout")
        assert QUICK * 0.9 <= time.monotonic() - began < 2
        assert told == [408]
        assert app.heard == ([] if b"\r\n\r\n" not in begin else ["http.disconnect"])


@pytest.mark.parametrize("begin", [b"GET /", POST + b"content-length: 500000\r\n\r\n"])
async def test_who_drips_is_cut_too(begin):
    async with served(wait=QUICK) as (_, wire, told):
        await wire.send(begin)
        began = time.monotonic()
        while not told and time.monotonic() - began < 3:
            await wire.send(b"a")
            await asyncio.sleep(0.02)
        assert error_of(await wire.rest()) == (408, "request_timeout")
        assert told == [408]


async def test_a_slow_upload_that_moves_is_taken():
    async with served(wait=1.0) as (_, wire, told):
        await wire.send(POST + b"content-length: 20000\r\n\r\n")
        for _ in range(20):
            await asyncio.sleep(0.06)
            await wire.send(BLOCK)
        assert b" 200 " in await wire.until(b"\r\n\r\n20000")
        assert told == []


async def test_a_body_that_we_do_not_read_is_not_late():
    async with served(wait=QUICK) as (app, wire, told):
        app.before = 3 * QUICK
        await wire.send(POST + b"content-length: 20000000\r\n\r\n")
        for _ in range(20):
            await wire.send(BLOCK * 1000)
        assert b" 200 " in await wire.until(b"\r\n\r\n20000000")
        assert told == []


async def test_half_a_request_behind_another_never_breaks_into_its_answer():
    async with served(wait=QUICK) as (app, wire, told):
        app.after = 2.5 * QUICK
        await wire.send(GET + b"\r\n" + b"GET /")
        answer = await wire.rest()
        first, _, second = answer.partition(b"\r\n\r\n0")
        assert first.startswith(b"HTTP/1.1 200 ")
        assert error_of(second) == (408, "request_timeout")
        assert told == [408]


async def test_nonsense_behind_a_request_that_is_being_answered_only_ends_the_connection():
    async with served() as (app, wire, told):
        app.after = 0.3
        await wire.send(GET + b"\r\n")
        await asyncio.sleep(0.02)
        await wire.send(b"nonsense\r\n\r\n")
        assert (await wire.rest(), told) == (b"", [400])


async def test_who_goes_on_sending_after_an_error_is_cut_off():
    async with served() as (_, wire, told):
        await wire.send(b"GET /")
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 1000:
                await wire.send(BLOCK * 100)
                sent += 1
        assert (told, sent < 1000) == ([414], True)


@pytest.mark.parametrize("begin", [b"", b"\r\n"])
async def test_who_says_nothing_may_rest_no_longer_than_between_two_requests(monkeypatch, begin):
    monkeypatch.setattr(servers, "KEEP_ALIVE", QUICK)
    async with served() as (_, wire, told):
        await wire.send(begin)
        assert (await wire.rest(), told) == (b"", [])


async def test_a_request_that_comes_at_once_is_not_timed(monkeypatch):
    timed, loop = [], asyncio.get_running_loop()
    real = loop.call_later

    def call_later(delay, callback, *rest, **more):
        timed.append(getattr(callback, "__name__", ""))
        return real(delay, callback, *rest, **more)

    monkeypatch.setattr(loop, "call_later", call_later)
    async with served() as (_, wire, _told):
        for _ in range(3):
            await wire.send(POST + b"content-length: 3\r\n\r\nabc")
            await wire.until(b"\r\n\r\n3")
        assert "_look" not in timed
        await wire.send(POST + b"content-length: 3\r\n\r\na")
        await asyncio.sleep(0.02)
        assert timed.count("_look") == 1
