"""From what a configuration says to a shared state in use."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from gateway.shared.file import FileShared
from gateway.shared.port import Shared


class SharedUnusable(Exception):
    """There can be no such shared state here."""


def open_shared(url: str, path: Path, wall: Callable[[], float], timeout: float) -> Shared:
    """Open Redis by its `url`, else the file at `path`. A server that is down is no hindrance.

    Raises SharedUnusable.
    """
    if url == "memory://":
        try:
            return FileShared(path, wall, timeout)
        except (OSError, sqlite3.Error) as error:
            raise SharedUnusable(f"No shared state can be kept at {path}: {error}.") from error
    try:
        from gateway.shared.redis import RedisShared  # noqa: PLC0415 (its library is an extra)

        return RedisShared(url, timeout)
    except ImportError as error:
        told = "shared.url is a Redis server's: install waterfall-gateway[redis]."
        raise SharedUnusable(told) from error
    except ValueError as error:
        raise SharedUnusable(f"shared.url: {error}.") from error
