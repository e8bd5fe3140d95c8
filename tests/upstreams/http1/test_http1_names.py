"""Names, and the addresses behind them."""

from __future__ import annotations

import asyncio
import logging
import socket

import pytest
from upstreams.http1.pooling import OK, answering, call, closed_connection, named

from gateway.upstreams.http1 import (
    ConnectFailed,
    TimedOut,
    Timeouts,
)
from gateway.upstreams.http1 import names as naming


async def test_addresses_are_believed_for_their_time(serve, connect, names):
    pool = named(connect, await serve(answering), dns_ttl=0.2)
    for _ in range(3):
        await closed_connection(pool)
    assert names.asked == 1
    await asyncio.sleep(0.25)
    await closed_connection(pool)
    assert names.asked == 2


async def test_the_next_address_is_tried_and_first_thereafter(serve, connect, names):
    pool = named(connect, await serve(answering))
    names.addresses = ["127.0.0.2", "127.0.0.3", "127.0.0.1"]
    await closed_connection(pool)
    assert pool._dialler._names.row == ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
    await closed_connection(pool)
    assert names.asked == 1


async def test_names_that_fail(serve, connect, names):
    pool = named(connect, await serve(answering))
    for answer in (socket.gaierror(-2, "unknown"), []):
        names.addresses = answer
        with pytest.raises(ConnectFailed) as caught:
            await call(pool)
        assert caught.value.fault == "dns"
    names.addresses = ["127.0.0.2"]
    with pytest.raises(ConnectFailed) as caught:
        await call(pool)
    assert caught.value.fault == "refused"
    names.addresses = ["127.0.0.1"]  # asked again, since none of the old ones worked
    assert await call(pool) == b"hi"


async def test_one_question_for_all_and_it_survives_the_one_who_asked(serve, connect, names):
    names.wait = 0.1
    pool = named(connect, await serve(answering))
    calls = [asyncio.create_task(call(pool)) for _ in range(5)]
    await asyncio.sleep(0.02)
    calls[0].cancel()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert results[1:] == [b"hi"] * 4
    assert names.asked == 1


async def test_name_server_that_hangs_is_within_the_connect_limit(serve, connect, names):
    names.wait = 60
    pool = named(connect, await serve(answering))
    with pytest.raises(TimedOut) as caught:
        await call(pool, Timeouts(0.1, 5, 5, 10))
    assert caught.value.phase == "connect"


@pytest.fixture
def said(caplog):
    """What was logged of a name, in order."""
    caplog.set_level(logging.INFO, "waterfall")
    return lambda: [each.getMessage() for each in caplog.records if "name" in each.getMessage()]


@pytest.mark.parametrize("answer", [socket.gaierror(-3, "try again"), []])
async def test_the_last_known_addresses_are_used_while_the_resolver_fails(
    serve, connect, names, said, answer
):
    pool = named(connect, await serve(answering))
    await closed_connection(pool)
    names.addresses = answer
    for asked in (2, 3):
        pool._dialler._names.doubt()  # as when its time is up
        for _ in range(3):  # and it is not asked for each connection
            await closed_connection(pool)
        assert names.asked == asked
    assert len(said()) == 1  # once, though it failed twice
    assert "last known addresses" in said()[0]
    names.addresses = ["127.0.0.1"]
    pool._dialler._names.doubt()
    await closed_connection(pool)
    assert "resolves again" in said()[1]


async def test_a_resolver_that_hangs_costs_half_of_the_time_where_an_address_is_known(
    serve, connect, names, said
):
    pool = named(connect, await serve(answering), dns_ttl=0.02)
    await closed_connection(pool)
    names.wait = 60
    await asyncio.sleep(0.03)
    assert await call(pool, Timeouts(2, 5, 5, 10)) == b"hi"
    assert "no answer in time" in said()[0]


async def test_they_are_not_used_for_ever(serve, connect, names, monkeypatch):
    monkeypatch.setattr(naming, "STALE_MOST", 0.02)
    pool = named(connect, await serve(answering), dns_ttl=0.02)
    await closed_connection(pool)
    names.addresses = socket.gaierror(-3, "try again")
    await asyncio.sleep(0.05)
    with pytest.raises(ConnectFailed) as caught:
        await call(pool)
    assert caught.value.fault == "dns"


async def test_a_moved_name_is_followed_by_connections_that_never_rest(serve, connect, names):
    """They are kept for their age and no longer, and no exchange is cut for that."""
    reached = []

    async def moved(reader, writer):
        while await reader.readuntil(b"{}"):
            reached.append(1)
            writer.write(OK)

    old = await serve(answering)
    async with await asyncio.start_server(moved, "127.0.0.2", old.port):
        pool = named(connect, old, dns_ttl=0.02, max_age=0.2)
        calls = 0
        async with asyncio.timeout(10):
            while not reached:
                assert await call(pool) == b"hi"
                names.addresses = ["127.0.0.2"]
                calls += 1
                await asyncio.sleep(0.005)
        assert (old.accepted, pool.open) == (1, 1)
        assert calls > 5  # the first connection carried many, and for longer than the ttl
        await pool.aclose()


async def test_connections_do_not_retire_together(serve, connect):
    pool = connect(await serve(answering), max_age=100.0)
    await pool.warm(8, Timeouts())
    now = asyncio.get_running_loop().time()
    ages = sorted(each.retires_at - now for each in pool._open)
    assert 79 <= ages[0] < ages[-1] <= 100
    assert ages[-1] - ages[0] > 1


async def test_one_that_retires_is_closed_between_exchanges_and_not_within(serve, connect):
    async def script(peer):
        while await peer.request():
            await asyncio.sleep(0.15)
            await peer.send(OK)

    upstream = await serve(script)
    pool = connect(upstream, max_age=0.1)
    assert await call(pool) == b"hi"
    assert pool.idle == 0
    assert await call(pool) == b"hi"
    assert upstream.accepted == 2


async def test_system_resolver(serve, connect):
    assert "127.0.0.1" in await naming.resolve("localhost", 80)
    upstream = await serve(answering)
    upstream.url = f"http://localhost:{upstream.port}"
    assert await call(connect(upstream)) == b"hi"
