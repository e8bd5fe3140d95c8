"""Through a proxy and over HTTP/2: the same port, limits and errors as our own client's."""

from __future__ import annotations

import asyncio
import socket

import pytest
from upstreams.asking import DONE, END, PATIENT, REPLY, ask, said
from upstreams.http1.pooling import client_side
from upstreams.proxying import NEEDS, Http2, Proxy
from upstreams.scripted import LIMIT, Scripted, chunk, events, free_port, stream_head, whole

from gateway.core.errors import UpstreamDown
from gateway.upstreams.http1 import Broken, ConnectFailed, TimedOut, Timeouts, TooLarge
from gateway.upstreams.openai import OpenAIUpstream
from gateway.upstreams.through_httpx import HttpxPool

DELTAS = events(said("a"), said("b"), END, DONE)


def opened(url, **options):
    pool = HttpxPool(url, context=client_side, limit=4, **options)
    return pool, OpenAIUpstream("u", url, "sk-key", PATIENT, connections=pool)


async def asked(url, *, stream=False, **options):
    """One call; its pool has to be as good as new then."""
    pool, upstream = opened(url, **options)
    heard = await ask(upstream, stream=stream)
    assert (pool.busy, pool.waiting) == (0, 0)
    await asyncio.wait_for(upstream.aclose(), LIMIT)
    return heard


async def until(condition):
    async with asyncio.timeout(LIMIT):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.002)


