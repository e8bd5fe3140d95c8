"""The bare hop: uvicorn and our client, and nothing else. The least that a Python gateway can cost.

    python -m loadtests.hop UPSTREAM

prints `listening URL`. It reads the request as JSON, writes it as JSON, and passes the reply on as
it comes: no route, no key, no record, no metric.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson
import uvicorn
import uvloop

from gateway.upstreams.http1 import Pool, Timeouts

_TIMEOUTS = Timeouts()
_JSON = ((b"content-type", b"application/json"),)
_Message = MutableMapping[str, Any]


def app(pool: Pool) -> Callable[..., Awaitable[None]]:
    """Make the ASGI app in front of `pool`."""

    async def hop(
        scope: _Message,
        receive: Callable[[], Awaitable[_Message]],
        send: Callable[[_Message], Awaitable[None]],
    ) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        sent = orjson.dumps(orjson.loads(body)) if body else b""
        headers = _JSON if sent else ()
        async with pool.exchange(
            scope["method"], scope["path"], headers, sent, _TIMEOUTS
        ) as exchange:
            kept = [(n, v) for n, v in exchange.headers.items() if n.startswith(b"content-")]
            await send({"type": "http.response.start", "status": exchange.status, "headers": kept})
            while block := await exchange.read():
                await send({"type": "http.response.body", "body": block, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return hop


async def serve(upstream: str) -> None:
    """Serve until the process is ended."""
    sock = socket.create_server(("127.0.0.1", 0), backlog=2048)
    config = uvicorn.Config(
        app(Pool(upstream)), http="httptools", lifespan="off", log_level="error", access_log=False
    )
    print(f"listening http://127.0.0.1:{sock.getsockname()[1]}", flush=True)
    await uvicorn.Server(config).serve([sock])


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(sys.argv[1]))
