"""A forward proxy and an HTTP/2 server on real sockets of the test's own loop."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from urllib.parse import quote, urlsplit

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived, StreamEnded, StreamReset
from upstreams.http1.pooling import server_side
from upstreams.scripted import LIMIT

NEEDS = b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n"
USER, PASSWORD = "someone", "p:ss@word"


class Listener:
    """Serves while inside; `open` counts its connections, `accepted` all there were."""

    secure = False

    async def __aenter__(self):
        self.open = self.accepted = 0
        self._tasks = set()
        context = server_side("good") if self.secure else None
        if context is not None:
            context.set_alpn_protocols(["h2", "http/1.1"])
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=LIMIT)

    async def _connected(self, reader, writer):
        self._tasks.add(task := asyncio.current_task())
        self.open += 1
        self.accepted += 1
        try:
            await self.serve(reader, writer)
        except (asyncio.CancelledError, ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            self._tasks.discard(task)
            writer.close()


class Proxy(Listener):
    """Tunnels what it is asked to by CONNECT, and asks for what has a whole URL; `heads` are the
    heads that came, `refuse` what it says in place of all that."""

    def __init__(self, *, auth=False, refuse=b"", secure=False):
        self.auth, self.refuse, self.secure = auth, refuse, secure
        self.heads = []

    def url(self):
        scheme = "https" if self.secure else "http"
        return f"{scheme}://{USER}:{quote(PASSWORD)}@localhost:{self.port}"

    async def serve(self, reader, writer):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            wanted = base64.b64encode(f"{USER}:{PASSWORD}".encode())
            if self.refuse or (self.auth and b"Basic " + wanted not in head):
                writer.write(self.refuse or NEEDS)
                continue
            method, target, _ = head.split(b"\r\n")[0].split(b" ")
            if method == b"CONNECT":
                host, _, port = target.decode().rpartition(":")
                await self._tunnel(reader, writer, host, int(port), first=b"")
                return
            parts = urlsplit(target.decode())
            plain = head.replace(target, parts.path.encode(), 1)
            # The next request may have another host, so that it comes on a connection of its own.
            plain = plain.replace(b"\r\n", b"\r\nconnection: close\r\n", 1)
            await self._tunnel(reader, writer, parts.hostname, parts.port, first=plain)
            return

    async def _tunnel(self, reader, writer, host, port, first):
        there, back = await asyncio.open_connection(host, port)
        if first:
            back.write(first)
        else:
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        ways = [asyncio.create_task(_pump(*each)) for each in ((reader, back), (there, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            back.close()


async def _pump(reader, writer):
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


class Http2(Listener):
    """Answers each request by `answer(say, headers)`, where `say(data, end=False)` sends; the head
    of the reply goes first. `resets` are the streams that clients reset."""

    secure = True

    def __init__(self, answer):
        self.answer, self.resets, self.requests = answer, [], []

    @property
    def url(self):
        return f"https://localhost:{self.port}/v1"

    async def serve(self, reader, writer):
        h2 = H2Connection(H2Configuration(client_side=False))
        h2.initiate_connection()
        writer.write(h2.data_to_send())
        answers = set()
        try:
            while data := await reader.read(65536):
                for event in h2.receive_data(data):
                    if isinstance(event, RequestReceived):
                        self.requests.append((event.stream_id, dict(event.headers)))
                    elif isinstance(event, StreamEnded):
                        answers.add(asyncio.create_task(self._reply(h2, writer, event.stream_id)))
                    elif isinstance(event, StreamReset):
                        self.resets.append(event.stream_id)
                writer.write(h2.data_to_send())
        finally:
            for each in answers:
                each.cancel()

    async def _reply(self, h2, writer, stream):
        def say(data, *, end=False):
            h2.send_data(stream, data, end_stream=end)
            writer.write(h2.data_to_send())

        h2.send_headers(stream, [(":status", "200"), ("content-type", "text/event-stream")])
        await self.answer(say)
