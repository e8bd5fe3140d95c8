"""A body that is handed on in the call that reads it, in place of being waited for."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from upstreams.http1.exchanging import PATIENT, post

from gateway.upstreams.http1 import Broken, TimedOut, Timeouts
from gateway.upstreams.http1.reply import Reply
from gateway.upstreams.http1.timeouts import Clock

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def saying(*parts, then=None):
    """A script that sends these, each when the one before has been taken; then what `then` does."""

    async def script(peer):
        await peer.request()
        await peer.send(HEAD)
        for part in parts:
            await peer.send(b"%x\r\n%b\r\n" % (len(part), part))
            await asyncio.sleep(0.002)
        await (then or _end)(peer)
        await peer.left()

    return script


async def _end(peer):
    await peer.send(b"0\r\n\r\n")


async def _hang(peer):
    await peer.left()


async def _cut(peer):
    peer.writer.close()


async def test_what_comes_is_poured_until_the_end(serve, connect):
    had = []

    def sink(blocks):
        had.extend(blocks)
        return True

    pool = connect(await serve(saying(b"a", b"b", b"c")))
    async with post(pool) as exchange:
        first = await exchange.read()
        await exchange.pour(sink)
        assert await exchange.read() == b""
        await exchange.pour(sink)  # nothing more will come: it does not wait
    assert first + b"".join(had) == b"abc"
    assert pool.idle == 1, "its connection is kept"


async def test_what_a_sink_does_not_want_is_there_to_be_read(serve, connect):
    had = []

    def sink(blocks):
        had.extend(blocks)
        return False

    pool = connect(await serve(saying(b"a", b"b", b"c")))
    async with post(pool) as exchange:
        rest = b""
        await exchange.pour(sink)
        poured = b"".join(had)
        while block := await exchange.read():
            rest += block
    assert poured.startswith(b"a")
    assert poured + rest == b"abc"


async def test_a_connection_that_was_not_read_is_read_on_when_it_is_poured(serve, connect):
    """More was unread than a connection holds, and all of it is taken by the sink."""
    parts = [bytes([n]) * 0x4000 for n in range(40)]
    poured = []

    def sink(blocks):
        poured.extend(blocks)
        return len(poured) % 3 > 0  # what is left is to come by `read`

    pool = connect(await serve(saying(*parts)))
    async with post(pool) as exchange:
        had = [await exchange.read()]
        await asyncio.sleep(0.2)
        while True:
            await exchange.pour(sink)
            had += poured
            poured.clear()
            if not (block := await exchange.read()):
                break
            had.append(block)
    assert b"".join(had) == b"".join(parts)


async def test_what_a_sink_raises_is_raised_where_it_was_poured(serve, connect, eventually):
    def sink(blocks):
        raise LookupError(blocks)

    pool = connect(await serve(saying(b"a", then=_hang)))
    with pytest.raises(LookupError):
        async with post(pool) as exchange:
            await exchange.pour(sink)
    await eventually(lambda: pool.open == 0)


@pytest.mark.parametrize(("then", "error"), [(_cut, Broken), (_hang, TimedOut)])
async def test_what_goes_wrong_is_told_by_the_next_read(serve, connect, then, error):
    had = []

    def sink(blocks):
        had.extend(blocks)
        return True

    pool = connect(await serve(saying(b"a", b"b", then=then)))
    hasty = Timeouts(PATIENT.connect, PATIENT.first_token, 0.1, PATIENT.total)
    async with post(pool, timeouts=hasty) as exchange:
        await exchange.pour(sink)
        with pytest.raises(error):
            await exchange.read()
    assert b"".join(had) == b"ab"


async def test_who_leaves_while_it_pours_closes_the_upstream_at_once(serve, connect, eventually):
    pouring = asyncio.Event()

    def sink(_):
        pouring.set()
        return True

    async def leave():
        async with post(pool) as exchange:
            await exchange.pour(sink)

    pool = connect(await serve(saying(b"a", then=_hang)))
    task = asyncio.create_task(leave())
    await pouring.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await eventually(lambda: pool.open == 0)


WIRE = HEAD + b"".join(b"%x\r\n%b\r\n" % (n, bytes([96 + n]) * n) for n in range(1, 9))
BODY = b"".join(bytes([96 + n]) * n for n in range(1, 9))


@settings(max_examples=60)
@given(st.lists(st.integers(1, len(WIRE)), max_size=12), st.lists(st.booleans(), max_size=12))
def test_poured_and_read_in_any_turns_it_is_the_same_body(cuts, wants):
    """Cut anywhere, and with a sink that wants more or not, nothing is lost, doubled or turned."""
    ends = [0, *sorted(cuts), len(WIRE)]
    parts = [WIRE[a:b] for a, b in pairwise(ends)]

    async def turns():
        reply = Reply(Clock(PATIENT, 10, 1), to_head=False, max_head=1 << 12, max_body=1 << 12)
        had, left = [], list(wants)

        def sink(blocks):
            had.extend(blocks)
            return left.pop() if left else True

        async def reader():
            while not reply.started:
                await reply.more()
            while block := await reply.read():
                had.append(block)
                await reply.pour(sink)

        task = asyncio.create_task(reader())
        for part in [*parts, b"0\r\n\r\n"]:
            if part:
                reply.feed(part, 1.0)
            await asyncio.sleep(0)
        await task
        return b"".join(had)

    assert asyncio.run(turns()) == BODY
