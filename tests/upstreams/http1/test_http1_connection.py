"""One connection by itself, on asyncio's loop and on uvloop."""

from __future__ import annotations

import asyncio
import socket

from gateway.upstreams.http1 import Timeouts
from gateway.upstreams.http1.connection import Connection
from gateway.upstreams.http1.reply import Reply
from gateway.upstreams.http1.timeouts import Clock

HEAD = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n"


def fresh_reply(loop):
    clock = Clock(Timeouts(), loop.time() + 60, loop.time())
    return Reply(clock, to_head=False, max_head=1 << 16, max_body=1 << 20)


async def test_a_request_is_with_the_kernel_when_begin_returns():
    """A process that is killed in the next instant has made the call that it has marked."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        transport, connection = await loop.create_connection(
            lambda: Connection(lambda _: None), *listener.getsockname()
        )
        peer, _ = listener.accept()
        with peer:
            connection.begin(fresh_reply(loop), HEAD, b"hello")
            peer.setblocking(False)
            assert peer.recv(4096) == HEAD + b"hello"
            transport.abort()
            await asyncio.sleep(0)


async def test_what_the_kernel_does_not_take_at_once_follows_in_order():
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        ours = socket.create_connection(listener.getsockname())
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        ours.setblocking(False)
        transport, connection = await loop.create_connection(
            lambda: Connection(lambda _: None), sock=ours
        )
        peer, _ = listener.accept()
        with peer:
            body = bytes(range(256)) * 250
            connection.begin(fresh_reply(loop), HEAD, body)
            assert transport.get_write_buffer_size()
            peer.setblocking(False)
            had = b""
            while len(had) < len(HEAD + body):
                had += await loop.sock_recv(peer, 4096)
            assert had == HEAD + body
            transport.abort()
            await asyncio.sleep(0)
