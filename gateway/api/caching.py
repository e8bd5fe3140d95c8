"""Replies that are kept for when exactly the same is asked again, by the same key. Off unless a
route says so; while the shared state is not to be had everything is asked anew."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from gateway.api.http import Scope, header
from gateway.api.idempotency import OpenLine
from gateway.api.voice import wire_bytes
from gateway.core.chat import ChatRequest
from gateway.core.kept_reply import (
    KeptReply,
    body_of,
    may_be_asked,
    may_be_kept,
    name_of,
    said_again,
)
from gateway.core.ledger import Entry
from gateway.core.outcome import Attempt
from gateway.engine import Job
from gateway.shared import SharedDown

HIT, MISS = (b"x-waterfall-cache", b"hit"), (b"x-waterfall-cache", b"miss")


class ReplyCache:
    """One configuration's; what is kept is shared by all workers."""

    def __init__(self, open_line: OpenLine, config: str) -> None:
        """`config` is the configuration's digest: another one's replies are not found."""
        self._open, self._config = open_line, config
        self._keeping: set[asyncio.Task[None]] = set()

    def name(self, job: Job, scope: Scope) -> str | None:
        """Name what is asked; None where nothing is kept of such a request, or its client does not
        want that (`cache-control: no-store`)."""
        if job.route.caching is None or not may_be_asked(job.request):
            return None
        if "no-store" in (header(scope, b"cache-control") or ""):
            return None
        asked, tenant = job.asked, job.origin.key
        return name_of(tenant, job.route.name, self._config, asked, job.request)

    async def find(self, name: str, job: Job, scope: Scope) -> Attempt | None:
        """Return what was kept under a name, as an attempt that is served; None without."""
        if "no-cache" in (header(scope, b"cache-control") or ""):
            return None
        data = await self._get(f"reply:{name}")
        if data is None:
            return None
        try:
            kept = KeptReply.read(data)
            tier = job.route.tier(kept.tier)
            return None if tier is None else said_again(kept, tier, job.request)
        except (ValueError, TypeError, KeyError):  # nothing of ours, or another version's
            return None

    async def keep(self, name: str, job: Job, entry: Entry) -> None:
        """Keep what was served, if it may be; and note what was said again, so that whoever does
        not like it can have it withdrawn. A client that is answered and leaves does not undo it."""
        keeping = asyncio.create_task(self._keep(name, job, entry))
        self._keeping.add(keeping)
        keeping.add_done_callback(self._keeping.discard)
        await asyncio.shield(keeping)

    async def _keep(self, name: str, job: Job, entry: Entry) -> None:
        served, caching = entry.outcome.served, job.route.caching
        if served is None or caching is None or _is_native(job.request, served):
            return
        try:
            line = await self._open()
            entry_id = entry.origin.entry_id
            whole = not job.request.stream
            if may_be_kept(entry.outcome, entry.start_reason, rebuilt=not whole):
                usage = served.calls[-1].usage
                body = _body(job.request, entry, served)
                data = KeptReply(served.tier.name, body, usage, entry_id).written()
                if len(data) > caching.largest:
                    return
                await line.ask(lambda shared: shared.put(f"reply:{name}", data, caching.ttl))
            elif served.said_again is None:
                return
            whose = f"reply-of:{entry_id}"
            await line.ask(lambda shared: shared.put(whose, name.encode(), caching.ttl))
        except SharedDown:
            return

    async def withdraw(self, entry_id: str) -> None:
        """Forget the reply that a request was given. Raises SharedDown."""
        line = await self._open()
        name = await line.ask(lambda shared: shared.get(f"reply-of:{entry_id}"))
        if name is not None:
            await line.ask(lambda shared: shared.drop(f"reply:{name.decode()}"))

    async def _get(self, name: str) -> bytes | None:
        try:
            line = await self._open()
            return await line.ask(lambda shared: shared.get(name))
        except SharedDown:
            return None


def _is_native(request: ChatRequest, served: Attempt) -> bool:
    """Did client and tier speak another dialect with each other? What is kept is a chat's."""
    return request.native is not None and request.native.wire == served.tier.wire


def _body(request: ChatRequest, entry: Entry, served: Attempt) -> dict[str, Any]:
    """The body of a plain reply as it went out, and of a streamed one as that would have been."""
    if not request.stream:
        body: dict[str, Any] = orjson.loads(b"".join(wire_bytes(each) for each in served.held))
        return body
    origin, reply = entry.origin, served.reply
    if reply is None:
        raise AssertionError("what may be kept has a reply")
    usage, created = served.calls[-1].usage, int(origin.started_at)
    return body_of(reply, usage, served.tier.model, origin.entry_id, created)