class Secure(Scripted):
    """A scripted server behind TLS."""

    async def __aenter__(self):
        from upstreams.http1.pooling import server_side

        self._server = await asyncio.start_server(
            self._connected, "127.0.0.1", 0, ssl=server_side("good")
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"https://localhost:{self.port}/v1"
        return self


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("to_proxy", [False, True], ids=["http-proxy", "https-proxy"])
@pytest.mark.parametrize("kind", [Scripted, Secure], ids=["http", "https"])
async def test_a_call_goes_through_the_proxy_with_its_credential(kind, to_proxy, stream):
    steps = [stream_head(), chunk(DELTAS), chunk(b"")] if stream else [whole(REPLY)]
    async with kind(*steps) as server, Proxy(auth=True, secure=to_proxy) as proxy:
        heard = await asked(server.url, proxy=proxy.url(), stream=stream)
        (request,) = server.requests
        (first,) = proxy.heads
    assert (heard.error, heard.sent, heard.text) == (None, 1, "ab")
    assert request.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    assert b"Bearer sk-key" in request
    assert (b"Bearer" in first) is (kind is Scripted)  # a tunnel hides it from the proxy
    assert first.startswith(b"CONNECT localhost:" if kind is Secure else b"POST http://127.0.0.1:")


@pytest.mark.parametrize(
    ("kind", "refuse", "told"),
    [
        (Secure, NEEDS, "proxy, 407"),
        (Scripted, NEEDS, "proxy, 407"),
        (Secure, b"HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n", "proxy, 403"),
    ],
)
async def test_a_proxy_that_refuses_is_no_connection(kind, refuse, told):
    async with kind(whole(REPLY)) as server, Proxy(refuse=refuse) as proxy:
        heard = await asked(server.url, proxy=proxy.url())
        assert server.accepted == 0
    assert (type(heard.error), heard.error.kind) == (UpstreamDown, "connect")
    assert told in heard.error.message
    assert heard.sent == (kind is Scripted)  # only to a tunnel does nothing of the request go
    assert "word" not in str(heard.error)


async def test_a_proxy_that_is_not_there(monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    url = f"http://localhost:{free_port()}"
    refused = await asked("https://localhost:1/v1", proxy=url)
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    nameless = await asked("https://localhost:1/v1", proxy="http://no.such.name.test:3128")
    for heard, fault in ((refused, "refused"), (nameless, "dns")):
        assert (heard.error.kind, heard.sent) == ("connect", 0)
        assert f"({fault})" in heard.error.message


async def test_a_certificate_that_is_not_the_host_s_is_refused_behind_the_proxy_too():
    async with Secure(whole(REPLY)) as server, Proxy() as proxy:
        url = server.url.replace("localhost", "127.0.0.2")
        heard = await asked(url, proxy=proxy.url())
    assert (heard.error.kind, heard.sent) == ("connect", 0)


@pytest.mark.parametrize("kind", [Scripted, Secure])
async def test_leaving_closes_the_server_s_side_at_once(kind):
    steps = [stream_head(), chunk(events(said("a"))), "hang"]
    async with kind(*steps) as server, Proxy() as proxy:
        pool, upstream = opened(server.url, proxy=proxy.url())
        async with pool.exchange("POST", "/", b"", b"{}", PATIENT) as exchange:
            assert await exchange.read()
        await asyncio.wait_for(server.left.wait(), LIMIT)
        task = asyncio.create_task(ask(upstream, stream=True))
        await until(lambda: server.open == 1)
        task.cancel()
        await asyncio.wait([task])
        await until(lambda: server.open == 0)
        assert (pool.busy, pool.open) == (0, 0)
        await upstream.aclose()


async def test_connections_are_kept_retired_and_closed_when_idle():
    async with Secure(whole(REPLY)) as server, Proxy() as proxy:
        pool, upstream = opened(server.url, proxy=proxy.url(), idle_ttl=0.2, max_age=1.0)
        for _ in range(5):
            assert (await ask(upstream)).error is None
        assert (server.accepted, pool.idle) == (1, 1)
        await until(lambda: server.open == 0)  # idle for its time
        assert pool.open == 0
        next_to = asyncio.get_running_loop().time() + 1.0
        while asyncio.get_running_loop().time() < next_to:
            assert (await ask(upstream)).error is None
        assert server.accepted == 3  # the second was too old for more
        await upstream.aclose()


async def test_a_reader_that_is_slow_holds_the_server_back():
    """Nothing is read ahead: what is under way stays in the sockets' buffers."""
    told = 0
    block = b"x" * 2**16

    class Endless(Secure):
        async def _play(self, steps, reader, writer):
            nonlocal told
            writer.write(stream_head())
            while True:
                writer.write(chunk(block))
                await writer.drain()
                told += len(block)

    async with Endless() as server, Proxy() as proxy:
        pool, upstream = opened(server.url, proxy=proxy.url())
        async with pool.exchange("POST", "/", b"", b"{}", PATIENT) as exchange:
            assert await exchange.read()
            before = -1
            while told > before:  # until it can say no more
                before = told
                await asyncio.sleep(0.1)
            assert told < 64 * 2**20
            assert exchange._size < 2**20
        assert (pool.busy, pool.open) == (0, 0)
        await upstream.aclose()


TIMES = {
    "connect": (Timeouts(0.1, 9, 9, 9), "mute"),
    "first_token": (Timeouts(9, 0.1, 9, 9), "hang"),
    "silence": (Timeouts(9, 9, 0.1, 9), stream_head() + chunk(b"x")),
    "total": (Timeouts(9, 9, 9, 0.1), stream_head() + chunk(b"x")),
}


@pytest.mark.parametrize("phase", TIMES)
async def test_each_limit_is_kept_and_named(phase):
    timeouts, step = TIMES[phase]
    mute = step == "mute"
    async with (
        Secure(*([] if mute else [step, "hang"])) as server,
        Scripted("hang") as silent,
        Proxy() as proxy,
    ):
        way = f"http://localhost:{silent.port}" if mute else proxy.url()
        pool, upstream = opened(server.url, proxy=way)
        with pytest.raises(TimedOut) as caught:
            async with pool.exchange("POST", "/", b"", b"{}", timeouts) as exchange:
                await exchange.read_all()
        assert (caught.value.phase, pool.busy, pool.open) == (phase, 0, 0)
        await upstream.aclose()


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (whole(b"x" * 1001), TooLarge),
        (stream_head() + chunk(b"x" * 1001) + chunk(b""), TooLarge),
        (whole(b"x" * 10)[:-2], Broken),
        (whole(b"x", content_encoding="gzip"), Broken),
        (b"SSH-2.0-nothing\r\n\r\n", Broken),
    ],
)
async def test_what_is_no_reply_is_told_as_our_own_client_does(reply, error):
    async with Scripted(reply, "close") as server, Proxy() as proxy:
        pool, upstream = opened(server.url, proxy=proxy.url(), max_body=1000)
        with pytest.raises(error):
            async with pool.exchange("POST", "/", b"", b"{}", PATIENT) as exchange:
                await exchange.read_all()
        assert (pool.busy, pool.open) == (0, 0)
        await upstream.aclose()


