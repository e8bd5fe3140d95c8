"""Endpoints that are passed through to one upstream: embeddings, moderations, audio, images, files
and batches; and responses, to the upstream that keeps them. Both ways are streamed."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping

from gateway.api import headers
from gateway.api.answering import Passing
from gateway.api.auth import Key, identify
from gateway.api.crowding import Place
from gateway.api.http import (
    ClientGone,
    Receive,
    Scope,
    Send,
    answer_error,
    header,
    json_object,
    request_id,
    stopping,
)
from gateway.api.kept_responses import missing
from gateway.api.multipliers import check_passed
from gateway.api.passage import Run
from gateway.api.planning import Clocks
from gateway.api.service import Service, Switch
from gateway.api.spending import admit_passing
from gateway.core.errors import (
    BadRequest,
    BodyTooLarge,
    Forbidden,
    GatewayError,
    NotFound,
)
from gateway.core.ledger import Origin, refusal
from gateway.core.money import UNPRICED
from gateway.core.passing import Group, Passage, group_of
from gateway.core.room import Caps
from gateway.core.trace import read_traceparent

METHODS = ("GET", "POST", "DELETE")
PATHS = (
    *("/v1/embeddings", "/v1/moderations", "/v1/audio/{rest:path}", "/v1/images/{rest:path}"),
    *("/v1/files", "/v1/files/{rest:path}", "/v1/batches", "/v1/batches/{rest:path}"),
    "/v1/responses/{rest:path}",
)
_SENT = ("content-type", "accept", "openai-beta", "idempotency-key")
_JSON = "application/json"
_QUERY = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=:@/?%\[\]-]*")


class PassThrough:
    """The endpoints that are passed through, as plain ASGI."""

    def __init__(self, switch: Switch, clocks: Clocks) -> None:
        """`switch` holds the service in force; each request keeps the one it began with."""
        self._switch, self._clocks = switch, clocks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        at, own_id = self._clocks.monotonic(), self._clocks.new_id()
        known_as = request_id(scope, own_id)
        service = self._switch.service
        with Place(self._switch.room, service.in_flight, receive) as place:
            try:
                key = self._admit(scope, service)
                place.look()
                passage = await _passage(service, scope, key)
                passing = service.passing
                # What is read whole takes up room; what is streamed does not.
                whole = _is_json(scope)
                body = _Body(scope, place.receive if whole else receive, passing.max_upload)
                raw = await _json_of(body, service, passage.group) if whole else None
                place.take()
                price = passing.prices.get(raw.model, UNPRICED) if raw else UNPRICED
                size = len(raw.data) if raw else 0
                await admit_passing(service.admission, key, own_id, size, price)
            except ClientGone:
                return
            except GatewayError as error:
                service.meter.refuse(refusal(known_as, self._clocks.wall(), error))
                await answer_error(send, error, headers.ids(known_as))
                return
            origin = Origin(
                entry_id=own_id,
                request_id=known_as,
                started_at=self._clocks.wall(),
                key=key.name,
                requested_model=raw.model if raw else "",
                api=passage.path.strip("/").replace("/", "."),
                trace=read_traceparent(header(scope, b"traceparent")),
            )
            run = Run(passing, passage, origin, at, send)
            service.meter.enter(passage.tier)
            try:
                await run.drive(_headers(scope), raw, body)
            finally:
                service.meter.leave(passage.tier)
                if service.admission is not None:
                    service.admission.release(own_id)

    def _admit(self, scope: Scope, service: Service) -> Key:
        key = identify(scope, service.keys)
        if self._switch.draining:
            raise stopping()
        return key


async def _passage(service: Service, scope: Scope, key: Key) -> Passage:
    """Find out what is asked for, and who answers it."""
    path = str(scope["path"]).removeprefix("/v1")
    group = group_of(scope["method"], path)
    if group is None:
        raise NotFound(f"There is nothing at {scope['method']} {str(scope['path'])[:200]}.")
    if group == "responses":
        upstream = await _keeping(service, path.split("/")[2], key)
    else:
        upstream = _named(service.passing, group, key)
    query = scope.get("query_string", b"")
    if not _QUERY.fullmatch(query):
        raise BadRequest("The query has characters that no URL has.")
    target = f"{path}?{query.decode()}" if query else path
    return Passage(group, scope["method"], path, upstream, target)


def _named(passing: Passing, group: Group, key: Key) -> str:
    """Return the upstream that a configuration names for a group."""
    if key.routes is not None:
        raise Forbidden("This key is bound to routes: nothing is passed through for it.")
    upstream = passing.upstreams.get(group)
    if upstream is None:
        raise NotFound(
            f"Nothing is passed through for {group} here: name an upstream in passthrough.{group}."
        )
    return upstream


async def _keeping(service: Service, response_id: str, key: Key) -> str:
    """Return the upstream that keeps a response of this key's."""
    upstream = await service.kept.find(response_id, key) if service.passing.keeping else None
    if upstream not in service.passing.keeping:
        raise missing(response_id)
    return str(upstream)


def _is_json(scope: Scope) -> bool:
    kind = (header(scope, b"content-type") or "").partition(";")[0].strip().lower()
    return scope["method"] == "POST" and kind == _JSON


def _headers(scope: Scope) -> Mapping[str, str]:
    found = {name: header(scope, name.encode()) for name in _SENT}
    return {name: value for name, value in found.items() if value is not None}


class Raw:
    """A JSON body as it came, and the model it names."""

    def __init__(self, data: bytes, group: Group, caps: Caps) -> None:
        """Raises BadRequest for what is no JSON object, or over a cap."""
        body = json_object(data, caps)
        check_passed(group, body, caps)
        model = body.get("model")
        if model is not None and not isinstance(model, str):
            raise BadRequest("model must be the name of a model.", param="model")
        self.data, self.model = data, (model or "")[:200]
        self.stream = bool(body.get("stream") or body.get("stream_format") == "sse")


async def _json_of(body: _Body, service: Service, group: Group) -> Raw:
    body.limit = service.max_body
    blocks = [block async for block in body]
    return Raw(b"".join(blocks), group, service.caps)


class _Body:
    """A request's body as it comes, bounded; then its client's departure."""

    def __init__(self, scope: Scope, receive: Receive, limit: int) -> None:
        self.limit = limit
        self.length = header(scope, b"content-length")
        self.wanted = scope["method"] == "POST"
        self._receive = receive
        self.over = False

    def check(self) -> None:
        """Raise BodyTooLarge for a body that says itself that it is."""
        if self.length is not None and self.length.isdecimal() and len(self.length) < 19:
            if int(self.length) > self.limit:
                raise self._too_large()
        elif self.length is not None:
            raise BadRequest("content-length must be a number.")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.check()
        size = 0
        while not self.over:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            block = message.get("body", b"")
            size += len(block)
            if size > self.limit:
                raise self._too_large()
            self.over = not message.get("more_body")
            if block:
                yield block

    async def gone(self) -> None:
        """Wait until the client has hung up."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def _too_large(self) -> BodyTooLarge:
        bound = f"The body is over {self.limit} bytes"
        return BodyTooLarge(f"{bound}; the limits are server.max_body and passthrough.max_upload.")
