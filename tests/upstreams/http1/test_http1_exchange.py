"""The course of one exchange: leaving it, time-outs, back-pressure, what is noted when."""

from __future__ import annotations

import asyncio

import pytest
from upstreams.http1.exchanging import OK, call, post, replying

from gateway.upstreams.http1 import (
    Broken,
    ConnectFailed,
    HttpError,
    TimedOut,
    Timeouts,
)


async def test_early_reply_while_the_request_is_still_being_sent(serve, connect, eventually):
    async def script(peer):
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno")
        await asyncio.sleep(30)

    pool = connect(await serve(script))
    assert (await call(pool, body=b"x" * 50_000_000))[::2] == (413, b"no")
    assert pool.idle == 0  # the rest of our request would be taken for the next one
    await eventually(lambda: pool.open == 0)


async def test_blocks_come_as_they_arrive_and_together_when_late(serve, connect):
    go = asyncio.Event()

    async def script(peer):
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n")
        await go.wait()
        await peer.send(b"1\r\nb\r\n1\r\nc\r\n0\r\n\r\n")

    pool = connect(await serve(script))
    async with post(pool) as exchange:
        assert await exchange.read() == b"a"
        go.set()
        assert await exchange.read() == b"bc"
        assert await exchange.read() == b""
        assert await exchange.read() == b""


async def test_slow_reader_holds_the_upstream_back(serve, connect):
    total = 40_000_000
    sent = 0

    async def script(peer):
        nonlocal sent
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % total)
        for _ in range(total // 100_000):
            await peer.send(b"x" * 100_000)
            sent += 100_000
        await peer.left()

    pool = connect(await serve(script), max_body=total)
    async with post(pool, timeouts=Timeouts(5, 5, 0.2, 60)) as exchange:
        await asyncio.sleep(0.6)  # longer than the silence allowed: it is we who do not listen
        held = sent
        assert held < total // 2
        assert exchange._reply.size - exchange._reply.taken < 2_000_000
        await asyncio.sleep(0.1)
        assert sent == held
        assert len(await exchange.read_all()) == total
    assert pool.idle == 1


async def test_leaving_after_the_last_byte_arrived_keeps_the_connection(serve, connect):
    upstream = await serve(replying(OK, OK))
    pool = connect(upstream)
    async with post(pool) as exchange:
        assert exchange.status == 200  # the body is not read
    assert pool.idle == 1
    await call(pool)
    assert upstream.accepted == 1


@pytest.mark.parametrize("how", ["leave", "error", "cancel"])
@pytest.mark.parametrize("stage", ["before the head", "in the body"])
async def test_leaving_early_closes_the_upstream_at_once(serve, connect, how, stage):
    gone, reached = asyncio.Event(), asyncio.Event()

    async def script(peer):
        await peer.request()
        if stage == "in the body":
            await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhi")
        else:
            reached.set()
        await peer.left()
        gone.set()

    async def work():
        async with post(pool) as exchange:
            await exchange.read()
            reached.set()
            if how == "error":
                raise KeyError
            if how == "cancel":
                await exchange.read()

    pool = connect(await serve(script))
    task = asyncio.create_task(work())
    await reached.wait()
    if how == "cancel" or stage == "before the head":
        await asyncio.sleep(0.01)
        task.cancel()
    await asyncio.wait([task])
    await asyncio.wait_for(gone.wait(), 1.0)
    assert (pool.busy, pool.idle, pool.open) == (0, 0, 0)
    assert task.cancelled() or isinstance(task.exception(), KeyError) or how == "leave"


async def test_a_left_exchange_cannot_be_read_on(serve, connect):
    pool = connect(await serve(replying(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhi")))
    exchange = post(pool)
    with pytest.raises(RuntimeError):
        _ = exchange.status
    async with exchange:
        await exchange.read()
    with pytest.raises(Broken):
        await exchange.read()


async def test_on_sent_comes_just_before_the_first_byte(serve, connect):
    order = []

    async def script(peer):
        while await peer.request():
            order.append("received")
            await peer.send(OK)

    pool = connect(await serve(script))
    await call(pool, on_sent=lambda: order.append(pool.open))
    assert order == [1, "received"]


async def test_on_sent_that_fails_sends_nothing(serve, connect):
    seen = []

    async def script(peer):
        seen.append(await peer.request())

    def refuse():
        raise KeyError("ledger full")

    pool = connect(await serve(script))
    with pytest.raises(KeyError):
        await call(pool, on_sent=refuse)
    await asyncio.sleep(0.05)
    assert seen == [b""]


@pytest.mark.parametrize(
    ("timeouts", "script_part", "phase"),
    [
        (Timeouts(5, 0.1, 5, 10), b"", "first_token"),
        (Timeouts(5, 0.1, 5, 10), b"HTTP/1.1 200 OK\r\n", "first_token"),
        (Timeouts(5, 0.1, 5, 10), b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", "first_token"),
        (Timeouts(5, 5, 0.1, 10), b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhi", "silence"),
        (Timeouts(5, 5, 5, 0.1), b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhi", "total"),
        (Timeouts(5, 5, 5, 0.1), b"", "total"),
    ],
)
async def test_timeouts_name_their_phase(serve, connect, timeouts, script_part, phase):
    gone = asyncio.Event()

    async def script(peer):
        await peer.request()
        await peer.send(script_part)
        await peer.left()
        gone.set()

    pool = connect(await serve(script))
    with pytest.raises(TimedOut) as caught:
        await call(pool, timeouts=timeouts)
    assert caught.value.phase == phase
    await asyncio.wait_for(gone.wait(), 1.0)
    assert pool.open == 0


async def test_a_drip_is_cut_by_the_total_and_not_by_silence(serve, connect):
    async def script(peer):
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n")
        while not peer.writer.is_closing():
            await peer.send(b"x")
            await asyncio.sleep(0.02)

    pool = connect(await serve(script))
    with pytest.raises(TimedOut) as caught:
        await call(pool, timeouts=Timeouts(5, 5, 1.0, 1.3))
    assert caught.value.phase == "total"


async def test_reader_who_is_late_finds_the_timeout(serve, connect):
    pool = connect(await serve(replying(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhi")))
    async with post(pool, timeouts=Timeouts(5, 5, 0.05, 10)) as exchange:
        await asyncio.sleep(0.3)
        assert await exchange.read() == b"hi"
        with pytest.raises(TimedOut):
            await exchange.read()


async def test_nobody_listens(connect, serve):
    upstream = await serve(replying(OK))
    upstream.server.close()
    await upstream.server.wait_closed()
    sent = []
    with pytest.raises(ConnectFailed) as caught:
        await call(connect(upstream), on_sent=lambda: sent.append(1))
    assert caught.value.fault == "refused"
    assert not sent


async def test_reset_before_the_head(serve, connect):
    async def script(peer):
        await peer.request()
        peer.reset()

    upstream = await serve(script)
    with pytest.raises(HttpError):
        await call(connect(upstream))
    assert upstream.accepted == 1
