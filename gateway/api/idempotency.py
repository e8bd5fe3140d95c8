"""`Idempotency-Key`: a client that asks the same again under the same key gets the same answer, and
is billed once.

What is kept of a request is its answer as it went out, for a day, by the asking key and the
client's own. While the shared state is not to be had requests are served without that; a claim that
may have arrived there all the same is let go of when the request has ended.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import re
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from gateway.api.auth import Key
from gateway.api.http import Headers, Message, Scope, Send, header
from gateway.core.errors import BadRequest, Conflict
from gateway.limits.line import Line
from gateway.shared import SharedDown

KEPT = 86_400.0
"""Seconds for which an answer is kept."""
MOST = 1 << 20
"""Bytes of the longest answer that is kept: what is longer is served, and asked anew."""
BEYOND = 180.0
"""Seconds beyond its deadline for which a request counts as under way where nothing is heard of
its end: its process was killed."""
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
"""Seconds between two tries to let go of a claim: in all, as long as it could last."""
REPLAYED = (b"x-waterfall-replayed", b"true")
_NAME = b"idempotency-key"
_FORM = re.compile(r"[\x21-\x7e]{1,255}")
_UNDER_WAY, _DONE = b"u", b"d"
_MARK = 33
"""Bytes before the answer: its state, and the hash of what was asked."""
_log = logging.getLogger("waterfall")

OpenLine = Callable[[], Awaitable[Line]]


def wanted(scope: Scope) -> str | None:
    """Return the client's key, None without one. Raises BadRequest."""
    given = header(scope, _NAME)
    if given is not None and not _FORM.fullmatch(given):
        raise BadRequest(
            "The header Idempotency-Key must be 1 to 255 printable characters without spaces.",
            param="Idempotency-Key",
        )
    return given


class Once:
    """One request under its key, from its claim to its answer. `answer` is one that is there
    already: status, headers, body."""

    def __init__(
        self, line: Line, name: str, claim: bytes, kept: bytes | None, *, sure: bool = True
    ) -> None:
        """`kept` is what was there; None where this request has claimed the name, by a value that
        is no other's. Where it is not `sure`, nobody has answered to the claim."""
        self._line, self._name, self._claim, self._sure = line, name, claim, sure
        self._asked = claim[1:_MARK]
        self._good = self._stored = False
        self.answer = None if kept is None else _read(kept)

    def good(self) -> None:
        """What comes now is the whole answer: it is to be kept."""
        self._good = True

    def recording(self, send: Send) -> Send:
        """Note what is sent, and keep it in the instant before its end leaves."""
        status, headers, blocks, size = 0, [], [], 0

        async def note(message: Message) -> None:
            nonlocal status, headers, size
            if message["type"] == "http.response.start":
                status, headers = message["status"], message["headers"]
            elif size <= MOST:
                blocks.append(message.get("body", b""))
                size += len(blocks[-1])
                if self._good and status == 200 and size <= MOST and not message.get("more_body"):
                    await self._keep(status, headers, b"".join(blocks))
            await send(message)

        return note

    async def _keep(self, status: int, headers: Headers, body: bytes) -> None:
        told = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in headers]
        whole = b"".join((_DONE, self._asked, orjson.dumps([status, told]), b"\n", body))
        self._stored = await _tried(
            self._line.ask(lambda shared: shared.put(self._name, whole, KEPT))
        )

    async def end(self) -> None:
        """Let the name go, unless an answer is kept under it: it may be asked again."""
        if self.answer is not None or self._stored:
            return
        if not self._sure or not await _tried(
            self._line.ask(lambda shared: shared.drop(self._name))
        ):
            self._line.later(_let_go(self._line, self._name, self._claim))


async def _let_go(line: Line, name: str, claim: bytes) -> None:
    """Drop a claim once it can be: also one that only arrives meanwhile, and no other's."""
    for pause in PAUSES:
        await asyncio.sleep(pause)
        try:
            kept = await line.ask(lambda shared: shared.get(name))
            if kept == claim:
                await line.ask(lambda shared: shared.drop(name))
            if kept is not None:
                return
        except SharedDown:
            continue


async def begin(
    open_line: OpenLine, key: Key, token: str, scope: Scope, body: dict[str, Any], deadline: float
) -> Once | None:
    """Claim a request's name, or find its answer; None where nobody is asked.

    Raises Conflict while the same is under way, BadRequest (422) where something else was asked
    under the name.
    """
    owner = hashlib.sha256(f"{key.name}\0{token}".encode()).hexdigest()
    name, asked = f"once:{owner}", _asked(scope, body)
    claim = _UNDER_WAY + asked + os.urandom(8)
    line, rested = None, True
    try:
        line = await open_line()
        rested = line.rests
        kept = await line.ask(lambda shared: shared.claim(name, claim, deadline + BEYOND))
    except SharedDown:
        _log.warning("A request with an Idempotency-Key is served without its protection.")
        return None if line is None or rested else Once(line, name, claim, None, sure=False)
    if kept is None:
        return Once(line, name, claim, None)
    if kept[1:_MARK] != asked:
        raise _reused()
    if kept[:1] == _UNDER_WAY:
        raise Conflict(
            "A request with this Idempotency-Key is under way. Wait for its answer.",
            param="Idempotency-Key",
            retry_after=1.0,
        )
    return Once(line, name, claim, kept)


def _asked(scope: Scope, body: dict[str, Any]) -> bytes:
    """Hash everything that an answer depends on: path, overrides, body."""
    told = sorted((n, v) for n, v in scope["headers"] if n.startswith(b"x-waterfall-"))
    text = orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
    parts = [str(scope["path"]).encode(), *(part for pair in told for part in pair), text]
    return hashlib.sha256(b"\0".join(parts)).digest()


def _reused() -> BadRequest:
    error = BadRequest(
        "This Idempotency-Key was used for another request. Use each for one alone.",
        param="Idempotency-Key",
        code="idempotency_key_reused",
    )
    error.status = 422
    return error


def _read(kept: bytes) -> tuple[int, Headers, bytes]:
    head, _, body = kept[_MARK:].partition(b"\n")
    status, told = orjson.loads(head)
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in told]
    return status, [pair for pair in pairs if pair[0] != b"content-length"], body


async def _tried(work: Awaitable[None]) -> bool:
    try:
        await work
    except SharedDown:
        return False
    return True
