"""TLS, and the socket under it."""

from __future__ import annotations

import asyncio
import socket

import pytest
from upstreams.http1.pooling import (
    PATIENT,
    answering,
    call,
    client_side,
    closed_connection,
    server_side,
)

from gateway.upstreams.http1 import (
    Broken,
    ConnectFailed,
    HttpError,
    Pool,
    TimedOut,
    Timeouts,
    TooLarge,
)


async def test_tls_verified_kept_and_resumed(serve, connect):
    resumed = []

    async def script(peer):
        resumed.append(peer.writer.get_extra_info("ssl_object").session_reused)
        await answering(peer)

    upstream = await serve(script, ssl=server_side("good"))
    pool = connect(upstream, ssl_context=client_side())
    await call(pool)
    await call(pool)
    assert upstream.accepted == 1
    await closed_connection(pool)
    await call(pool)
    assert resumed == [False, True]


async def test_tls_is_resumed_where_each_call_has_a_connection(serve, connect):
    resumed = []

    async def script(peer):
        resumed.append(peer.writer.get_extra_info("ssl_object").session_reused)
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi")
        await peer.left()

    upstream = await serve(script, ssl=server_side("good"))
    pool = connect(upstream, ssl_context=client_side())
    for _ in range(3):
        await call(pool)
    assert (upstream.accepted, resumed) == (3, [False, True, True])


@pytest.mark.parametrize("name", ["expired", "elsewhere", "good"])
async def test_tls_that_does_not_verify(serve, connect, name):
    upstream = await serve(answering, ssl=server_side(name))
    context = None if name == "good" else client_side()  # the system trusts none of them
    with pytest.raises(ConnectFailed) as caught:
        await call(connect(upstream, ssl_context=context))
    assert caught.value.fault == "tls"


async def test_tls_asked_of_an_upstream_without(serve, connect):
    async def script(peer):
        await peer.send(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
        await peer.left()

    upstream = await serve(script)
    upstream.url = upstream.url.replace("http:", "https:")
    with pytest.raises(ConnectFailed) as caught:
        await call(connect(upstream, ssl_context=client_side()))
    assert caught.value.fault == "tls"


@pytest.mark.parametrize("how", ["timeout", "cancel"])
async def test_handshake_that_hangs_is_given_up_and_its_socket_closed(serve, connect, how):
    gone = asyncio.Event()

    async def script(peer):
        await peer.left()
        gone.set()

    upstream = await serve(script)
    upstream.url = upstream.url.replace("http:", "https:")
    pool = connect(upstream, ssl_context=client_side())
    if how == "timeout":
        with pytest.raises(TimedOut) as caught:
            await call(pool, Timeouts(0.2, 5, 5, 10))
        assert caught.value.phase == "connect"
    else:
        task = asyncio.create_task(call(pool))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await asyncio.wait_for(gone.wait(), 2)


async def test_tls_leaving_early_closes_the_upstream_at_once(serve, connect):
    gone = asyncio.Event()

    async def script(peer):
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhi")
        await peer.left()
        gone.set()

    pool = connect(await serve(script, ssl=server_side("good")), ssl_context=client_side())
    async with pool.exchange("POST", "/", b"", b"", PATIENT) as exchange:
        await exchange.read()
    await asyncio.wait_for(gone.wait(), 1)


# -------------------------------------------------------------------- sockets


async def test_small_writes_are_not_delayed(serve, connect):
    pool = connect(await serve(answering))
    await call(pool)
    (connection,) = pool._idle
    raw = connection.transport.get_extra_info("socket")
    assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_full_backlog_is_a_connect_timeout(connect):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        port = silent.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        pool = Pool(f"http://127.0.0.1:{port}")
        with pytest.raises(TimedOut) as caught:
            await call(pool, Timeouts(0.2, 0.5, 5, 10))
        assert caught.value.phase == "connect"
        await pool.aclose()
        for filler in fillers:
            filler.close()


def test_one_tree_of_errors():
    for error in (ConnectFailed("dns", ""), Broken(), TooLarge(), TimedOut("total")):
        assert isinstance(error, HttpError)
