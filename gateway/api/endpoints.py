"""The smaller endpoints: models, health, and errors for whatever is not there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from gateway.api.auth import Key, identify
from gateway.api.http import request_id, retry_after
from gateway.api.planning import Clocks
from gateway.api.service import Service, Switch
from gateway.core.errors import BadRequest, GatewayError, MethodNotAllowed, NotFound
from gateway.core.ledger import Refusal, refusal

_READY = {True: 200, False: 503}


def models_of(service: Service, key: Key) -> list[dict[str, object]]:
    """List every name a key may give as its model."""
    listed = []
    for name in service.models(key):
        _, tier = service.resolve(name, key)
        listed.append(_model(name, "tier" if tier else "route"))
    return listed


def _model(name: str, kind: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "waterfall", "kind": kind}


class Endpoints:
    """Models and health, reading the service in force."""

    def __init__(self, switch: Switch) -> None:
        """`switch` holds the service in force."""
        self._switch = switch

    async def models(self, request: Request) -> Response:
        """`GET /v1/models`."""
        service = self._switch.service
        key = identify(request.scope, service.keys)
        return JSONResponse({"object": "list", "data": models_of(service, key)})

    async def model(self, request: Request) -> Response:
        """`GET /v1/models/{id}`."""
        service = self._switch.service
        key = identify(request.scope, service.keys)
        wanted = request.path_params["model"]
        _, tier = service.resolve(wanted, key)
        if tier is not None:
            key.require("tier", "model")
        return JSONResponse(_model(wanted, "tier" if tier else "route"))

    async def live(self, request: Request) -> Response:
        """`GET /health/live`: the loop turns."""
        del request
        return JSONResponse({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        """`GET /health/ready`: not draining, and at least one upstream can be reached."""
        del request
        usable = not self._switch.draining and await self._switch.service.usable()
        return JSONResponse({"status": "ok" if usable else "unready"}, _READY[usable])


def error_handlers(
    clocks: Clocks, refuse: Callable[[Refusal], None]
) -> dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]]:
    """Return handlers that put every error into OpenAI's shape, and tell `refuse` of it."""

    async def known(request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException):
            error = _translated(request, error)
        if not isinstance(error, GatewayError):
            error = GatewayError("The gateway failed; this is a fault of ours, now in its log.")
        own = request_id(request.scope, clocks.new_id())
        refuse(refusal(own, clocks.wall(), error))
        extra = {key.decode(): value.decode() for key, value in retry_after(error)}
        return JSONResponse(error.body(), error.status, {"x-request-id": own, **extra})

    return {GatewayError: known, HTTPException: known, Exception: known}


def _translated(request: Request, error: HTTPException) -> GatewayError:
    path = request.scope["path"][:200]
    if error.status_code == 404:
        return NotFound(f"There is nothing at {path}. See GET /v1/models for what can be asked.")
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "another method")
        return MethodNotAllowed(f"{path} takes {allowed}.")
    return BadRequest(str(error.detail))
