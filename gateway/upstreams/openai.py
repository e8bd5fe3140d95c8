"""Any server that speaks one of the known wires over HTTP, as an upstream."""

from __future__ import annotations

import contextlib
import logging
from asyncio import timeout
from collections.abc import Mapping, Sequence
from dataclasses import replace

import orjson

from gateway.config.presets import BEARER
from gateway.core.errors import UpstreamError
from gateway.core.ports import Receive, UpstreamCall
from gateway.core.streaming import Intake
from gateway.upstreams import failures
from gateway.upstreams.events import Events
from gateway.upstreams.http1 import HttpError, Pool, Sink, Timeouts
from gateway.upstreams.http_port import Connections, Exchange
from gateway.upstreams.messages import COUNT_PATH, MESSAGES, counted, counting
from gateway.upstreams.responses import RESPONSES
from gateway.upstreams.speaking import CHAT, Reader, Speech

WIRES: Mapping[str, Speech] = {"chat": CHAT, "messages": MESSAGES, "responses": RESPONSES}
_log = logging.getLogger("waterfall")
LONGEST_ID = 128
"""Characters of what a provider calls a request that are kept."""
MAX_ERROR_BODY = 64 * 1024
"""Bytes of an error's body that are read."""
ERROR_PATIENCE = 2.0
"""Seconds that an error's body is waited for: its status is known already."""
END_PATIENCE = 0.05
"""Seconds after the last event for the message to end properly: then its connection is kept."""


class OpenAIUpstream:
    """One endpoint and its connections.

    base_url: up to and with the version, such as "https://host/v1".
    limit: connections, busy and idle together.
    key_header: the header that the key goes in.
    warm: connections that `warm` opens.
    connections: what is called through, in the place of a pool of our own.

    Raises ValueError for a base URL or key that cannot be one (and does not repeat it).
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        api_key: str | None,
        timeouts: Timeouts,
        *,
        limit: int = 512,
        key_header: str = BEARER,
        warm: int = 0,
        connections: Connections | None = None,
    ) -> None:
        self.name = name
        self._api_key = api_key
        self._headers = request_headers(f"upstream {name!r}", api_key, key_header)
        self._timeouts = timeouts
        self._pool: Connections = connections or Pool(base_url, limit=limit)
        self._warm = warm

    async def call(self, call: UpstreamCall, receive: Receive) -> None:
        """Make one call; see `gateway.core.ports.Upstream`."""
        timeouts = self._patience(call)
        wire = WIRES[call.tier.wire]
        try:
            body, more = wire.write(call)
            headers = self._headers + more if more else self._headers
            if call.trace:
                headers += f"traceparent: {call.trace}\r\n".encode()
            async with self._pool.exchange(
                "POST", wire.path, headers, body, timeouts, call.on_sent
            ) as exchange:
                call.on_named(request_id(exchange.headers))
                if not 200 <= exchange.status < 300:
                    told = await _some_body(exchange)
                    raise failures.from_reply(exchange.status, exchange.headers, told)
                if call.stream:
                    await _stream(exchange, wire, call, receive)
                    return
                raw = await exchange.read_all()
            # The connection is free again before anybody thinks about the reply.
            await receive(wire.plain(raw, call))
        except HttpError as error:
            raise failures.from_wire(error) from error
        except UpstreamError as error:
            failures.mask(error, self._api_key)
            raise

    async def count(self, call: UpstreamCall) -> int:
        """Count a prompt's tokens; see `gateway.core.ports.Counts`."""
        try:
            body, more = counting(call)
            async with self._pool.exchange(
                "POST", COUNT_PATH, self._headers + more, body, self._patience(call)
            ) as exchange:
                told = await exchange.read_all()
        except HttpError as error:
            raise failures.from_wire(error) from error
        if not 200 <= exchange.status < 300:
            refusal = failures.from_reply(exchange.status, exchange.headers, told[:MAX_ERROR_BODY])
            failures.mask(refusal, self._api_key)
            raise refusal
        return counted(told)

    async def warm(self) -> None:
        """Open connections ahead of use; where that fails, who needs one will hear of it."""
        try:
            await self._pool.warm(self._warm, self._timeouts)
        except HttpError as error:
            _log.debug("upstream %s is not warmed: %s", self.name, error)

    async def aclose(self) -> None:
        """Close every connection; calls under way fail."""
        await self._pool.aclose()

    def _patience(self, call: UpstreamCall) -> Timeouts:
        timeouts = self._timeouts
        return replace(timeouts, total=call.timeout) if call.timeout < timeouts.total else timeouts


