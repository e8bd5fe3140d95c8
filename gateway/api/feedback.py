"""`POST /v1/feedback`: what somebody thought of an answer becomes a label in the ledger.

Late and repeated posts are safe. The ledger is read and written in threads, a few at a time: a
ledger that is locked delays feedback, and nothing else.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from gateway.api.auth import Key, identify
from gateway.api.http import REQUEST_ID, ClientGone, read_json
from gateway.api.planning import Clocks
from gateway.api.service import Service, Switch
from gateway.core.errors import BadRequest, BodyTooLarge, NotFound, NotReady
from gateway.shared import SharedDown
from gateway.store.labels import Answered, Label, Labels

_LIMIT = 16 * 1024
_FIELDS = ("request_id", "score", "label", "tier")
_SOURCE = re.compile(r"[A-Za-z0-9._-]{1,64}")
GOOD_FROM = 0.5
"""The lowest score that a reply may have and still be said again."""
_USER = "user"
_NOBODY = "none"
_AT_ONCE = 2
"""Threads that feedback may keep busy."""
_PATIENCE = 5.0
"""Seconds that a post may wait, its turn and the ledger's lock included."""
_FLUSH = 1.0
_LOOK_AGAIN = (0.1, 0.2, 0.3, 0.4, 0.5, 0.5)
"""Seconds between looks for a request: another worker may have served it a moment ago."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A checked body. `tier` is None where the one that served is meant."""

    request_id: str
    score: float
    source: str
    tier: str | None


class Feedback:
    """The endpoint, reading the service in force."""

    def __init__(self, switch: Switch, clocks: Clocks, labels: Labels) -> None:
        """`switch` holds the service in force, `labels` the ledger's."""
        self._switch, self._clocks, self._labels = switch, clocks, labels
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def post(self, request: Request) -> Response:
        """Label one answer, and say what was labelled."""
        service = self._switch.service
        key = identify(request.scope, service.keys)
        try:
            asked = read(await _body(request))
        except ClientGone:
            return Response(status_code=499)
        label, found = await self._label(asked, key, service)
        return JSONResponse(
            {
                "object": "waterfall.feedback",
                "request_id": found.request_id,
                "entry_id": label.entry_id,
                "route": found.route,
                "tier": label.tier,
                "label": label.source,
                "score": label.score,
            }
        )

    async def _label(self, asked: Asked, key: Key, service: Service) -> tuple[Label, Answered]:
        try:
            async with asyncio.timeout(_PATIENCE + sum(_LOOK_AGAIN)):
                found = await self._find(asked.request_id, key if service.keys else None)
                tier = _tier(asked, found, service)
                at = self._clocks.wall()
                label = Label(found.entry_id, tier, asked.score, asked.source, at)
                async with self._turns:
                    await asyncio.to_thread(self._labels.put, label)
                await _withdraw(service, label)
        except (OSError, TimeoutError) as error:
            raise NotReady(
                "The ledger is busy and took no label; send it again.",
                code="ledger_busy",
                retry_after=1.0,
            ) from error
        return label, found

    async def _find(self, request_id: str, key: Key | None) -> Answered:
        name = None if key is None else key.name
        for pause in (0.0, *_LOOK_AGAIN):
            await asyncio.sleep(pause)
            async with self._turns:
                found = await asyncio.to_thread(self._labels.find, request_id, name, _FLUSH)
            if found is not None:
                return found
        whose = "" if key is None else " of this key"
        raise NotFound(
            f"No request{whose} is known as {request_id!r}. Send the answer's x-request-id, once "
            "the answer has come to its end.",
            param="request_id",
            code="request_not_found",
        )


async def _withdraw(service: Service, label: Label) -> None:
    """Say no reply again that somebody did not like."""
    route = any(each.caching is not None for each in service.routes.values())
    if label.score < GOOD_FROM and route and service.cache is not None:
        try:
            await service.cache.withdraw(label.entry_id)
        except SharedDown as error:
            raise OSError("The shared state is not to be had.") from error


async def _body(request: Request) -> dict[str, Any]:
    try:
        return await read_json(request.scope, request.receive, _LIMIT)
    except BodyTooLarge as error:
        raise BodyTooLarge(f"Feedback has at most {_LIMIT} bytes.") from error


def read(body: Mapping[str, Any]) -> Asked:
    """Check a body. Raises BadRequest naming the field and what it must be."""
    for name in body:
        if name not in _FIELDS:
            known = ", ".join(_FIELDS)
            raise BadRequest(f"No field {name[:64]!r} here. There is: {known}.", param=name[:64])
    request_id, score = body.get("request_id"), body.get("score")
    if not isinstance(request_id, str) or not REQUEST_ID.fullmatch(request_id):
        raise BadRequest(
            "request_id must be the x-request-id of the answer that is meant.", param="request_id"
        )
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
        raise BadRequest("score must be a number from 0 (bad) to 1 (good).", param="score")
    source, tier = body.get("label"), body.get("tier")
    if source is None:
        source = _USER
    elif not isinstance(source, str) or not _SOURCE.fullmatch(source):
        raise BadRequest(
            "label says who judges, in 1 to 64 letters, digits and ._- (default: user).",
            param="label",
        )
    if tier is not None and not isinstance(tier, str):
        raise BadRequest("tier must be the name of a tier.", param="tier")
    return Asked(request_id, float(score), source, tier)


def _tier(asked: Asked, found: Answered, service: Service) -> str:
    """Return the tier that is labelled. Raises BadRequest when it can be none of the route's."""
    route = service.routes.get(found.route)
    known = service.tiers if route is None else {tier.name for tier in route.tiers}
    if asked.tier is not None and asked.tier not in known:
        raise BadRequest(
            f"The request took the route {found.route!r}, which has no tier {asked.tier[:100]!r}.",
            param="tier",
        )
    tier = asked.tier or found.tier
    if tier == _NOBODY:
        raise BadRequest(
            "No tier served this request: say in `tier` which one's answer is meant.",
            param="tier",
            code="nothing_served",
        )
    return tier
