"""A scripted upstream on a raw loopback socket: what it says, byte for byte, and how it ends.

A script is a row of steps, done for each request that arrives: bytes are sent, a float is a
pause in seconds, and a word does something to the connection:

    "reset"   close with RST         "close"   close with FIN
    "hang"    wait for the client to leave
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

LIMIT = 60.0  # seconds: a ceiling for hangs, nothing is measured against it
Step = bytes | float | str


def head(status=200, reason="OK", **headers):
    """A reply's head; a header's underscores are dashes."""
    lines = [f"HTTP/1.1 {status} {reason}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join((*lines, "", "")).encode()


def whole(body, status=200, **headers):
    """A complete reply."""
    headers = {"content_type": "application/json", "content_length": len(body), **headers}
    return head(status, **headers) + body


def chunk(data):
    """One chunk of a chunked body; b"" is its end."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def stream_head():
    return head(content_type="text/event-stream", transfer_encoding="chunked")


def events(*payloads):
    """Server-sent events of these payloads."""
    return b"".join(b"data: %b\n\n" % payload for payload in payloads)


def streamed(*blocks):
    """A complete streamed reply whose body is these blocks, a chunk each."""
    return stream_head() + b"".join(chunk(block) for block in (*blocks, b""))


class Scripted:
    """`async with Scripted(*steps) as server`; or one row of steps for each connection in turn,
    as lists: the last row serves all later ones. `eager` scripts do not wait for a request.
    """

    def __init__(self, *script, eager=False):
        rows = script and isinstance(script[0], list)
        self._rows = list(script) if rows else [list(script)]
        self._eager = eager
        self._tasks = set()
        self.requests: list[bytes] = []
        self.accepted = 0
        self.open = 0
        self.asked = asyncio.Event()  # a request has arrived
        self.left = asyncio.Event()  # a client closed its end while the script hung

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=LIMIT)

    async def _connected(self, reader, writer):
        self._tasks.add(task := asyncio.current_task())
        steps = self._rows[min(self.accepted, len(self._rows) - 1)]
        self.accepted += 1
        self.open += 1
        try:
            if self._eager:
                await self._play(steps, reader, writer)
            else:
                while await self._request(reader) and await self._play(steps, reader, writer):
                    pass
        except (asyncio.CancelledError, ConnectionError):
            pass
        finally:
            self.open -= 1
            self._tasks.discard(task)
            writer.close()

    async def _request(self, reader) -> bool:
        try:
            start = await reader.readuntil(b"\r\n\r\n")
            lines = start.lower().split(b"\r\n")
            sizes = [int(line[15:]) for line in lines if line.startswith(b"content-length:")]
            self.requests.append(start + await reader.readexactly(sum(sizes)))
        except (asyncio.IncompleteReadError, ConnectionError):
            return False
        self.asked.set()
        return True

    async def _play(self, steps, reader, writer) -> bool:
        """Do the steps; may another request follow on this connection?"""
        for step in steps:
            if isinstance(step, bytes):
                writer.write(step)
                await writer.drain()
            elif isinstance(step, float):
                await asyncio.sleep(step)
            else:
                if step == "hang":
                    with contextlib.suppress(ConnectionError):
                        await reader.read()
                    self.left.set()
                elif step == "reset":
                    raw = writer.get_extra_info("socket")
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    writer.transport.abort()
                return False
        return True


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
