"""Replies, well made and not, as one exchange reads them."""

from __future__ import annotations

import pytest
from upstreams.http1.exchanging import OK, call, closing, post, replying

from gateway.upstreams.http1 import (
    Broken,
    TooLarge,
)


async def test_request_on_the_wire(serve, connect):
    seen = []

    async def script(peer):
        while request := await peer.request():
            seen.append(request)
            await peer.send(OK)

    upstream = await serve(script)
    pool = connect(upstream)
    await call(pool, headers=b"x-a: 1\r\nx-b:2\r\n", body=b"abc")
    await call(pool, headers=[(b"x-a", b" 1 ")], method="GET", body=b"")
    host = b"host: 127.0.0.1:%d\r\naccept-encoding: identity\r\n" % upstream.port
    assert seen == [
        b"POST /v1/x?a=b HTTP/1.1\r\n%bx-a: 1\r\nx-b: 2\r\ncontent-length: 3\r\n\r\nabc" % host,
        b"GET /v1/x?a=b HTTP/1.1\r\n%bx-a: 1\r\n\r\n" % host,
    ]
    assert upstream.accepted == 1


@pytest.mark.parametrize(
    ("reply", "status", "body"),
    [
        (b"200 OK\r\ncontent-length: 5\r\n\r\nhello", 200, b"hello"),
        (b"200 OK\r\ncontent-length: 0\r\n\r\n", 200, b""),
        (
            b"200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n",
            200,
            b"hello",
        ),
        (
            b"200 OK\r\ntransfer-encoding: Chunked\r\n\r\n2\r\nhi\r\n0\r\nx-t: 1\r\n\r\n",
            200,
            b"hi",
        ),
        (b"204 No Content\r\n\r\n", 204, b""),
        (b"304 Not Modified\r\ncontent-length: 99\r\n\r\n", 304, b""),
        (b"302 Found\r\nlocation: /elsewhere\r\ncontent-length: 2\r\n\r\nno", 302, b"no"),
        (b"503 Busy\r\ncontent-encoding: identity\r\ncontent-length: 2\r\n\r\nno", 503, b"no"),
        (b"100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi", 200, b"hi"),
        (
            b"103 Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 103 More\r\nlink: </b>\r\n\r\n" + OK,
            200,
            b"hi",
        ),
    ],
)
async def test_whole_replies_keep_the_connection(serve, connect, reply, status, body):
    upstream = await serve(replying(b"HTTP/1.1 " + reply, OK))
    pool = connect(upstream)
    first = await call(pool)
    assert first[0] == status
    assert first[2] == body
    assert b"link" not in first[1]
    assert b"x-t" not in first[1]
    assert (pool.open, pool.idle) == (1, 1)
    assert (await call(pool))[2] == b"hi"
    assert upstream.accepted == 1


async def test_headers_are_lower_case_and_repeated_ones_joined(serve, connect):
    reply = b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a:  2 \r\nContent-Length: 0\r\n\r\n"
    _, headers, _ = await call(connect(await serve(replying(reply))))
    assert headers == {b"x-a": b"1, 2", b"content-length": b"0"}


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi",
        OK + b"left over",
        OK + OK,
        b"HTTP/1.1 204 No Content\r\ncontent-length: 4\r\n\r\nbody",
    ],
)
async def test_connections_that_must_not_be_reused(serve, connect, eventually, reply):
    upstream = await serve(replying(reply, OK))
    pool = connect(upstream)
    status, _, body = await call(pool)
    assert body == (b"hi" if status == 200 else b"")
    assert pool.idle == 0
    await eventually(lambda: pool.open == 0)
    await call(pool)
    assert upstream.accepted == 2


async def test_http_1_0_may_ask_to_be_kept(serve, connect):
    reply = b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nhi"
    upstream = await serve(replying(reply, reply))
    pool = connect(upstream)
    await call(pool)
    await call(pool)
    assert upstream.accepted == 1


