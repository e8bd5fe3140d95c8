"""A host's addresses: believed for a time, and for longer while nobody knows better."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket

from gateway.upstreams.http1.errors import ConnectFailed

STALE_MOST = 3600.0
"""Seconds past its `ttl` for which the last good answer is used while the resolver fails (RFC 8767
suggests days at most; an upstream that has moved is long gone from its old address by then)."""
_ASK_AGAIN = 5.0
"""Seconds until a resolver that has failed is asked again."""

_log = logging.getLogger("waterfall")


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name, in the system's order of preference; raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Names:
    """What one host's name resolves to, kept for `ttl` seconds."""

    __slots__ = (
        *("_failing", "_good_at", "_host", "_literal", "_lookup", "_port", "_stale_at", "_ttl"),
        "row",
    )

    def __init__(self, host: str, port: int, ttl: float) -> None:
        self._host = host
        self._port = port
        self._ttl = ttl
        self._lookup: asyncio.Task[None] | None = None
        self._stale_at = self._good_at = 0.0
        self._failing = False
        self._literal = _is_address(host)
        self.row: list[str] = [host] if self._literal else []
        """The addresses known, the next to be tried first."""

    async def addresses(self, deadline: float) -> list[str]:
        """The addresses by `deadline` (loop time), and not all of that where old ones are known.

        Raises ConnectFailed, and TimeoutError at the deadline.
        """
        now = asyncio.get_running_loop().time()
        if self._literal or (self.row and now < self._stale_at):
            return list(self.row)
        known = self.row and now < self._good_at + self._ttl + STALE_MOST
        try:
            async with asyncio.timeout_at((now + deadline) / 2 if known else deadline):
                await self._ask()
        except TimeoutError as error:
            if not known:
                raise
            self._fall_back(now, error)
        except (OSError, UnicodeError) as error:
            if not known:
                raise ConnectFailed("dns", f"{self._host}: {error}") from error
            self._fall_back(now, error)
        return list(self.row)

    def demote(self, address: str) -> None:
        """Put an address that has failed to the end of the row."""
        if address in self.row:
            self.row.remove(address)
            self.row.append(address)

    def doubt(self) -> None:
        """Ask anew before the next connection."""
        self._stale_at = 0.0

    def close(self) -> None:
        """Gives up a look-up under way."""
        if self._lookup is not None:
            self._lookup.cancel()

    async def _ask(self) -> None:
        # One look-up serves all who wait for it, and outlives any of them that is cancelled.
        if self._lookup is None:
            self._lookup = asyncio.create_task(self._look_up())
            self._lookup.add_done_callback(self._looked_up)
        lookup = self._lookup
        try:
            await asyncio.shield(lookup)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if lookup.cancelled() and task is not None and not task.cancelling():
                raise ConnectFailed("closed", "the pool is closed") from None
            raise  # it is the caller who was cancelled

    async def _look_up(self) -> None:
        found = await resolve(self._host, self._port)
        if not found:
            raise OSError("the name has no address")
        self.row = found
        self._good_at = asyncio.get_running_loop().time()
        self._stale_at = self._good_at + self._ttl
        if self._failing:
            self._failing = False
            _log.info("the name %s resolves again", self._host)

    def _looked_up(self, lookup: asyncio.Task[None]) -> None:
        self._lookup = None
        if not lookup.cancelled():
            lookup.exception()  # those who waited have it; with nobody left it is of no interest

    def _fall_back(self, now: float, error: Exception) -> None:
        self._stale_at = now + min(self._ttl, _ASK_AGAIN)
        if not self._failing:  # said once, and not for each connection
            self._failing = True
            told = str(error) or "no answer in time"
            _log.warning(
                "the name %s does not resolve (%s): its last known addresses are used, for %.0f s "
                "at most",
                self._host,
                told,
                self._good_at + self._ttl + STALE_MOST - now,
            )


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
