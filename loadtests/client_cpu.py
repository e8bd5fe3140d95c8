"""CPU time per request of the upstream client, beside a bare socket, httpx with a connection for
each call (what a proxy or HTTP/2 is reached through) and httpx as it comes.

An instant upstream in a process of its own answers a 400-byte chat request with 700 bytes, or with
a stream of 50 chunks 2 ms apart. CPU is the client process's user and system time, loop included,
over the requests: far steadier than throughput on a shared machine, and ratios steadier still.

    python loadtests/client_cpu.py [--requests 20000] [--connections 32] [--repeats 3]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import resource
import statistics
from collections.abc import Awaitable, Callable
from functools import partial
from multiprocessing.connection import Connection
from typing import cast

import httpx
import uvloop

from gateway.upstreams.http1 import Pool, Timeouts
from gateway.upstreams.through_httpx import HttpxPool

TIMEOUTS = Timeouts()
HEADERS = b"content-type: application/json\r\nauthorization: Bearer sk-none\r\n"
BODY = b'{"model":"small","messages":[{"role":"user","content":"%s"}]}' % (b"x" * 340)
REPLY = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 700\r\n\r\n" + b"y" * 700
)
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
CHUNK = b"c8\r\n" + b"z" * 198 + b"\n\n\r\n"
CHUNKS = 50

CLIENTS: dict[str, type[Pool | HttpxPool]] = {"ours": Pool, "through_httpx": HttpxPool}
One = Callable[[], Awaitable[int]]


class Instant(asyncio.Protocol):
    """Answers before it has thought."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        self.transport = cast("asyncio.Transport", transport)
        self.had = b""

    def data_received(self, data: bytes) -> None:
        """Takes the end of the body for the end of the request."""
        self.had += data
        if not self.had.endswith(b"}]}"):
            return
        if self.had.startswith(b"POST /stream"):
            self.transport.write(STREAM)
            self._chunk(CHUNKS)
        else:
            self.transport.write(REPLY)
        self.had = b""

    def _chunk(self, left: int) -> None:
        if not left:
            self.transport.write(b"0\r\n\r\n")
            return
        self.transport.write(CHUNK)
        asyncio.get_running_loop().call_later(0.002, self._chunk, left - 1)


def upstream(pipe: Connection) -> None:
    """The upstream's process."""

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Instant, "127.0.0.1", 0, backlog=1024)
        pipe.send(server.sockets[0].getsockname()[1])
        await asyncio.Event().wait()

    uvloop.run(serve())


class Bare(asyncio.Protocol):
    """The floor: a socket that counts bytes, without HTTP, pool or limits."""

    def __init__(self) -> None:
        self.left = 0
        self.done: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Counts."""
        self.left -= len(data)
        if self.left <= 0 and self.done is not None:
            self.done.set_result(None)

    async def ask(self, request: bytes, length: int) -> int:
        """One request whose reply is known to have `length` bytes."""
        self.left = length
        self.done = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        await self.done
        return length


async def measure(one: list[One], requests: int) -> float:
    """CPU microseconds per request; each of `one` is called again and again, side by side."""

    async def caller(call: One, count: int) -> None:
        for _ in range(count):
            assert await call()

    await asyncio.gather(*(caller(call, 5) for call in one))
    before = resource.getrusage(resource.RUSAGE_SELF)
    await asyncio.gather(*(caller(call, requests // len(one)) for call in one))
    after = resource.getrusage(resource.RUSAGE_SELF)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return 1e6 * used / (requests // len(one) * len(one))


async def run(port: int, client: str, kind: str, requests: int, connections: int) -> float:
    """CPU microseconds per request of one client."""
    url, path = f"http://127.0.0.1:{port}", f"/{kind}"
    if client == "bare":
        head = b"POST %b HTTP/1.1\r\nhost: x\r\n%bcontent-length: %d\r\n\r\n"
        request = head % (path.encode(), HEADERS, len(BODY)) + BODY
        length = len(REPLY) if kind == "plain" else len(STREAM) + CHUNKS * len(CHUNK) + 5
        loop = asyncio.get_running_loop()
        bare = [
            (await loop.create_connection(Bare, "127.0.0.1", port))[1] for _ in range(connections)
        ]
        calls: list[One] = [partial(each.ask, request, length) for each in bare]
        return await measure(calls, requests)
    if client in CLIENTS:
        pool = CLIENTS[client](url)

        async def ours() -> int:
            async with pool.exchange("POST", path, HEADERS, BODY, TIMEOUTS) as exchange:
                size = 0
                while block := await exchange.read():
                    size += len(block)
                return size

        used = await measure([ours] * connections, requests)
        await pool.aclose()
        return used
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    headers = dict(line.split(": ", 1) for line in HEADERS.decode().splitlines())
    async with httpx.AsyncClient(limits=limits, timeout=20, trust_env=False) as session:

        async def theirs() -> int:
            size = 0
            async with session.stream("POST", url + path, content=BODY, headers=headers) as reply:
                async for block in reply.aiter_raw():
                    size += len(block)
            return size

        return await measure([theirs] * connections, requests)


def main() -> None:
    """The command."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--requests", type=int, default=20_000)
    options.add_argument("--connections", type=int, default=32)
    options.add_argument("--repeats", type=int, default=3)
    chosen = options.parse_args()
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=upstream, args=(theirs,), daemon=True
    )
    process.start()
    port = ours.recv()
    for kind, requests, connections in (
        ("plain", chosen.requests, chosen.connections),
        ("stream", chosen.requests // 20, 8),
    ):
        figures: dict[str, list[float]] = {"bare": [], "ours": [], "through_httpx": [], "httpx": []}
        for _ in range(chosen.repeats):
            for client, found in figures.items():
                slow = "httpx" in client
                count = max(connections, requests // 10 if slow else requests)
                found.append(uvloop.run(run(port, client, kind, count, connections)))
        rows = {
            client: {
                "cpu_us": round(statistics.median(found), 1),
                "spread": [round(min(found), 1), round(max(found), 1)],
                "x_bare": round(statistics.median(found) / statistics.median(figures["bare"]), 2),
            }
            for client, found in figures.items()
        }
        load = round(os.getloadavg()[0], 1)
        print(json.dumps({"kind": kind, "connections": connections, "load": load, **rows}))
    process.terminate()


if __name__ == "__main__":
    main()