@pytest.mark.parametrize(
    ("head", "kept"),
    [
        (b"content-length: 500", True),
        (b"content-length: 0", True),
        (b"transfer-encoding: chunked", False),
        (b"content-encoding: gzip\r\ncontent-length: 5", True),
    ],
)
async def test_head_has_no_body(serve, connect, head, kept):
    upstream = await serve(replying(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % head, OK))
    pool = connect(upstream)
    status, _, body = await call(pool, method="HEAD", body=b"")
    assert (status, body) == (200, b"")
    await call(pool)
    assert upstream.accepted == (1 if kept else 2)


async def test_body_sent_in_reply_to_head_is_never_the_next_reply(serve, connect):
    upstream = await serve(replying(OK, OK))
    pool = connect(upstream)
    assert (await call(pool, method="HEAD", body=b""))[2] == b""
    assert (await call(pool))[2] == b"hi"
    assert upstream.accepted == 2


async def test_body_until_close_is_complete_when_nothing_else_was_announced(serve, connect):
    pool = connect(await serve(closing(b"HTTP/1.1 200 OK\r\n\r\nall there is")))
    assert (await call(pool))[2] == b"all there is"
    assert pool.idle == 0


async def test_body_until_close_is_broken_by_a_reset(serve, connect):
    async def script(peer):
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        await peer.request()  # waits for the client, which has read it
        peer.reset()

    pool = connect(await serve(script))
    async with post(pool) as exchange:
        assert await exchange.read() == b"half"
        exchange._connection.transport.write(b"GET / HTTP/1.1\r\n\r\n")
        with pytest.raises(Broken):
            await exchange.read()


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n",
    ],
)
async def test_short_body_is_given_and_then_broken(serve, connect, reply):
    pool = connect(await serve(closing(reply)))
    async with post(pool) as exchange:
        assert await exchange.read() == b"hi"
        for _ in range(2):
            with pytest.raises(Broken):
                await exchange.read()
    with pytest.raises(Broken):
        await call(pool)


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-le",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nhi\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
        b"HTTP/1.1 099 Odd\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 999 Odd\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nbytes",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
)
async def test_what_is_not_a_reply_is_broken(serve, connect, reply):
    upstream = await serve(closing(reply))
    with pytest.raises(Broken):
        await call(connect(upstream))
    assert upstream.accepted == 1  # a fresh connection that fails is not tried again


@pytest.mark.parametrize(
    "headers",
    [
        b"content-encoding: gzip",
        b"content-encoding: identity, br",
        b"transfer-encoding: gzip",
        b"transfer-encoding: gzip, chunked",
    ],
)
async def test_encoded_replies_are_refused(serve, connect, headers):
    pool = connect(await serve(closing(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n\x1f\x8b" % headers)))
    with pytest.raises(Broken, match="encoded"):
        await call(pool)


async def test_an_encoded_error_has_its_status_and_its_body_as_it_came(serve, connect):
    reply = b"HTTP/1.1 429 Slow\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n\x1f\x8b"
    status, headers, body = await call(connect(await serve(closing(reply))))
    assert (status, headers[b"content-encoding"], body) == (429, b"gzip", b"\x1f\x8b")


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1001,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 1001,
        b"HTTP/1.1 200 OK\r\nx: " + b"x" * 100_000,
        b"HTTP/1.1 200 " + b"x" * 100_000,
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 10_000,
        b"HTTP/1.1 103 Hint\r\n\r\n" * 10_000,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;" + b"x" * 1_000_000,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: " + b"x" * 1_000_000,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n" + b"a: b\r\n" * 10_000,
    ],
)
async def test_heads_and_bodies_are_capped(serve, connect, reply):
    async def script(peer):
        await peer.request()
        await peer.send(reply)
        await peer.left()  # returns because the client cuts it off, at once and not by a timer

    pool = connect(await serve(script), max_body=1000, max_head=5000)
    with pytest.raises(TooLarge):
        await call(pool)
    assert pool.idle == 0
