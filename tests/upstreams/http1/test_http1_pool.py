"""Connections between exchanges: kept, bounded, waited for, lost, replaced."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from pathlib import Path

import pytest

from gateway.upstreams.http1 import (
    Broken,
    ConnectFailed,
    HttpError,
    Pool,
    TimedOut,
    Timeouts,
    TooLarge,
    dial,
)
from gateway.upstreams.http1.slots import Slots

PATIENT = Timeouts(10, 10, 10, 15)
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"
CERTS = Path(__file__).parent / "certs"


async def call(pool, timeouts=PATIENT, on_sent=None):
    async with pool.exchange("POST", "/", b"", b"{}", timeouts, on_sent) as exchange:
        return await exchange.read_all()


async def answering(peer):
    while await peer.request():
        await peer.send(OK)


# ------------------------------------------------------------------ keep-alive


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


async def test_late_death_is_not_retried_for_the_work_may_have_been_done(
    serve, connect, monkeypatch
):
    monkeypatch.setattr("gateway.upstreams.http1.connection.STALE_WINDOW", 0.05)
    upstream = await serve(dying(after=0.2))
    pool = connect(upstream)
    await call(pool)
    with pytest.raises(Broken):
        await call(pool)
    assert upstream.accepted == 1


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


@pytest.fixture
def names(monkeypatch):
    """A name server of our own: a list to be edited, and a count of the questions."""

    class Names:
        def __init__(self):
            self.addresses: list[str] | OSError = ["127.0.0.1"]
            self.asked = 0
            self.wait = 0.0

        async def resolve(self, host, port):
            self.asked += 1
            await asyncio.sleep(self.wait)
            if isinstance(self.addresses, OSError):
                raise self.addresses
            return list(self.addresses)

    book = Names()
    monkeypatch.setattr(dial, "resolve", book.resolve)
    return book


def named(connect, upstream, **options):
    upstream.url = f"http://model.test:{upstream.port}"
    return connect(upstream, **options)


async def closed_connection(pool):
    """A call whose connection is not kept, so that the next one has to dial."""
    async with pool.exchange("POST", "/", b"", b"", PATIENT):
        pass
    for connection in list(pool._idle):
        connection.transport.abort()
    await asyncio.sleep(0.01)


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


def server_side(name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTS / f"{name}.pem")
    return context


def client_side():
    context = dial.ResumingContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(CERTS / "ca.pem")
    return context


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
