"""`POST /v1/chat/completions`, its like in other dialects, and the dry run `POST /v1/route`, as
plain ASGI.

The endpoint watches for the client's departure while the engine works, and cancels it then: the
upstream is closed at once, and the ledger says what had been spent.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from gateway.api import caching, headers, idempotency, overrides
from gateway.api.auth import Key, identify
from gateway.api.crowding import Place
from gateway.api.departure import GONE, Departure
from gateway.api.describing import describe
from gateway.api.http import (
    ClientGone,
    Headers,
    Receive,
    Scope,
    Send,
    answer,
    answer_error,
    answer_json,
    read_json,
    request_id,
    stopping,
)
from gateway.api.idempotency import Once
from gateway.api.keepalive import KeepAlive
from gateway.api.kept_responses import Noting, is_kept
from gateway.api.planning import Arrival, Clocks, new_arrival, plan_job, replan
from gateway.api.reply import EVENTS, PlainReply, StreamedReply
from gateway.api.sending import unwritten, writer
from gateway.api.service import Service, Switch
from gateway.api.spending import admit
from gateway.api.voice import CHAT, Voice, error_body, id_headers
from gateway.core.errors import GatewayError
from gateway.core.ledger import Entry, refusal
from gateway.dialects.dialect import Dialect
from gateway.dialects.responses import RESPONSES
from gateway.engine import Job

_log = logging.getLogger("waterfall")
Reply = PlainReply | StreamedReply | Noting


def _unheard() -> None:
    pass


class Chat:
    """The endpoints that plan a request; `dry` ones stop there."""

    def __init__(
        self,
        switch: Switch,
        clocks: Clocks,
        *,
        dialect: Dialect | None = None,
        dry: bool = False,
    ) -> None:
        """`switch` holds the service in force; each request keeps the one it began with. `dialect`
        is what clients speak here, None for OpenAI's chat."""
        self._switch, self._clocks, self._dialect, self._dry = switch, clocks, dialect, dry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        at, own_id = self._clocks.monotonic(), self._clocks.new_id()
        known_as = request_id(scope, own_id)
        service = self._switch.service
        with Place(self._switch.room, service.in_flight, receive) as place:
            try:
                key = self._admit(scope, service)
                place.look()
                arrival = new_arrival(scope, key, at, own_id, known_as, self._dialect)
                body = await read_json(scope, place.receive, service.max_body, service.caps)
                place.take()
                if self._dialect is RESPONSES and "previous_response_id" in body:
                    at_rest = await service.kept.rested_on(body["previous_response_id"], key)
                    arrival = replace(arrival, kept_at=at_rest)
                job = plan_job(service, self._clocks, arrival, body)
                job, told, once = await self._let_in(service, arrival, body, job)
            except ClientGone:
                return
            except GatewayError as error:
                await self._refuse(service, known_as, error, send)
                return
            except asyncio.CancelledError:  # the drain's time is up, and its body is not here yet
                await self._refuse(service, known_as, stopping(), send)
                return
            except Exception:  # noqa: BLE001 (whatever it is, the client gets a readable answer)
                await self._refuse(service, known_as, _fault(), send)
                return
            if once is None:
                await self._serve(service, arrival, job, told, receive, send)
                return
            if once.answer is not None:
                status, kept, whole = once.answer
                await answer(send, status, whole, [*kept, idempotency.REPLAYED])
                return
            try:
                noted = once.recording(send)
                arrival = replace(arrival, scope=unwritten(scope))
                await self._serve(service, arrival, job, told, receive, noted, once.good)
            finally:
                await once.end()

    async def _let_in(
        self, service: Service, arrival: Arrival, body: dict[str, Any], job: Job
    ) -> tuple[Job, Headers, Once | None]:
        """Put aside what it may use, unless it has its answer already, or calls no model."""
        if self._dry:
            return job, [], None
        token, once = idempotency.wanted(arrival.scope), None
        if token is not None and service.line is not None:
            asked = arrival.scope, body, job.plan.deadline
            once = await idempotency.begin(service.line, arrival.key, token, *asked)
            if once is not None and once.answer is not None:
                return job, [], once
        if service.admission is None:
            return job, [], once
        try:
            job, told = await admit(service, service.admission, arrival.key, job)
        except BaseException:
            if once is not None:
                await once.end()
            raise
        return job, told, once

    def _admit(self, scope: Scope, service: Service) -> Key:
        key = identify(scope, service.keys)
        if self._switch.draining:
            raise stopping()
        return key

    async def _refuse(
        self, service: Service, known_as: str, error: GatewayError, send: Send
    ) -> None:
        service.meter.refuse(refusal(known_as, self._clocks.wall(), error))
        told = [*headers.ids(known_as), *id_headers(self._dialect, known_as)]
        await answer_error(send, error, told, error_body(self._dialect, error, known_as))

    def _serve(
        self,
        service: Service,
        arrival: Arrival,
        job: Job,
        extra: Headers,
        receive: Receive,
        send: Send,
        good: Callable[[], None] = _unheard,
    ) -> Awaitable[None]:
        if self._dry:
            base = headers.ids(job.origin.request_id)
            told = describe(job) | {"tuning": service.tuned.describe(job.route.name)}
            return answer_json(send, 200, told, [*base, *headers.decision(job)])
        return _answer(service, arrival, job, extra, receive, send, good)


