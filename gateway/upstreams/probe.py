"""Can an upstream be reached at all? For readiness only; no request is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from urllib.parse import urlsplit

from gateway.config import UpstreamSettings

_PATIENCE = 1.0
_BELIEVED = 2.0
_PORTS = {"http": 80, "https": 443}


class Readiness:
    """Answers, at most every two seconds anew, whether any upstream can be reached."""

    def __init__(self, upstreams: Iterable[UpstreamSettings], clock: Callable[[], float]) -> None:
        """`clock` gives monotonic seconds."""
        upstreams = tuple(upstreams)
        # What lies behind a proxy may be out of our own reach.
        self._urls = [each.proxy or each.base_url for each in upstreams if each.base_url]
        self._always = len(self._urls) < len(upstreams)
        self._clock = clock
        self._known: tuple[bool, float] | None = None

    async def check(self) -> bool:
        """Can any be reached? A simulated one always can."""
        now = self._clock()
        if self._known is None or now - self._known[1] > _BELIEVED:
            self._known = (self._always or await any_reachable(self._urls), now)
        return self._known[0]


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
