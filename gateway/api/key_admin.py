"""Keys of the store by the admin listener: made, listed, rotated, revoked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from gateway.api.http import read_json
from gateway.config import ConfigError, Settings
from gateway.config.quantities import kept_for
from gateway.config.stored_keys import stored_key
from gateway.core.errors import BadRequest, NotReady
from gateway.store.key_desk import KeyDesk, Made, told

T = TypeVar("T")
_LIMIT = 64 * 1024


def add_keys(
    app: FastAPI,
    desk: KeyDesk,
    guard: Callable[[Request], None],
    wall: Callable[[], float],
    configured: Callable[[], Settings],
) -> None:
    """Add the endpoints; `guard` raises for who may not, `configured` returns what is configured
    now, and may block."""
    own = _Keys(desk, guard, wall, configured)
    app.add_route("/admin/keys", own.create, ["POST"])
    app.add_route("/admin/keys", own.list, ["GET"])
    app.add_route("/admin/keys/{name:path}/rotate", own.rotate, ["POST"])
    app.add_route("/admin/keys/{name:path}", own.revoke, ["DELETE"])


class _Keys:
    def __init__(
        self,
        desk: KeyDesk,
        guard: Callable[[Request], None],
        wall: Callable[[], float],
        configured: Callable[[], Settings],
    ) -> None:
        self._desk, self._guard, self._wall = desk, guard, wall
        self._configured = configured

    async def create(self, request: Request) -> Response:
        self._guard(request)
        body = await read_json(request.scope, request.receive, _LIMIT)
        name, lasts = body.pop("name", None), body.pop("expires_in", None)
        if not isinstance(name, str):
            raise BadRequest("name must be the key's name.", param="name")
        seconds = _seconds(lasts, "expires_in")
        made = await _in_thread(lambda: self._create(name, body, seconds))
        return self._made(made, 201)

    def _create(self, name: str, wanted: dict[str, Any], seconds: float | None) -> Made:
        settings = self._configured()
        try:
            stored_key(name, wanted, settings.routes)
        except ConfigError as error:
            raise BadRequest(f"No such key can be made: {error}") from error
        if any(key.name == name for key in settings.keys):
            # What is kept for a key is kept by its name: two of one name would share it.
            raise BadRequest(f"The configuration has a key {name!r} already.", param="name")
        return self._desk.create(name, wanted, seconds)

    async def list(self, request: Request) -> Response:
        self._guard(request)
        found = await _in_thread(self._desk.list)
        return JSONResponse({"keys": [told(key, self._wall()) for key in found]})

    async def rotate(self, request: Request) -> Response:
        self._guard(request)
        body = await read_json(request.scope, request.receive, _LIMIT)
        name, grace = request.path_params["name"], _seconds(body.get("grace"), "grace") or 0.0
        return self._made(await _in_thread(lambda: self._desk.rotate(name, grace)), 200)

    async def revoke(self, request: Request) -> Response:
        self._guard(request)
        name = request.path_params["name"]
        await _in_thread(lambda: self._desk.revoke(name))
        return JSONResponse({"name": name, "state": "revoked"})

    def _made(self, made: Made, status: int) -> Response:
        said: dict[str, Any] = {"key": made.text, **told(made.key, self._wall())}
        return JSONResponse(said, status, {"cache-control": "no-store"})


def _seconds(value: object, param: str) -> float | None:
    if value is None:
        return None
    try:
        return kept_for(value)
    except ValueError as error:
        raise BadRequest(f"{param} {error}.", param=param) from error


async def _in_thread(work: Callable[[], T]) -> T:
    try:
        return await asyncio.to_thread(work)
    except OSError as error:
        raise NotReady(f"The keys are not to be had: {error}", code="keys_unavailable") from error
