"""Warming, waiting in line, closing."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from upstreams.http1.pooling import OK, PATIENT, answering, call, client_side, named, server_side

from gateway.upstreams.http1 import (
    ConnectFailed,
    TimedOut,
    Timeouts,
)
from gateway.upstreams.http1.slots import Slots


async def test_warmed_connections(serve, connect, eventually):
    upstream = await serve(answering)
    pool = connect(upstream, limit=3)
    await pool.warm(2, PATIENT)
    assert (pool.idle, pool.open, pool.busy) == (2, 2, 0)
    await eventually(lambda: upstream.accepted == 2)
    await call(pool)
    await pool.warm(9, PATIENT)
    assert pool.idle == 3
    assert await call(pool) == b"hi"
    assert pool.open == 3


async def test_warming_makes_the_handshake_too(serve, connect):
    shaken = []
    context = server_side("good")
    context.sni_callback = lambda *_: shaken.append(1)
    upstream = await serve(answering, ssl=context)
    upstream.url = f"https://localhost:{upstream.port}"
    pool = connect(upstream, ssl_context=client_side())
    await pool.warm(2, PATIENT)
    assert (pool.idle, len(shaken)) == (2, 2)
    assert await call(pool) == b"hi"
    assert len(shaken) == 2


async def test_a_server_that_wants_no_idle_connections_is_not_asked_without_end(
    serve, connect, eventually
):
    async def script(peer):
        await asyncio.sleep(0.002)

    upstream = await serve(script)
    pool = connect(upstream)
    with contextlib.suppress(ConnectFailed):
        await pool.warm(3, PATIENT)
    await eventually(lambda: pool.open == 0)
    assert upstream.accepted <= 3


# ------------------------------------------------------------- the bound and the queue


async def test_never_more_than_the_limit_and_first_come_first_served(serve, connect):
    most = 0
    order = []

    async def script(peer):
        nonlocal most
        most = max(most, upstream.open)
        while request := await peer.request():
            order.append(int(request.partition(b"x-n: ")[2].split(b"\r\n")[0]))
            await asyncio.sleep(0.002)
            await peer.send(OK)

    async def numbered(number):
        async with pool.exchange("POST", "/", [(b"x-n", b"%d" % number)], b"", PATIENT) as one:
            assert await one.read_all() == b"hi"

    upstream = await serve(script)
    pool = connect(upstream, limit=1)
    await asyncio.gather(*(numbered(number) for number in range(50)))
    assert order == list(range(50))
    assert most == upstream.accepted == 1

    pool = connect(upstream, limit=4)
    await asyncio.gather(*(numbered(number) for number in range(100)))
    assert most <= 5  # with the first pool's
    assert pool.open == 4


async def test_waiting_counts_towards_the_total(serve, connect):
    async def script(peer):
        await peer.request()
        await peer.left()

    pool = connect(await serve(script), limit=1)
    first = asyncio.create_task(call(pool))
    await asyncio.sleep(0.05)
    with pytest.raises(TimedOut) as caught:
        await call(pool, Timeouts(5, 5, 5, 0.1))
    assert caught.value.phase == "total"
    assert pool.waiting == 0
    first.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await first


async def test_waiter_cancelled_at_the_moment_of_its_turn_passes_it_on():
    slots = Slots(1)
    assert slots.take()
    first, second = asyncio.create_task(slots.wait()), asyncio.create_task(slots.wait())
    await asyncio.sleep(0)
    assert slots.waiting == 2
    slots.give()
    first.cancel()  # its future has the slot, its task does not know yet
    await asyncio.wait_for(second, 5)
    assert first.cancelled()
    assert (slots.used, slots.waiting) == (1, 0)
    slots.give()
    assert slots.used == 0


async def test_waiter_cancelled_before_its_turn_leaves_the_queue():
    slots = Slots(1)
    assert slots.take()
    waiter = asyncio.create_task(slots.wait())
    await asyncio.sleep(0)
    waiter.cancel()
    await asyncio.wait([waiter])
    assert slots.waiting == 0
    slots.give()
    assert slots.used == 0
    assert slots.take()
    assert not slots.take()


async def test_closing_the_pool_ends_everything(serve, connect):
    async def script(peer):
        await peer.request()
        await peer.left()

    pool = connect(await serve(script), limit=2)
    calls = [asyncio.create_task(call(pool)) for _ in range(4)]
    await asyncio.sleep(0.05)
    assert (pool.busy, pool.waiting, pool.open) == (2, 2, 2)
    await asyncio.wait_for(pool.aclose(), 5)
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert (
        sorted(type(result).__name__ for result in results)
        == ["Broken"] * 2 + ["ConnectFailed"] * 2
    )
    assert (pool.busy, pool.waiting, pool.open, pool.idle) == (0, 0, 0, 0)
    with pytest.raises(ConnectFailed):
        await call(pool)


async def test_closing_the_pool_while_a_name_is_looked_up(serve, connect, names):
    names.wait = 30
    pool = named(connect, await serve(answering))
    task = asyncio.create_task(call(pool))
    await asyncio.sleep(0.02)
    await pool.aclose()
    with pytest.raises(ConnectFailed):  # and not CancelledError: nobody cancelled the caller
        await asyncio.wait_for(task, 5)


async def test_closing_the_pool_while_a_connection_is_made(serve, connect):
    async def script(peer):
        await peer.left()

    upstream = await serve(script, ssl=server_side("good"))
    pool = connect(upstream, ssl_context=client_side())
    task = asyncio.create_task(call(pool))
    await asyncio.sleep(0)
    await pool.aclose()
    with pytest.raises(ConnectFailed) as caught:
        await task
    assert caught.value.fault == "closed"
    assert pool.open == 0


async def test_a_close_that_waits_in_the_socket_is_seen_before_use(serve, connect):
    """No request is lost to it, so no retry is needed: nothing was sent twice."""
    close, seen = asyncio.Event(), []

    async def script(peer):
        seen.append(await peer.request())
        await peer.send(OK)
        if peer.number == 0:
            await close.wait()
        else:
            await peer.left()

    pool = connect(await serve(script))
    await call(pool)
    (connection,) = pool._idle
    connection.transport.pause_reading()  # as a busy loop would leave it
    close.set()
    await asyncio.sleep(0.05)
    assert await call(pool) == b"hi"
    assert len(seen) == 2


# --------------------------------------------------------------------- names
