"""Can an upstream be reached at all? For readiness only; no request is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from urllib.parse import urlsplit

_PATIENCE = 1.0
_PORTS = {"http": 80, "https": 443}


async def any_reachable(base_urls: Sequence[str]) -> bool:
    """Does at least one of these origins take a TCP connection within a second?"""
    tasks = [asyncio.create_task(_reachable(url)) for url in base_urls]
    try:
        for done in asyncio.as_completed(tasks):
            if await done:
                return True
        return False
    finally:
        for task in tasks:
            task.cancel()


async def _reachable(base_url: str) -> bool:
    parts = urlsplit(base_url)
    port = parts.port or _PORTS[parts.scheme]
    try:
        async with asyncio.timeout(_PATIENCE):
            _, writer = await asyncio.open_connection(parts.hostname, port)
    except (OSError, TimeoutError, UnicodeError):  # the last for a name that no DNS would know
        return False
    writer.close()
    return True