async def _stream(exchange: Exchange, wire: Speech, call: UpstreamCall, receive: Receive) -> None:
    """Push every event's delta until the last, a proper end without it, or somebody's False."""
    reader, intake = wire.reader(call), call.intake
    events, first, heard = Events(reader, alike=wire.alike), True, False
    while block := await exchange.read():
        if first:
            first = False
            await _refuse_a_document(exchange, block)
        for delta in events.read(block):
            heard = True
            if not await receive(delta):
                return
        if heard and intake is not None and not events.is_over:
            await exchange.pour(_poured(events, intake))
            if not await intake.settle():
                return
        if events.is_over:
            events.check()
            await _end(exchange, reader, receive)
            return
    events.check()


def _poured(events: Events, intake: Intake) -> Sink:
    """Read each block as it comes, and hand its deltas on."""

    def sink(blocks: Sequence[bytes]) -> bool:
        template = events.template
        if template is not None and intake.flows and len(blocks) == 1:
            quoted = template.quote(blocks[0])
            if quoted is not None:
                index, text, event = quoted
                return intake.pass_on(index, text, event)
        return intake.take(events.read_all(blocks)) and not events.is_over

    return sink


async def _refuse_a_document(exchange: Exchange, block: bytes) -> None:
    """Raise if this is JSON or HTML where events were asked for.

    What it begins with says so more reliably than its content type, which servers get wrong.
    """
    start = block.lstrip()[:1]
    if start == b"{":
        told = block + await _some_body(exchange)
        with contextlib.suppress(orjson.JSONDecodeError):
            error = failures.in_payload(orjson.loads(told))
            if error is not None:
                raise error
    if start in {b"{", b"[", b"<"}:
        raise failures.nonsense("it is not the stream that was asked for")


async def _some_body(exchange: Exchange) -> bytes:
    """Read what an error has to say, within reason; what is missing is not worth another error."""
    blocks: list[bytes] = []
    size = 0
    with contextlib.suppress(HttpError, TimeoutError):
        async with timeout(ERROR_PATIENCE):
            while size < MAX_ERROR_BODY and (block := await exchange.read()):
                blocks.append(block)
                size += len(block)
    return b"".join(blocks)


async def _end(exchange: Exchange, reader: Reader, receive: Receive) -> None:
    """Push what the last event has left, and drop what follows it. The reply is complete: nothing
    here can spoil it."""
    if reader.last is not None and not await receive(reader.last):
        return
    with contextlib.suppress(HttpError, TimeoutError):
        async with timeout(END_PATIENCE):
            while await exchange.read():
                pass


def request_id(headers: Mapping[bytes, bytes]) -> str:
    """Return what a provider calls a request, from its reply's headers; nothing where it does not
    say. It is cut to LONGEST_ID characters."""
    named = headers.get(b"x-request-id") or headers.get(b"request-id") or b""
    return named[:LONGEST_ID].decode("latin-1")


def request_headers(owner: str, api_key: str | None, key_header: str = BEARER) -> bytes:
    """Return a request's headers; raises ValueError, naming `owner`, for a key that is none.

    A key goes as the bearer token, or alone into a header that is not `authorization`.
    """
    lines = [
        b"content-type: application/json",
        b"accept: application/json, text/event-stream",
        b"user-agent: waterfall",
    ]
    if api_key:
        if not (api_key.isascii() and api_key.isprintable()) or " " in api_key:
            raise ValueError(f"the API key of {owner} has characters that no key has")
        scheme = "Bearer " if key_header == BEARER else ""
        lines.append(f"{key_header}: {scheme}{api_key}".encode())
    return b"\r\n".join((*lines, b""))
