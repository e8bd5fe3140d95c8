"""Who made which response of OpenAI's Responses, and which upstream keeps it: so that it can be
read, deleted and gone on from, by whoever made it and by nobody else. The responses themselves stay
where they are."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence

import orjson

from gateway.api.auth import Key
from gateway.api.idempotency import OpenLine
from gateway.api.reply import PlainReply, StreamedReply
from gateway.core.chat import ChatRequest, Delta
from gateway.core.errors import BadRequest, GatewayError, NotFound, NotReady
from gateway.core.ledger import Entry
from gateway.core.streaming import Client, Head
from gateway.shared import SharedDown

KEPT = 30 * 86_400.0
"""Seconds for which it is known: as long as OpenAI keeps a response."""
_log = logging.getLogger("waterfall")


class KeptResponses:
    """What is known of kept responses, shared by all workers."""

    def __init__(self, open_line: OpenLine) -> None:
        """`open_line` is the way to the shared state."""
        self._open = open_line

    async def note(self, response_id: str, upstream: str, key: str) -> None:
        """Note that a key (empty where there are none) had a response made. While the shared state
        is not to be had it is not noted, and said in the log."""
        value = orjson.dumps([upstream, key])
        try:
            line = await self._open()
            await line.ask(lambda shared: shared.put(_name(response_id), value, KEPT))
        except SharedDown:
            _log.warning("A response is served, but who made it is not known later on.")

    async def find(self, response_id: str, key: Key) -> str | None:
        """Return the upstream that keeps a response of this key's; None where none is known. Raises
        NotReady where nobody can say."""
        try:
            line = await self._open()
            value = await line.ask(lambda shared: shared.get(_name(response_id)))
        except SharedDown as error:
            raise NotReady(
                "Which upstream keeps this response cannot be read now. Try again.",
                code="responses_unavailable",
                retry_after=1.0,
            ) from error
        upstream, owner = orjson.loads(value) if value else ("", key.name)
        return str(upstream) or None if owner == key.name else None

    async def rested_on(self, response_id: object, key: Key) -> str:
        """Return the upstream that keeps the response which a request goes on from; empty where
        that is for the upstream to say. Raises BadRequest for another key's, or nobody's."""
        if not isinstance(response_id, str) or not response_id:
            return ""
        found = await self.find(response_id, key)
        if found is None and key.name:
            raise BadRequest(
                f"The previous_response_id {response_id[:100]!r} is of no response that this key "
                "had made here and an upstream keeps. Send the conversation as input items.",
                param="previous_response_id",
                code="previous_response_not_found",
            )
        return found or ""


def missing(response_id: str) -> GatewayError:
    """Return the error for a response that nobody here knows of."""
    return NotFound(
        f"Response with id {response_id[:100]!r} not found. Known are those that this key had made "
        "here by a tier with `wire: responses`, whose upstream keeps them.",
        param="response_id",
        code="response_not_found",
    )


def is_kept(request: ChatRequest) -> bool:
    """Does its client leave it to the upstream to keep the response? OpenAI's does unless told."""
    own = request.native
    return own is not None and own.wire == "responses" and own.body.get("store") is not False


class Noting:
    """A reply on its way out, whose response is noted before its last byte leaves; fits what it
    wraps."""

    def __init__(self, reply: PlainReply | StreamedReply, kept: KeptResponses, key: str) -> None:
        """`key` is the name of the one that asks."""
        self._reply, self._kept, self._key = reply, kept, key
        self._client = reply.client
        self._id = ""

    @property
    def client(self) -> Client:
        """Where its deltas are to be pushed: here."""
        return self

    async def start(self, head: Head) -> None:
        """Hand it on."""
        await self._client.start(head)

    async def send(self, deltas: Sequence[Delta]) -> None:
        """Hand it on, with its id in mind."""
        self._id = self._id or _first_id(deltas)
        await self._client.send(deltas)

    takes_events = False

    def pass_on(self, event: bytes) -> bool:
        """Not for this: it has to read what comes."""
        raise AssertionError(event)

    def pour(self, deltas: Sequence[Delta]) -> bool:
        """Hand it on, with its id in mind."""
        self._id = self._id or _first_id(deltas)
        return self._client.pour(deltas)

    async def drained(self) -> None:
        """Hand it on."""
        await self._client.drained()

    async def finish(self, entry: Entry) -> None:
        """Note what its upstream keeps, if it was answered in Responses; then hand it on."""
        served = entry.outcome.served
        if served is not None and served.calls and entry.outcome.error is None:
            made = self._id or _first_id(served.held)
            if made:
                await self._kept.note(made, served.calls[-1].upstream, self._key)
        await self._reply.finish(entry)

    async def fail(self, error: GatewayError) -> None:
        """Hand it on."""
        await self._reply.fail(error)


def _first_id(deltas: Sequence[Delta]) -> str:
    """Return what a response is called by an upstream that speaks Responses."""
    own = (each.native for each in deltas if each.native and each.native.wire == "responses")
    return next((str(native.payload["id"]) for native in own if native.payload.get("id")), "")


def _name(response_id: str) -> str:
    return f"response:{hashlib.sha256(response_id.encode()).hexdigest()}"
