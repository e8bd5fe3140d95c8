"""Raw, scripted upstreams on loopback sockets; each test runs on asyncio's loop and on uvloop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

import pytest
import uvloop

from gateway.upstreams.http1 import Pool
from gateway.upstreams.http1 import names as naming

LIMIT = 60.0  # seconds: a ceiling for hangs, nothing is measured against it


def pytest_asyncio_loop_factories(config, item):
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class Peer:
    """The upstream's end of one connection."""

    def __init__(self, reader, writer, number):
        self.reader = reader
        self.writer = writer
        self.number = number  # 0 for the first connection that the upstream accepted

    async def request(self) -> bytes:
        """The next request with its body, or b"" when the client left."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = 0
            for line in head.split(b"\r\n"):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.partition(b":")[2])
            return head + (await self.reader.readexactly(length) if length else b"")
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""

    async def send(self, data: bytes) -> None:
        if self.writer.transport.is_closing():
            return
        self.writer.write(data)
        with contextlib.suppress(ConnectionError):
            await self.writer.drain()

    async def left(self) -> None:
        """Waits until the client's end is closed."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass

    def reset(self) -> None:
        """Closes with RST."""
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


class Upstream:
    def __init__(self, server, scheme="http"):
        self.server = server
        self.port = server.sockets[0].getsockname()[1]
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self.accepted = 0
        self.requests: list[bytes] = []
        self.open = 0


@pytest.fixture
async def serve():
    """`await serve(script)` starts an upstream which runs `script(peer)` for each connection."""
    upstreams, tasks, failures = [], set(), []

    async def start(script, **how):
        async def connected(reader, writer):
            upstream.accepted += 1
            upstream.open += 1
            peer = Peer(reader, writer, upstream.accepted - 1)
            task = asyncio.current_task()
            tasks.add(task)
            try:
                await script(peer)
            except asyncio.CancelledError:
                pass
            except Exception as error:  # noqa: BLE001 - told after the test, from where pytest sees it
                failures.append(error)
            finally:
                upstream.open -= 1
                tasks.discard(task)
                writer.close()
                with contextlib.suppress(ConnectionError, asyncio.CancelledError, OSError):
                    await writer.wait_closed()

        server = await asyncio.start_server(connected, "127.0.0.1", 0, backlog=1024, **how)
        upstream = Upstream(server, "https" if how.get("ssl") else "http")
        upstreams.append(upstream)
        return upstream

    yield start
    for upstream in upstreams:
        upstream.server.close()
    for task in list(tasks):
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=LIMIT)
    assert not failures, failures


@pytest.fixture
async def connect():
    """`connect(upstream, **options)` makes a pool, closed and checked for leaks afterwards."""
    pools = []

    def make(upstream, **options):
        pool = Pool(upstream.url, **options)
        pools.append(pool)
        return pool

    yield make
    for pool in pools:
        assert pool.busy == 0
        assert pool.waiting == 0
        await asyncio.wait_for(pool.aclose(), LIMIT)
        assert pool.open == 0
        assert pool.idle == 0


@pytest.fixture
def eventually():
    """Waits for a condition, and fails if it never comes true."""

    async def wait(condition, limit=LIMIT):
        async with asyncio.timeout(limit):
            while not condition():  # noqa: ASYNC110 - counters of a pool set no event
                await asyncio.sleep(0.002)

    return wait


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
    monkeypatch.setattr(naming, "resolve", book.resolve)
    return book
