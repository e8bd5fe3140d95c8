"""Replies on their way out: a plain one whole, a streamed one as server-sent events.

The status line of a stream waits for the first byte that may be seen: a failure before it is an
ordinary HTTP error, after it an `error` event that ends the stream without `[DONE]`. Other dialects
than the chat have their own words for all of that (`voice.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from gateway.api import headers
from gateway.api.http import JSON, Headers, Send, answer, answer_error
from gateway.api.keepalive import KeepAlive
from gateway.api.sending import Unfinished, Write, begun
from gateway.api.voice import CHAT, Voice, used, wire_bytes
from gateway.core.chat import Delta
from gateway.core.errors import GatewayError
from gateway.core.ledger import Entry
from gateway.core.money import dollars
from gateway.core.streaming import Client, Head
from gateway.engine import NOBODY

EVENTS: Headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]
DONE = b"data: [DONE]\n\n"


class PlainReply:
    """Sends one JSON body, out of its entry: nothing is pushed into it."""

    def __init__(
        self, send: Send, base: Headers, simulated: frozenset[str], voice: Voice = CHAT
    ) -> None:
        """`base` are the headers already known."""
        self._send, self._base, self._simulated, self._voice = send, base, simulated, voice
        self.started = False

    client: Client = NOBODY
    """Where its deltas are to be pushed."""

    async def finish(self, entry: Entry) -> None:
        """Send the served reply's own bytes, or the error."""
        outcome = entry.outcome
        told = [*self._base, *headers.served(outcome, self._simulated), *headers.money(entry)]
        self.started = True
        if outcome.error is not None:
            await answer_error(self._send, outcome.error, told, self._voice.error(outcome.error))
        elif outcome.served is not None:
            body = self._voice.plain(outcome.served.held, outcome)
            await answer(self._send, 200, body, [JSON, *told])

    async def fail(self, error: GatewayError) -> None:
        """Send an error that has no entry to tell of, if nothing has been sent yet."""
        if not self.started:
            await answer_error(self._send, error, self._base, self._voice.error(error))


class StreamedReply:
    """Sends events as they are released; fits core.streaming.Client."""

    def __init__(
        self,
        send: Send,
        base: Headers,
        simulated: frozenset[str],
        voice: Voice = CHAT,
        *,
        details: bool,
        keepalive: KeepAlive | None = None,
        write: Write | None = None,
    ) -> None:
        """`details` asks for the money, as a comment line before the end; where `keepalive` has
        opened the stream, it is there in any case. `write` is there where the server offers it."""
        self._send, self._base, self._simulated, self._voice = send, base, simulated, voice
        self._telling = voice.telling
        self._details = details
        self._keepalive, self._write = keepalive, write
        self._poured: Unfinished | None = None
        self.started = False

    @property
    def client(self) -> Client:
        """Where its deltas are to be pushed: here."""
        return self

    @property
    def takes_events(self) -> bool:
        """Are they the client's just as they came?"""
        return self._telling is None

    async def start(self, head: Head) -> None:
        """Send status and headers: they are final."""
        if await self._is_open():
            return
        self.started = True
        told = [*EVENTS, *self._base, *headers.served(head.outcome, self._simulated)]
        await self._send({"type": "http.response.start", "status": 200, "headers": told})

    async def send(self, deltas: Sequence[Delta]) -> None:
        """Send their events, all at once; returns when there is room for more."""
        if not self.pour(deltas):
            await self.drained()

    def pour(self, deltas: Sequence[Delta]) -> bool:
        """Send their events, all at once. False: there is no room; await `drained` before more."""
        if self._telling is not None:
            body = b"".join([self._telling.feed(delta) for delta in deltas])
        else:
            body = _events(deltas)
        if body:
            return self.pass_on(body)
        return True

    def pass_on(self, event: bytes) -> bool:
        """Send an event, or several, as they are; as `pour`."""
        if self._write is not None and self._write(event):
            return True
        message = {"type": "http.response.body", "body": event, "more_body": True}
        self._poured = begun(self._send(message))
        return self._poured is None

    async def drained(self) -> None:
        """Return when what was poured has left."""
        poured, self._poured = self._poured, None
        if poured is not None:
            await poured

    async def finish(self, entry: Entry) -> None:
        """End the stream: `[DONE]` after a reply, an error event or an HTTP error after none."""
        outcome = entry.outcome
        if outcome.error is not None and not await self._is_open():
            told = [*self._base, *headers.served(outcome, self._simulated), *headers.money(entry)]
            self.started = True
            await answer_error(self._send, outcome.error, told, self._voice.error(outcome.error))
            return
        details = _details(entry) if self._details else b""
        if outcome.error is not None:
            await self._event(details + self._broken(outcome.error), more=False)
            return
        end = DONE if self._telling is None else self._telling.end(used(outcome))
        await self._event(details + end, more=False)

    async def fail(self, error: GatewayError) -> None:
        """Send an error: as an HTTP error while that can be, else as an event."""
        if not await self._is_open():
            await answer_error(self._send, error, self._base, self._voice.error(error))
            return
        await self._event(self._broken(error), more=False)

    def _broken(self, error: GatewayError) -> bytes:
        if self._telling is not None:
            return self._telling.fail(error)
        return b"event: error\ndata: %b\n\n" % orjson.dumps(error.body())

    async def _is_open(self) -> bool:
        """Have status and headers gone out? From here on there are no more comments to wait."""
        if self._keepalive is not None and not self.started:
            self.started = await self._keepalive.stop()
            self._details = self._details or self.started
        return self.started

    async def _event(self, data: bytes, *, more: bool = True) -> None:
        await self.drained()
        await self._send({"type": "http.response.body", "body": data, "more_body": more})


def _events(deltas: Sequence[Delta]) -> bytes:
    if len(deltas) == 1 and deltas[0].raw:  # nearly always
        return b"data: %b\n\n" % deltas[0].raw
    told = [delta.raw if delta.raw is not None else wire_bytes(delta) for delta in deltas]
    said = [data for data in told if data]
    return b"data: %b\n\n" % b"\n\ndata: ".join(said) if said else b""


def _details(entry: Entry) -> bytes:
    told = {
        "cost_usd": dollars(entry.cost),
        "baseline_usd": dollars(entry.baseline.cost),
        "discarded_usd": dollars(entry.discarded),
        "attempts": len(entry.outcome.attempts),
        "tier": entry.served_tier,
        "reason": entry.reason,
        "escalated": entry.outcome.escalated,
        "degraded": entry.outcome.degraded,
    }
    return b": waterfall %b\n\n" % orjson.dumps(told)
