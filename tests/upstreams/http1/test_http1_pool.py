"""Connections kept, retried and let go."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest
from upstreams.http1.pooling import OK, PATIENT, answering, call, client_side, server_side

from gateway.upstreams.http1 import (
    Broken,
    HttpError,
)


async def test_last_used_connection_is_used_next(serve, connect):
    seen = []

    async def script(peer):
        while await peer.request():
            seen.append(peer.number)
            await asyncio.sleep(0.05)
            await peer.send(OK)

    pool = connect(await serve(script))
    await asyncio.gather(call(pool), call(pool))
    assert (pool.open, pool.idle) == (2, 2)
    seen.clear()
    for _ in range(3):
        await call(pool)
    assert len(set(seen)) == 1


async def test_idle_connection_closed_by_the_upstream_leaves_the_pool(serve, connect, eventually):
    close = asyncio.Event()

    async def script(peer):
        await peer.request()
        await peer.send(OK)
        await close.wait()

    pool = connect(await serve(script))
    await call(pool)
    assert pool.idle == 1
    close.set()
    await eventually(lambda: pool.idle == 0)
    await eventually(lambda: pool.open == 0)


async def test_bytes_on_an_idle_connection_end_it(serve, connect, eventually):
    speak = asyncio.Event()

    async def script(peer):
        await peer.request()
        await peer.send(OK)
        await speak.wait()
        await peer.send(OK)
        await peer.left()

    pool = connect(await serve(script))
    await call(pool)
    speak.set()
    await eventually(lambda: pool.open == 0)
    assert pool.idle == 0


async def test_bytes_that_wait_in_the_socket_are_never_the_next_reply(serve, connect):
    """The stray reply has arrived, but the loop had no turn to read it before the next call."""

    async def script(peer):
        while await peer.request():
            if peer.number == 0:
                await peer.send(OK)
                await speak.wait()
                await peer.send(OK.replace(b"hi", b"NO"))
            else:
                await peer.send(OK)

    speak = asyncio.Event()
    upstream = await serve(script)
    pool = connect(upstream)
    await call(pool)
    (connection,) = pool._idle
    connection.transport.pause_reading()  # as a busy loop would leave it
    speak.set()
    await asyncio.sleep(0.05)
    assert await call(pool) == b"hi"
    assert upstream.accepted == 2


async def test_idle_connections_expire(serve, connect, eventually):
    pool = connect(await serve(answering), idle_ttl=0.1)
    await call(pool)
    assert pool.idle == 1
    await eventually(lambda: pool.open == 0)
    assert await call(pool) == b"hi"


async def test_use_puts_the_expiry_off(serve, connect):
    upstream = await serve(answering)
    pool = connect(upstream, idle_ttl=1.0)
    for _ in range(8):
        await call(pool)
        await asyncio.sleep(0.2)
    assert upstream.accepted == 1


def dying(after=0, *, answer_second=True):
    """The first connection answers once and dies on its next request, unread by anybody."""

    async def script(peer):
        if peer.number == 0:
            await peer.request()
            await peer.send(OK)
            await peer.reader.readexactly(1)
            await asyncio.sleep(after)
            peer.reset()
        elif answer_second:
            await answering(peer)
        else:
            await peer.request()

    return script


async def test_dead_kept_connection_is_retried_once_on_a_fresh_one(serve, connect):
    upstream = await serve(dying())
    pool = connect(upstream, limit=1)
    sent = []
    for _ in range(2):
        assert await call(pool, on_sent=lambda: sent.append(1)) == b"hi"
    assert upstream.accepted == 2
    assert len(sent) == 3  # the retry is another: the upstream may have read both


async def test_the_retry_is_not_retried(serve, connect):
    upstream = await serve(dying(answer_second=False))
    pool = connect(upstream)
    await call(pool)
    with pytest.raises(Broken):
        await call(pool)
    assert upstream.accepted == 2


async def test_retry_does_not_use_another_old_connection(serve, connect):
    """Both kept connections are dead: one retry must be enough."""
    both = asyncio.Barrier(2)

    async def script(peer):
        await peer.request()
        if peer.number < 2:
            await both.wait()
            await peer.send(OK)
            await peer.request()
            peer.reset()
        else:
            await peer.send(OK)
            await answering(peer)

    upstream = await serve(script)
    pool = connect(upstream, limit=2)
    await asyncio.gather(call(pool), call(pool))
    assert pool.idle == 2
    assert await call(pool) == b"hi"
    assert upstream.accepted == 3
    assert pool.idle + pool.busy <= 2


@pytest.mark.parametrize(("trip", "calls"), [(0.0, 1), (0.05, 1), (0.4, 2), (9.0, 2)])
async def test_death_is_stale_within_two_round_trips_only(serve, connect, trip, calls):
    """Later, the upstream may have read the request and done the work. Here, after 0.15 s."""
    upstream = await serve(dying(after=0.15))
    pool = connect(upstream)
    await call(pool)
    (connection,) = pool._idle
    assert 0 <= connection.round_trip < 1
    connection.round_trip = trip
    sent = []
    with contextlib.nullcontext() if calls == 2 else pytest.raises(Broken) as caught:
        assert await call(pool, on_sent=lambda: sent.append(1)) == b"hi"
    assert calls == 2 or type(caught.value) is Broken
    assert upstream.accepted == len(sent) == calls


async def test_the_round_trip_is_half_of_what_connecting_with_tls_took(serve, connect):
    slow = server_side("good")
    slow.sni_callback = lambda *_: time.sleep(0.1)
    upstream = await serve(answering, ssl=slow)
    upstream.url = f"https://localhost:{upstream.port}"
    pool = connect(upstream, ssl_context=client_side())
    await call(pool)
    assert 0.045 < next(iter(pool._idle)).round_trip < 1


async def test_death_is_never_stale_after_a_second(serve, connect):
    upstream = await serve(dying(after=1.05))
    pool = connect(upstream)
    await call(pool)
    next(iter(pool._idle)).round_trip = 9.0
    with pytest.raises(Broken):
        await call(pool)
    assert upstream.accepted == 1


async def test_warmed_connection_that_has_died_is_retried_too(serve, connect):
    async def script(peer):
        if peer.number == 0:
            await peer.reader.readexactly(1)
            peer.reset()
        else:
            await answering(peer)

    upstream = await serve(script)
    pool = connect(upstream)
    await pool.warm(1, PATIENT)
    next(iter(pool._idle)).round_trip = 0.5
    assert await call(pool) == b"hi"
    assert upstream.accepted == 2


async def test_death_after_a_byte_of_the_reply_is_not_retried(serve, connect):
    async def script(peer):
        await peer.request()
        await peer.send(OK)
        await peer.request()
        await peer.send(b"H")

    upstream = await serve(script)
    pool = connect(upstream)
    await call(pool)
    with pytest.raises(Broken):
        await call(pool)
    assert upstream.accepted == 1


async def test_upstream_that_accepts_and_closes(serve, connect):
    async def script(peer):
        peer.reset()

    upstream = await serve(script)
    with pytest.raises(HttpError):
        await asyncio.wait_for(call(connect(upstream)), 5)
    assert upstream.accepted == 1
