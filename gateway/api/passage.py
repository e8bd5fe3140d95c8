"""One request that is passed through: sent, answered, priced, recorded."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any, Protocol

from gateway.api import headers
from gateway.api.answering import Passing
from gateway.api.http import ClientGone, Headers, Send, answer_error, stopping
from gateway.core.errors import UNBILLED, GatewayError, StreamBroken, UpstreamError
from gateway.core.ledger import Entry, Origin
from gateway.core.money import FREE, UNPRICED, Price, Usage
from gateway.core.outcome import CallRecord
from gateway.core.passing import (
    CHARS_PER_TOKEN,
    EDGE,
    Passage,
    Passed,
    entry_of,
    model_in_form,
    price_of,
    usage_in,
)
from gateway.core.ports import OpenCall
from gateway.upstreams.usage import OPENAI, TOKENS, read_usage

_log = logging.getLogger("waterfall")
_RETURNED = (b"content-type", b"content-length", b"content-disposition")


class Told(Protocol):
    """A JSON body that was read already."""

    data: bytes
    model: str


class Body(Protocol):
    """A body that is still to come, and then its client's departure."""

    length: str | None
    wanted: bool

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield it as it comes. Raises BodyTooLarge, or ClientGone."""
        ...

    async def gone(self) -> None:
        """Wait until the client has hung up; asked for when the body is whole."""
        ...


class _Edges:
    """The beginning and the end of what has passed."""

    def __init__(self) -> None:
        self.head, self.tail, self.size = b"", b"", 0

    def feed(self, block: bytes) -> None:
        self.size += len(block)
        if len(self.head) < EDGE:
            self.head += block[: EDGE - len(self.head)]
        self.tail = (self.tail + block)[-EDGE:]


class Run:
    """One request under way."""

    def __init__(
        self, passing: Passing, passage: Passage, origin: Origin, at: float, send: Send
    ) -> None:
        """`at` is when it arrived, on the monotonic clock."""
        self._passing, self._passage, self._origin = passing, passage, origin
        self._parts, self._at, self._send = passing.parts, at, send
        self._model = origin.requested_model
        self._sent, self._got = _Edges(), _Edges()
        self._slot: int | None = None
        self._call_id = self._parts.new_id()
        self._opened = self._first = 0.0
        self._whole = asyncio.Event()
        self._left = False

    async def drive(self, sent: Mapping[str, str], told: Told | None, body: Body) -> None:
        """Pass it on and its reply back. Never raises; a cancel is the end of the drain."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("an endpoint runs in a task")
        watch = asyncio.create_task(self._watch(body, task))
        try:
            failure = await self._tried(sent, told, body)
        except ClientGone:
            self._record(None, cancelled=True)
            return
        except asyncio.CancelledError:
            self._record(None, cancelled=True)
            task.uncancel()
            if not (self._left or self._first):
                await answer_error(self._send, stopping(), self._headers())
            return
        finally:
            watch.cancel()
        if failure is not None:
            self._record(failure)
            if not self._first:
                await answer_error(self._send, failure, self._headers())

    async def _tried(
        self, sent: Mapping[str, str], told: Told | None, body: Body
    ) -> GatewayError | None:
        try:
            await self._pass(sent, told, body)
        except GatewayError as error:
            return error
        except ClientGone:
            raise
        except Exception:  # noqa: BLE001 (whatever it is, the client gets a readable answer)
            _log.error("unexpected fault\n%s", traceback.format_exc())
            return GatewayError("The gateway failed; this is a fault of ours, now in its log.")
        return None

    async def _watch(self, body: Body, task: asyncio.Task[Any]) -> None:
        await self._whole.wait()
        await body.gone()
        self._left = True
        task.cancel()

    async def _pass(self, sent: Mapping[str, str], told: Told | None, body: Body) -> None:
        content = self._content(told, body)
        length = str(len(told.data)) if told else body.length
        if content is not None and length is not None:
            sent = {**sent, "content-length": length}
        target = self._passage.target or self._passage.path
        self._mark(told)
        client = self._passing.clients[self._passage.upstream]
        async with client.send(self._passage.method, target, sent, content) as reply:
            kept = [(k.lower(), v) for k, v in reply.headers.raw if k.lower() in _RETURNED]
            self._first = self._parts.clock()
            start = {"type": "http.response.start", "status": reply.status_code}
            await self._send({**start, "headers": [*kept, *self._headers()]})
            try:
                async for block in client.blocks(reply):
                    self._got.feed(block)
                    message = {"type": "http.response.body", "body": block, "more_body": True}
                    await self._send(message)
            except UpstreamError as error:
                broken = StreamBroken(error.message)
                broken.__cause__ = error
                raise broken from error
        self._record(None)
        await self._send({"type": "http.response.body", "body": b""})

    def _content(self, told: Told | None, body: Body) -> AsyncIterator[bytes] | None:
        if not body.wanted:
            self._whole.set()
            return None
        return self._whole_body(told.data) if told else self._streamed(body)

    async def _whole_body(self, data: bytes) -> AsyncIterator[bytes]:
        self._sent.feed(data)
        self._whole.set()
        yield data

    async def _streamed(self, body: Body) -> AsyncIterator[bytes]:
        async for block in body:
            self._sent.feed(block)
            yield block
        self._whole.set()

    def _headers(self) -> Headers:
        own = headers.ids(self._origin.request_id)
        return [*own, (b"x-waterfall-route", self._passage.tier.encode())]

    def _guess(self, size: int) -> Usage:
        return Usage(size // CHARS_PER_TOKEN, 0, estimated=True)

    def _mark(self, told: Told | None) -> None:
        """Write the call down as under way."""
        guess = self._guess(len(told.data) if told else 0)
        price = self._passing.prices.get(self._model, UNPRICED)
        passage = self._passage
        mark = OpenCall(
            call_id=self._call_id,
            entry_id=self._origin.entry_id,
            route=passage.tier,
            tier=passage.tier,
            upstream=passage.upstream,
            model=self._model,
            opened_at=self._parts.wall(),
            prompt_estimate=guess.prompt,
            completion_estimate=0,
            cost_estimate=price.total(guess),
            price_version=price.version,
            price_hash=price.digest,
        )
        self._opened = self._parts.clock()
        self._slot = self._parts.journal.open(mark)

    def _record(self, error: GatewayError | None, *, cancelled: bool = False) -> None:
        """Close the books, before the last byte leaves."""
        now, parts = self._parts.clock(), self._parts
        self._model = (
            self._model or model_in_form(self._sent.head) or model_in_form(self._sent.tail)
        )
        cause = error.__cause__ if isinstance(error, StreamBroken) else error
        failed = cause if isinstance(cause, UpstreamError) else None
        price, usage = self._priced(failed, error)
        status = "cancelled" if cancelled else "failed" if error else "ok"
        call = CallRecord(
            call_id=self._call_id,
            tier=self._passage.tier,
            upstream=self._passage.upstream,
            model=self._model,
            started=self._opened - self._at,
            seconds=now - self._opened,
            status=status,  # type: ignore[arg-type]
            usage=usage or Usage(),
            cost=FREE if usage is None else price.cost(usage),
            first_token=self._first - self._opened if self._first else None,
            error=failed.kind if failed else "rejected" if error else "",
            price=price,
        )
        slots: tuple[int, ...] = ()
        if self._slot is not None:
            parts.journal.settle(self._slot, call)
            slots = (self._slot,)
        passed = Passed(
            passage=self._passage,
            call=call if self._slot is not None else None,
            model=self._model,
            price=price,
            total=now - self._at,
            first=self._first - self._at if self._first else None,
            waited=now - self._opened,
            failure=failed,
            error=error,
            cancelled=cancelled,
        )
        origin = replace(self._origin, requested_model=self._model)
        entry = entry_of(origin, passed, parts.config, parts.gateway_cost)
        self._keep(entry, slots)

    def _keep(self, entry: Entry, slots: tuple[int, ...]) -> None:
        try:
            self._parts.journal.append(entry, slots)
        except Exception:  # noqa: BLE001 (what was paid for is served all the same)
            _log.exception("The entry %s was not kept.", self._origin.entry_id)
        for sink in self._parts.sinks:
            try:
                sink(entry)
            except Exception:  # noqa: BLE001 (as above)
                _log.exception("A sink could not read the entry %s.", self._origin.entry_id)

    def _priced(
        self, failed: UpstreamError | None, error: GatewayError | None
    ) -> tuple[Price, Usage | None]:
        """Return the price it goes by and what it used; None of it is billed where it failed so."""
        known = self._passing.prices.get(self._model)
        unbilled = (failed is not None and failed.kind in UNBILLED) or (
            error is not None and failed is None
        )
        if unbilled:
            return known or UNPRICED, None
        told = usage_in(self._got.head, self._got.tail)
        return price_of(self._passage, known, _used(told), self._guess(self._sent.size))


def _used(told: Mapping[str, Any] | None) -> Usage | None:
    """Read what a reply says it used, in either of OpenAI's two ways."""
    if told is None:
        return None
    if "prompt_tokens" in told:
        return read_usage({"completion_tokens": 0, **told}, OPENAI)
    return read_usage({"output_tokens": 0, **told}, TOKENS)
