"""What the simulated provider's tests share: calls to it, in process and over a socket."""

from __future__ import annotations

import asyncio
import contextlib
import json

from gateway.core.chat import Draft
from gateway.core.errors import UpstreamError
from gateway.core.plan import Tier
from gateway.core.ports import UpstreamCall

CHAT = "/v1/chat/completions"


def ask(text="What is copper?", model="small", **fields):
    return {"model": model, "messages": [{"role": "user", "content": text}], **fields}


def upstream_call(body, **options):
    stream = bool(body.get("stream"))
    tier = Tier("tier", "sim", body["model"])
    return UpstreamCall("call", tier, body, stream, options.pop("on_sent", lambda: None), **options)


async def talk(upstream, body, **options):
    """One call; returns (draft, error or None)."""
    draft = Draft()

    async def receive(delta):
        draft.add(delta)
        return True

    try:
        await upstream.call(upstream_call(body, **options), receive)
    except UpstreamError as error:
        return draft, error
    return draft, None


async def post(server, body, path=CHAT, headers="", method="POST"):
    """A request by hand; returns (status, headers, body), chunks undone."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    head = f"{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(data)}\r\n{headers}"
    writer.write(f"{head}connection: close\r\n\r\n".encode() + data)
    try:
        raw = await asyncio.wait_for(reader.read(), 20)
    finally:
        await hang_up(writer)
    head, _, rest = raw.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    fields = dict(line.lower().split(": ", 1) for line in lines[1:])
    if fields.get("transfer-encoding") == "chunked":
        rest = unchunked(rest)
    return int(lines[0].split()[1]), fields, rest


async def open_stream(server, **fields):
    """Ask for a stream and leave its reading to the caller."""
    body = json.dumps(ask(stream=True, **fields)).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    return reader, writer


async def hang_up(writer):
    """Close it, whatever the other side did, and wait until it is closed."""
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def unchunked(data):
    out = []
    while data:
        size, _, rest = data.partition(b"\r\n")
        length = int(size, 16)
        out.append(rest[:length])
        data = rest[length + 2 :]
    return b"".join(out)


def event_data(raw):
    return [block.removeprefix(b"data: ") for block in raw.split(b"\n\n") if block]


async def eventually(holds, seconds=20.0):
    """Wait until it holds; the ceiling is for hangs only."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 -- it asks a log, which calls nobody back
            await asyncio.sleep(0.002)
