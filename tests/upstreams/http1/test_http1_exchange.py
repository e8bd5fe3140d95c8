"""What one exchange reads, and what it refuses to read."""

from __future__ import annotations

import asyncio

import pytest

from gateway.upstreams.http1 import (
    Broken,
    ConnectFailed,
    HttpError,
    Pool,
    TimedOut,
    Timeouts,
    TooLarge,
)

PATIENT = Timeouts(10, 10, 10, 15)
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"


def post(pool, body=b"{}", timeouts=PATIENT, on_sent=None, method="POST", headers=()):
    return pool.exchange(method, "/v1/x?a=b", headers, body, timeouts, on_sent)


async def call(pool, **how):
    async with post(pool, **how) as exchange:
        return exchange.status, dict(exchange.headers), await exchange.read_all()


def replying(*replies):
    """A script that gives the upstream's nth request the nth reply, on whatever connection."""
    left = list(replies)

    async def script(peer):
        while left and await peer.request():
            await peer.send(left.pop(0))
        await peer.left()

    return script


def closing(reply):
    """A script that replies and closes."""

    async def script(peer):
        await peer.request()
        await peer.send(reply)

    return script


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
        assert exchange._reply.buffered < 2_000_000
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
        await call(pool, timeouts=Timeouts(5, 5, 0.3, 0.7))
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


@pytest.mark.parametrize(
    "headers",
    [
        b"x: 1",
        b"x: 1\r\n\r\n",
        b"x: 1\ny: 2\r\n",
        b"x: a\0b\r\n",
        b"x y: 1\r\n",
        b": 1\r\n",
        b"x\r\n",
        [(b"x", b"1\r\ny: 2")],
        [(b"x\r\ny", b"1")],
        [(b"x", b"1\0")],
        [(b"", b"1")],
        ((b"x", b"1\n"),),
        [(b"Content-Length", b"5")],
        [(b"transfer-encoding", b"chunked")],
        [(b"host", b"elsewhere")],
        [(b"accept-encoding", b"gzip")],
        [(b"connection", b"x-a")],
    ],
)
def test_headers_that_could_smuggle_are_refused(headers):
    pool = Pool("http://127.0.0.1:1")
    for _ in range(2):
        with pytest.raises(ValueError, match="header"):
            pool.exchange("POST", "/", headers, b"", PATIENT)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/a b"),
        ("GET", "/a\r\nx: 1"),
        ("GET", "/\0"),
        ("GET", "no-slash"),
        ("GET", ""),
        ("GET", "/#f"),
        ("GET", "/\u00e9"),
        ("GE T", "/"),
        ("GET\r\n", "/"),
        ("", "/"),
        ("G\u00c9T", "/"),
        ("CONNECT", "/"),
    ],
)
def test_request_lines_that_could_smuggle_are_refused(method, path):
    with pytest.raises(ValueError, match="request line"):
        Pool("http://127.0.0.1:1").exchange(method, path, b"", b"", PATIENT)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a",
        "127.0.0.1:80",
        "http://",
        "http://u:secret@a",
        "http://a/?q",
        "http://a/#f",
        "http://a:99999",
        "http://a\r\nb/",
        "http://a b/",
    ],
)
def test_base_urls_that_are_not(url):
    with pytest.raises(ValueError, match=r"^(?!.*secret)"):
        Pool(url).exchange("GET", "/", b"", b"", PATIENT)


@pytest.mark.parametrize(
    ("url", "host", "target"),
    [
        ("http://Example.test/v1/", b"example.test", b"/v1/x"),
        ("http://example.test:8080", b"example.test:8080", b"/x"),
        ("https://example.test:443", b"example.test", b"/x"),
        ("https://example.test:80", b"example.test:80", b"/x"),
        ("http://[::1]:8080/a", b"[::1]:8080", b"/a/x"),
        ("http://b\u00fccher.test", b"xn--bcher-kva.test", b"/x"),
    ],
)
def test_base_urls(url, host, target):
    head = Pool(url).exchange("GET", "/x", b"", b"", PATIENT)._head
    assert head.startswith(b"GET %b HTTP/1.1\r\nhost: %b\r\n" % (target, host))
