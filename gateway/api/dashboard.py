"""The dashboard: its files, and the figures that it asks for.

The files hold nothing of anybody's; every figure needs the admin key, or the token of this run.
"""

from __future__ import annotations

import asyncio
import mimetypes
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from prometheus_client.parser import text_string_to_metric_families

import gateway
from gateway.api.figures import Figures
from gateway.core.errors import NotFound
from gateway.core.routing import Route

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing but our own files, and nobody who shows us in a frame."""
_HEADERS: Final = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_QUESTIONS: Final = (*("money", "routing", "quality", "health", "requests", "request", "what-if"),)
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_LATEST: Final = "no-cache"
Guard = Callable[[Request], None]
Routes = Callable[[], Awaitable[dict[str, Any]]]
"""Tells each route's `tiers` (cheap to strong), `thresholds` in force, `baseline`, `mode`, whether
they are `live`: moved by the gateway itself, and the `floor` of quality that they are to keep."""


def add_dashboard(
    app: FastAPI,
    figures: Figures,
    routes: Routes,
    render: Callable[[], Awaitable[bytes]],
    guards: tuple[Guard, Guard],
) -> None:
    """Add the dashboard to the admin listener. `guards` raise for who may not have its files, and
    for who may not have figures."""
    pages = _Pages(figures, routes, render, guards)
    app.add_route("/dashboard", pages.lead_on, ["GET"])
    app.add_route("/dashboard/", pages.front, ["GET"])
    app.add_route("/dashboard/assets/{name}", pages.asset, ["GET"])
    app.add_route("/dashboard/api/about", pages.about, ["GET"])
    app.add_route("/dashboard/api/now", pages.now, ["GET"])
    app.add_route("/dashboard/api/{name}", pages.figures, ["GET"])


def describe(routes: Mapping[str, Route]) -> dict[str, Any]:
    """Tell the page what is configured."""
    return {
        name: {
            "tiers": [tier.name for tier in route.tiers],
            "thresholds": list(route.thresholds),
            "baseline": route.baseline_tier.name,
            "mode": route.mode,
            "live": route.target is not None,
            "floor": route.target.quality if route.target else None,
        }
        for name, route in routes.items()
    }


class _Pages:
    def __init__(
        self,
        figures: Figures,
        routes: Routes,
        render: Callable[[], Awaitable[bytes]],
        guards: tuple[Guard, Guard],
    ) -> None:
        self._figures = figures
        self._routes = routes
        self._render = render
        self._let_in, self._let_see = guards

    async def lead_on(self, request: Request) -> Response:
        self._let_in(request)
        return RedirectResponse("/dashboard/", 308, _HEADERS)

    async def front(self, request: Request) -> Response:
        """The page; while a browser reads it, whoever will answer it is started."""
        self._let_in(request)
        self._figures.warm()
        return _file("index.html", _LATEST)

    async def asset(self, request: Request) -> Response:
        self._let_in(request)
        return _file(request.path_params["name"], _FOR_EVER)

    async def about(self, request: Request) -> Response:
        self._let_see(request)
        told = {"version": gateway.__version__, "routes": await self._routes()}
        return JSONResponse({**told, "ledger": self._figures.shown}, headers=_fresh())

    async def now(self, request: Request) -> Response:
        """What `/metrics` says that is no histogram."""
        self._let_see(request)
        page = await self._render()
        return JSONResponse(await asyncio.to_thread(standing, page), headers=_fresh())

    async def figures(self, request: Request) -> Response:
        self._let_see(request)
        name = request.path_params["name"]
        if name not in _QUESTIONS:
            raise NotFound(f"No such figures; there are {', '.join(_QUESTIONS)}.")
        text, kind = await self._figures.ask(name, dict(request.query_params))
        headers = _fresh()
        if kind == "text/csv":
            headers["content-disposition"] = f'attachment; filename="waterfall-{name}.csv"'
        return Response(text, media_type=kind, headers=headers)


def _fresh() -> dict[str, str]:
    return {**_HEADERS, "cache-control": "no-store"}


def standing(page: bytes) -> dict[str, list[dict[str, Any]]]:
    """Read counters and gauges off a page of metrics, by name: each series' labels and value."""
    lines = (line for line in page.decode().splitlines(keepends=True) if "_bucket{" not in line)
    found: dict[str, list[dict[str, Any]]] = {}
    for family in text_string_to_metric_families("".join(lines)):
        if family.type in {"counter", "gauge"}:
            for sample in family.samples:
                if not sample.name.endswith("_created"):
                    told = {"labels": sample.labels, "value": sample.value}
                    found.setdefault(sample.name, []).append(told)
    return found


@cache
def _built() -> dict[str, bytes]:
    """The page's files, by their names."""
    folder = files("gateway") / "dashboard" / "page"
    there = (each for part in (folder, folder / "assets") for each in part.iterdir())
    return {each.name: each.read_bytes() for each in there if each.is_file()}


def _file(name: str, cached: str) -> Response:
    data = _built().get(name)
    if data is None or name == "source.json":
        raise NotFound("No such file.")
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Response(data, media_type=kind, headers={**_HEADERS, "cache-control": cached})
