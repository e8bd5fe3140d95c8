"""Names, and the addresses behind them."""

from __future__ import annotations

import asyncio
import socket

import pytest
from upstreams.http1.pooling import answering, call, closed_connection, named

from gateway.upstreams.http1 import (
    ConnectFailed,
    TimedOut,
    Timeouts,
    dial,
)


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
    assert pool._dialler._addresses == ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
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


async def test_system_resolver(serve, connect):
    assert "127.0.0.1" in await dial.resolve("localhost", 80)
    upstream = await serve(answering)
    upstream.url = f"http://localhost:{upstream.port}"
    assert await call(connect(upstream)) == b"hi"


# ----------------------------------------------------------------------- TLS