async def test_a_closed_pool_sends_everybody_away():
    async with Scripted("hang") as server, Proxy() as proxy:
        pool, upstream = opened(server.url, proxy=proxy.url())
        calls = [asyncio.create_task(ask(upstream)) for _ in range(6)]
        await until(lambda: pool.waiting == 2)
        await asyncio.wait_for(upstream.aclose(), LIMIT)
        heard = await asyncio.gather(*calls)
        assert all(each.error is not None for each in heard)
        with pytest.raises(ConnectFailed):
            await pool.acquire(1e9)


# ------------------------------------------------------------------ HTTP/2


@pytest.mark.parametrize("by_proxy", [False, True])
async def test_http2_is_spoken_and_streams_as_it_comes(by_proxy):
    more = asyncio.Event()

    async def answer(say):
        say(events(said("a")))
        await more.wait()
        say(events(said("b"), END, DONE), end=True)

    async with Http2(answer) as server, Proxy() as proxy:
        way = proxy.url() if by_proxy else None
        pool, upstream = opened(server.url, http2=True, proxy=way)
        for stream in (1, 3):
            more.clear()
            async with pool.exchange("POST", "/x", b"", b"{}", PATIENT) as exchange:
                first = await exchange.read()
                more.set()
                rest = await exchange.read_all()
            assert (first, exchange.status) == (events(said("a")), 200)
            assert rest == events(said("b"), END, DONE)
            number, headers = server.requests[-1]
            assert (number, headers[b":path"]) == (stream, b"/v1/x")
        assert server.accepted == 1
        heard = await ask(upstream, stream=True)
        assert (heard.error, heard.text, heard.sent) == (None, "ab", 1)
        await upstream.aclose()


async def test_http2_calls_have_connections_of_their_own_and_leaving_closes_them():
    async def answer(say):
        say(events(said("a")))
        await asyncio.sleep(LIMIT)

    async with Http2(answer) as server:
        pool, upstream = opened(server.url, http2=True)
        calls = [asyncio.create_task(ask(upstream, stream=True)) for _ in range(3)]
        await until(lambda: len(server.requests) == 3)
        assert server.accepted == 3
        calls[0].cancel()
        await asyncio.wait([calls[0]])
        await until(lambda: server.open == 2)
        for each in calls[1:]:
            each.cancel()
        await asyncio.wait(calls)
        await until(lambda: server.open == 0)
        assert (pool.busy, pool.open) == (0, 0)
        await upstream.aclose()


async def test_http2_that_the_server_has_not_is_http1():
    async with Secure(whole(REPLY)) as server:
        heard = await asked(server.url, http2=True)
    assert (heard.error, heard.text) == (None, "ab")


async def test_a_server_that_breaks_the_protocol_is_broken():
    async def answer(say):
        raise ConnectionError

    class Rude(Http2):
        async def serve(self, reader, writer):
            await reader.read(65536)
            writer.write(b"\x00\x00\x01\x04\x00\x00\x00\x00\x00x")  # SETTINGS of one byte
            await reader.read()

    async with Rude(answer) as server:
        heard = await asked(server.url, http2=True)
    assert heard.error.kind == "bad_response"
