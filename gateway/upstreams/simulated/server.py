"""The simulated provider as a real HTTP server, for load and fault tests and for the demo."""

from __future__ import annotations

import asyncio
import hmac
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from gateway.dialects.messages import MESSAGES
from gateway.dialects.responses import RESPONSES
from gateway.upstreams.simulated import dialects, framing
from gateway.upstreams.simulated.behaviour import Behaviour
from gateway.upstreams.simulated.connection import Answer, Connection, Request
from gateway.upstreams.simulated.log import CallLog
from gateway.upstreams.simulated.provider import Provider
from gateway.upstreams.simulated.refusals import Declined, error_body
from gateway.upstreams.simulated.script import read_rules

CHAT = "/v1/chat/completions"
_OTHERS = {"/v1/messages": MESSAGES, "/v1/responses": RESPONSES}


class SimulatedServer:
    """A provider listening on a socket.

    POST /v1/chat/completions, /v1/messages and /v1/responses, GET /v1/models, GET /health; GET /log
    returns its own log, POST /log/reset empties it, POST /script replaces the rules. With a `key`
    everything under /v1 asks for it. The header `x-simulate` (or the body's `simulate`) names one
    request's fault.
    """

    def __init__(self, provider: Provider, key: str | None = None) -> None:
        self.provider = provider
        self._expected = f"Bearer {key}".encode() if key else None
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """The address without a path, `http://127.0.0.1:PORT`."""
        return f"http://{self._host}:{self.port}"

    @property
    def open_connections(self) -> int:
        """How many clients are connected."""
        return len(self._connections)

    def lines(self) -> list[dict[str, Any]]:
        """Return its own log, one object a call."""
        return self.provider.log.lines()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes a free one. Raises OSError when it cannot."""
        loop = asyncio.get_running_loop()
        # The protocol's number is named: without it asyncio leaves Nagle's algorithm on.
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, port))
            self._server = await loop.create_server(
                lambda: Connection(self.provider, self._answer, loop, self._connections),
                sock=sock,
                backlog=1024,
            )
        except BaseException:
            sock.close()
            raise
        self._host = f"[{host}]" if ":" in host else host
        self.port = sock.getsockname()[1]

    async def aclose(self) -> None:
        """Stop listening, cut every connection, close the log."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.transport.abort()
        if self._server is not None:
            await self._server.wait_closed()
        await asyncio.sleep(0)  # the connections hear of their end
        self.provider.log.close()

    def _answer(self, request: Request) -> Answer:
        place = (request.method, request.path)
        if request.method == "POST" and (request.path == CHAT or request.path in _OTHERS):
            return self._reply(request)
        if place == ("GET", "/v1/models"):
            if not self._admits(request):
                return _error(request, 401, "Incorrect API key provided.")
            return _json(request, self._models())
        if place == ("GET", "/health"):
            return _json(request, {"status": "ok"})
        if place == ("GET", "/log"):
            return _json(request, self.lines())
        if place == ("POST", "/log/reset"):
            self.provider.log.reset()
            return _json(request, {"status": "ok"})
        if place == ("POST", "/script"):
            return self._rescript(request)
        return _error(request, 404, f"No such thing here: {request.method} {request.path}.")

    def _reply(self, request: Request) -> Answer:
        refusal = None
        body: Any = {}
        if not self._admits(request):
            refusal = Declined(401, "Incorrect API key provided.", "invalid_api_key")
        else:
            try:
                body = orjson.loads(request.body)
            except orjson.JSONDecodeError:
                refusal = Declined(400, "The body is not JSON.", "invalid_json")
        if not isinstance(body, Mapping):
            refusal, body = Declined(400, "The body is not a JSON object.", "invalid_json"), {}
        directive = _text(request.headers.get(b"x-simulate"))
        if request.path in _OTHERS:
            spoken = _OTHERS[request.path]
            return dialects.receive(
                self.provider, spoken, body, directive=directive, refusal=refusal
            )
        return self.provider.receive(
            body,
            directive=directive,
            request_id=_text(request.headers.get(b"x-request-id")),
            refusal=refusal,
        )

    def _admits(self, request: Request) -> bool:
        given = request.headers.get(b"authorization", b"")
        if _OTHERS.get(request.path) is MESSAGES:
            given = b"Bearer " + request.headers.get(b"x-api-key", b"")
        return self._expected is None or hmac.compare_digest(given, self._expected)

    def _models(self) -> dict[str, Any]:
        names = list(self.provider.behaviour.models) or ["simulated"]
        models = [
            {"id": n, "object": "model", "created": 0, "owned_by": "simulated"} for n in names
        ]
        return {"object": "list", "data": models}

    def _rescript(self, request: Request) -> bytes:
        try:
            rules = read_rules(orjson.loads(request.body))
        except ValueError as error:
            return _error(request, 400, str(error))
        self.provider.direct(replace(self.provider.behaviour, rules=rules))
        return _json(request, {"rules": len(rules)})


@asynccontextmanager
async def serve_simulated(
    behaviour: Behaviour | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    key: str | None = None,
    log: Path | None = None,
) -> AsyncIterator[SimulatedServer]:
    """Serve a simulated provider on the running loop while the context lasts.

    Raises OSError when it cannot listen, or cannot write its log.
    """
    server = SimulatedServer(Provider(behaviour or Behaviour(), CallLog(log)), key)
    await server.start(host, port)
    try:
        yield server
    finally:
        await server.aclose()


def _json(request: Request, value: object) -> bytes:
    return framing.plain_answer(200, orjson.dumps(value), keep_alive=request.keep_alive)


def _error(request: Request, status: int, message: str) -> bytes:
    body = error_body(status, message)
    return framing.plain_answer(status, body, keep_alive=request.keep_alive)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")
