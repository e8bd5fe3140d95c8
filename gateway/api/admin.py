"""The admin listener: metrics, dashboard, reload, restart, and the one writable field, a route's
thresholds.

Writes and the dashboard's figures need the admin key, or, where none is configured, the token
printed at start. A listener off loopback needs the key for all but the dashboard's own files.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from gateway.api.auth import bearer, require_local_host
from gateway.api.dashboard import Routes, add_dashboard
from gateway.api.endpoints import error_handlers
from gateway.api.figures import Figures
from gateway.api.http import header, read_json
from gateway.api.key_admin import add_keys
from gateway.api.planning import Clocks
from gateway.config import Settings
from gateway.core.difficulty import are_thresholds
from gateway.core.errors import BadRequest, Forbidden, Unauthorized
from gateway.core.ledger import Refusal
from gateway.store.key_desk import KeyDesk

P = ParamSpec("P")
T = TypeVar("T")
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_LIMIT = 64 * 1024

Render = Callable[[], Awaitable[bytes]]
"""Writes `/metrics`."""


@dataclass(frozen=True, slots=True)
class Controls:
    """What the admin listener can do. `reload` returns the new configuration's digest and raises
    BadRequest when it is refused; `set_thresholds` takes a route's name and its thresholds;
    `restart` replaces every process and returns how many, or raises BadRequest; `figures` answers
    the dashboard, and `routes` tells it what is configured. `refuse` logs what was turned away
    here, which is none of the clients' requests and counts among none. What speaks for
    several processes may raise GatewayError where not all of them could be asked. `keys` is where
    keys of the store are made, None where there is no store of them; `configured` returns the
    configuration that they stand beside, and may block."""

    secret: str
    is_local: bool
    render_metrics: Render
    reload: Callable[[], Awaitable[str]]
    set_thresholds: Callable[[str, tuple[float, ...]], Awaitable[None]]
    refuse: Callable[[Refusal], None]
    restart: Callable[[], Awaitable[int]]
    figures: Figures
    routes: Routes
    configured: Callable[[], Settings]
    keys: KeyDesk | None = None


def admin_app(controls: Controls, clocks: Clocks) -> FastAPI:
    """Build the admin listener's app."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    for kind, handler in error_handlers(clocks, controls.refuse).items():
        app.add_exception_handler(kind, handler)
    admin = _Admin(controls)
    app.add_route("/metrics", admin.metrics, ["GET"])
    app.add_route("/admin/reload", admin.reload, ["POST"])
    app.add_route("/admin/threshold", admin.threshold, ["PUT"])
    app.add_route("/admin/restart", admin.restart, ["POST"])
    guards = admin.let_in, admin.guard
    add_dashboard(app, controls.figures, controls.routes, controls.render_metrics, guards)
    if controls.keys is not None:
        add_keys(app, controls.keys, admin.guard, clocks.wall, controls.configured)
    return app


def at_once(function: Callable[P, T]) -> Callable[P, Awaitable[T]]:
    """Make a function that waits for nothing into one that may be awaited."""

    async def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return function(*args, **kwargs)

    return call


async def refuse_restart() -> int:
    """Refuse to restart the only process: nobody could take over from it."""
    raise BadRequest("There is one process, so nobody could take over: set server.workers to 2.")


def metrics_endpoint(render: Render) -> Callable[[Request], Awaitable[Response]]:
    """Return `/metrics` for the main port, where that is loopback."""

    async def metrics(request: Request) -> Response:
        require_local_host(request.scope)
        return Response(await render(), media_type=_METRICS_TYPE)

    return metrics


class _Admin:
    def __init__(self, controls: Controls) -> None:
        self._controls = controls

    async def metrics(self, request: Request) -> Response:
        if self._controls.is_local:
            require_local_host(request.scope)
        else:
            self._require_secret(request)
        return Response(await self._controls.render_metrics(), media_type=_METRICS_TYPE)

    async def reload(self, request: Request) -> Response:
        self.guard(request)
        return JSONResponse({"config": await self._controls.reload()})

    async def restart(self, request: Request) -> Response:
        self.guard(request)
        return JSONResponse({"workers": await self._controls.restart()})

    async def threshold(self, request: Request) -> Response:
        self.guard(request)
        body = await read_json(request.scope, request.receive, _LIMIT)
        route, given = body.get("route"), body.get("threshold")
        values: list[Any] = given if isinstance(given, list) else [given]
        if not isinstance(route, str):
            raise BadRequest("route must be a route's name.", param="route")
        if not all(map(_is_number, values)) or not are_thresholds(values):
            message = "threshold must be a number from 0 to 1, or a list of them, never falling."
            raise BadRequest(message, param="threshold")
        await self._controls.set_thresholds(route, tuple(float(value) for value in values))
        return JSONResponse({"route": route, "threshold": values})

    def let_in(self, request: Request) -> None:
        """Refuse whoever came under a foreign name: a web page can make up names for us."""
        if self._controls.is_local:
            require_local_host(request.scope)

    def guard(self, request: Request) -> None:
        """Refuse what a web page could have sent, then what lacks the secret."""
        self.let_in(request)
        origin = header(request.scope, b"origin")
        if origin is not None and origin.rpartition("//")[2] != header(request.scope, b"host"):
            raise Forbidden("Requests from another origin are refused.")
        self._require_secret(request)

    def _require_secret(self, request: Request) -> None:
        sent = (bearer(request.scope) or "").encode("latin-1", "replace")
        if not hmac.compare_digest(sent, self._controls.secret.encode()):
            raise Unauthorized("Send the admin key as `Authorization: Bearer <key>`.")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
