"""Replies cut anywhere read the same; garbage ends in an error of the tree, and soon."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.upstreams.http1 import Broken, HttpError, Timeouts
from gateway.upstreams.http1.reply import Reply
from gateway.upstreams.http1.timeouts import Clock

ROOT = Path(__file__).parents[3]
QUICK = Timeouts(5, 5, 5, 10)


def new_reply(*, to_head=False, max_head=4096, max_body=100_000):
    return Reply(Clock(QUICK, 10, 1), to_head=to_head, max_head=max_head, max_body=max_body)


def drained(reply):
    return b"".join(reply._taken())


def read(pieces, *, closed=True):
    """Status, headers, body, whether complete and whether kept, of a reply that came in pieces."""
    reply, body = new_reply(), b""
    for piece in pieces:
        if reply.error is not None:
            break
        reply.feed(piece, 1.0)
        body += drained(reply)
    if closed:
        reply.eof()
        reply.fail(Broken("closed"))
    assert reply.done != (reply.error is not None) or not closed
    return reply.status, reply.headers, body, reply.done, reply.keep


def cut(data, places):
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges) if a < b]


NAME = st.sampled_from([b"x-a", b"X-B", b"set-cookie", b"x-request-id", b"Date"])
VALUE = st.text("abc ,;=/0123", max_size=20).map(lambda text: text.strip().encode())
BODY = st.binary(max_size=300)


@st.composite
def replies(draw):
    """The bytes of a legal reply, with its status, headers and body."""
    status = draw(st.sampled_from([200, 201, 302, 404, 429, 500, 599]))
    headers = draw(st.lists(st.tuples(NAME, VALUE), max_size=5))
    body = draw(BODY)
    interim = b"HTTP/1.1 103 Hint\r\nlink: x\r\n\r\n" * draw(st.integers(0, 2))
    lines = b"".join(b"%b: %b\r\n" % pair for pair in headers)
    framing = draw(st.sampled_from(["length", "chunked", "close"]))
    sent, extra = body, b""
    if framing == "length":
        extra = b"content-length: %d\r\n" % len(body)
    elif framing == "chunked":
        extra = b"Transfer-Encoding: chunked\r\n"
        parts = [
            part for part in cut(body, draw(st.lists(st.integers(0, 300), max_size=5))) if part
        ]
        ext = draw(st.sampled_from([b"", b";a=b", b";a"]))
        trailer = draw(st.sampled_from([b"", b"x-a: late\r\n"]))
        sent = b"".join(b"%x%b\r\n%b\r\n" % (len(part), ext, part) for part in parts)
        sent += b"0\r\n" + trailer + b"\r\n"
    joined: dict[bytes, bytes] = {}
    for name, value in [*headers, *([tuple(extra[:-2].split(b": "))] if extra else [])]:
        key = name.lower()
        joined[key] = joined[key] + b", " + value if key in joined else value
    data = b"%bHTTP/1.1 %d Any\r\n%b%b\r\n%b" % (interim, status, lines, extra, sent)
    return data, status, joined, body, framing


@given(replies(), st.lists(st.integers(0, 2000), max_size=12))
def test_a_reply_cut_anywhere_reads_the_same(reply, places):
    data, status, headers, body, framing = reply
    assert read(cut(data, places)) == (status, headers, body, True, framing != "close")


@given(replies())
def test_a_reply_byte_by_byte_reads_the_same(reply):
    data, status, headers, body, framing = reply
    pieces = [data[i : i + 1] for i in range(len(data))]
    assert read(pieces) == (status, headers, body, True, framing != "close")


@given(replies(), st.integers(0, 2000))
def test_a_reply_cut_short_is_never_complete(reply, length):
    data, _, _, body, framing = reply
    short = data[: length % len(data)]
    _, _, got, done, kept = read([short])
    assert body.startswith(got)
    assert not kept
    if framing != "close" or not short.endswith(got) or b"\r\n\r\n" not in short:
        assert not done


@given(replies(), st.binary(min_size=1, max_size=50), st.lists(st.integers(0, 2000), max_size=5))
def test_what_follows_a_reply_is_not_in_it(reply, more, places):
    data, status, headers, body, framing = reply
    if framing == "close":
        return
    got = read([*cut(data, places), more])
    assert got == (status, headers, body, True, False)


@given(st.binary(max_size=500), st.lists(st.integers(0, 500), max_size=5))
@example(b"\r\n" * 100, [])
@example(b"HTTP/1.1 200 OK\r\n\r\n", [3])
def test_garbage_ends_in_an_error_of_the_tree(data, places):
    for prefix in (b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nx: y\r\n\r\n"):
        read([prefix, *cut(data, places)])


@given(replies(), st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=4)), max_size=4))
def test_damaged_replies_end(reply, damage):
    data = reply[0]
    for place, instead in damage:
        place %= len(data) + 1  # noqa: PLW2901 - a place within it
        data = data[:place] + instead + data[place + len(instead) // 2 :]
    status, _, _, done, _ = read([data])
    assert not done or 200 <= status <= 599


@given(replies(), st.lists(st.integers(0, 2000), max_size=5))
def test_head_reads_no_body(reply, places):
    data, status, _, _, _ = reply
    one = new_reply(to_head=True)
    for piece in cut(data, places):
        one.feed(piece, 1.0)
    assert (one.done, one.status, drained(one)) == (True, status, b"")


async def test_damaged_replies_over_real_sockets(serve, connect):
    """Whatever the upstream sends, a call ends with bytes or an error of the tree."""
    dice = random.Random(11)
    whole = [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 103 Hint\r\n\r\nHTTP/1.1 200 OK\r\n\r\nhello",
    ]

    async def script(peer):
        while await peer.request():
            data = bytearray(dice.choice(whole))
            for _ in range(dice.randrange(4)):
                data[dice.randrange(len(data))] = dice.randrange(256)
            for piece in cut(bytes(data), [dice.randrange(200) for _ in range(3)]):
                await peer.send(piece)
                await asyncio.sleep(0)
            if dice.random() < 0.5:
                peer.writer.close()
                return

    pool = connect(await serve(script), limit=10)

    async def call():
        limits = Timeouts(5, 0.15, 0.15, 3)
        async with pool.exchange("POST", "/", b"", b"{}", limits) as exchange:
            return await exchange.read_all()

    ends = []
    for _ in range(15):
        ends += await asyncio.gather(*(call() for _ in range(10)), return_exceptions=True)
    assert all(isinstance(end, bytes | HttpError) for end in ends), ends
    assert b"hello" in ends
    assert any(isinstance(end, Broken) for end in ends)


@pytest.mark.parametrize(
    ("loop", "client"), [("asyncio", "own"), ("uvloop", "own"), ("uvloop", "httpx")]
)
def test_cancelled_calls_do_not_wear_the_pool_out(loop, client):
    command = [sys.executable, "loadtests/churn.py", "--cancels", "1500", "--loop", loop]
    command += ["--client", client]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    proof = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    assert proof.returncode == 0, proof.stdout + proof.stderr
    figures = json.loads(proof.stdout)
    assert figures["plain_calls_served"] == 10
    assert sum(figures["cancelled"].values()) >= 1500
    assert min(figures["cancelled"].get(stage, 0) for stage in ("before", "head", "body")) > 0
    assert figures["close_ms_p99"] < 1000
