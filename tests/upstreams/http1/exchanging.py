"""What the tests of one exchange share: patient time-outs, and scripts that reply."""

from __future__ import annotations

from gateway.upstreams.http1 import (
    Timeouts,
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
