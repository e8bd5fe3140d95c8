"""What the tests of a pool share."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

from gateway.upstreams.http1 import Timeouts, dial

PATIENT = Timeouts(10, 10, 10, 15)
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"
CERTS = Path(__file__).parent / "certs"


async def call(pool, timeouts=PATIENT, on_sent=None):
    async with pool.exchange("POST", "/", b"", b"{}", timeouts, on_sent) as exchange:
        return await exchange.read_all()


async def answering(peer):
    while await peer.request():
        await peer.send(OK)


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


def server_side(name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTS / f"{name}.pem")
    return context


def client_side():
    context = dial.ResumingContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(CERTS / "ca.pem")
    return context