async def _answer(
    service: Service,
    arrival: Arrival,
    job: Job,
    extra: Headers,
    receive: Receive,
    send: Send,
    good: Callable[[], None],
) -> None:
    followed = False
    service.meter.enter(job.route.name)
    with Departure(receive):
        try:
            known_as = job.origin.request_id
            base = [*headers.ids(known_as), *id_headers(arrival.dialect, known_as), *extra]
            cache, name, again = service.cache, None, None
            if job.route.caching is not None and cache is not None:
                name = cache.name(job, arrival.scope)
                again = name and await cache.find(name, job, arrival.scope)
                base += [caching.HIT if again else caching.MISS] if name else []
            if job.undecided is not None and not again:
                job = replan(service, await service.engine.assess(job))
            base += headers.decision(job)
            keepalive = _keepalive(job, base, send)
            reply = _reply_for(service, arrival, job, base, send, keepalive)
            engine = service.engine
            to = reply.client
            running = engine.say_again(job, to, again) if again else engine.run(job, to)
            entry = await _delivered(running, reply, good, keepalive)
            if entry is not None and not again and entry.outcome.error is None:
                service.sessions.note(job, entry)
                followed = service.shadow_calls.follow(job, entry, service.in_flight)
            if name is not None and cache is not None and entry is not None:
                await cache.keep(name, job, entry)
        finally:
            if service.admission is not None:
                service.admission.release(job.origin.entry_id, followed=followed)
            service.meter.leave(job.route.name)


async def _delivered(
    running: Awaitable[Entry],
    reply: Reply,
    good: Callable[[], None],
    keepalive: KeepAlive | None,
) -> Entry | None:
    """Serve it; return its record. `good` hears that it went well."""
    if keepalive is not None:
        async with keepalive:
            return await _delivered(running, reply, good, None)
    try:
        entry = await running
        if entry.outcome.error is None:
            good()
        await reply.finish(entry)
    except asyncio.CancelledError as cancelled:
        if cancelled.args != (GONE,):  # the drain's time is up: whoever is still there hears of it
            await reply.fail(stopping())
        raise
    except Exception:  # noqa: BLE001 (a fault of ours: the client gets an answer, we a log)
        await reply.fail(_fault())
        return None
    return entry


def _keepalive(job: Job, base: Headers, send: Send) -> KeepAlive | None:
    seconds = job.route.keepalive
    if seconds is None or not job.request.stream:
        return None
    told = [*base, *headers.PENDING]
    return KeepAlive(send, [*EVENTS, *told], seconds)


def _reply_for(
    service: Service,
    arrival: Arrival,
    job: Job,
    base: Headers,
    send: Send,
    keepalive: KeepAlive | None,
) -> Reply:
    voice = CHAT
    if arrival.dialect is not None:
        voice = Voice(arrival.dialect, job.request, job.origin.request_id)
    reply: PlainReply | StreamedReply
    if job.origin.stream:
        known = service.simulated
        details = overrides.wants_details(arrival.scope)
        write = writer(arrival.scope)
        reply = StreamedReply(
            send, base, known, voice, details=details, keepalive=keepalive, write=write
        )
    else:
        reply = PlainReply(send, base, service.simulated, voice)
    if is_kept(job.request):
        return Noting(reply, service.kept, job.origin.key)
    return reply


def _fault() -> GatewayError:
    _log.error("unexpected fault\n%s", traceback.format_exc())
    return GatewayError("The gateway failed; this is a fault of ours, now in its log.")
