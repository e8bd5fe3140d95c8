"""Opens what keeps limits, budgets and keys, for all configurations of a process in turn."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass

from gateway.api.auth import Key, Keys
from gateway.api.planning import Clocks
from gateway.api.stored import StoredKeys
from gateway.config import Settings
from gateway.core.ports import ShadowSink, Sink, Upstream
from gateway.limits import Accounts, Admission, limited
from gateway.limits.admission import Told
from gateway.limits.line import Line
from gateway.shared import Shared, SharedDown, SharedUnusable, open_shared
from gateway.store.key_desk import KeyDesk
from gateway.store.keyring import Keyring
from gateway.store.keys import KeyTable

__all__ = ["SharedUnusable", "Spending", "key_desk"]


@dataclass(frozen=True, slots=True)
class Spent:
    """What one configuration needs for its limits: `limited` puts the tiers' own before their
    upstreams."""

    admission: Admission | None = None
    limited: Callable[[dict[str, Upstream]], dict[str, Upstream]] = lambda upstreams: upstreams
    sinks: tuple[Sink, ...] = ()
    shadow_sinks: tuple[ShadowSink, ...] = ()


def key_desk(settings: Settings, clocks: Clocks) -> KeyDesk | None:
    """Return where keys of the store are made and revoked; None where there is no store of them."""
    if not settings.key_store.enabled:
        return None
    ledger, pepper = settings.ledger, settings.key_store.pepper
    return KeyDesk(ledger.place, pepper, ledger.pepper, clocks.wall)


def _open_keys(settings: Settings, clocks: Clocks) -> tuple[Keyring | None, StoredKeys | None]:
    if not settings.key_store.enabled:
        return None, None
    ledger, pepper = settings.ledger, settings.key_store.pepper
    ring = Keyring(KeyTable(ledger.place), pepper, ledger.pepper, clocks.wall)
    ring.start()
    return ring, StoredKeys(ring, clocks.wall)


class Spending:
    """Nothing is opened before there is a limit: who has none pays nothing for them."""

    def __init__(self, settings: Settings, clocks: Clocks, told: Told) -> None:
        """Where processes meet is as in these settings for good; `told` hears of limits that were
        met."""
        self._settings, self._path = settings.shared, settings.ledger.shared
        self._clocks, self._told = clocks, told
        self._opened: tuple[Shared, Accounts, Admission] | None = None
        self._opening = threading.Lock()
        self._ring, self._stored = _open_keys(settings, clocks)

    def open(self, settings: Settings) -> Spent:
        """Open what keeps these settings' limits, if there are any. Raises SharedUnusable."""
        if not settings.limits_anything:
            return Spent()
        _, accounts, admission = self._open_once()
        self._begin(settings)
        tiers, wall, told = settings.tiers.values(), self._clocks.wall, self._told
        return Spent(
            admission,
            lambda upstreams: limited(upstreams, tiers, accounts, wall, told),
            (admission.settle,),
            (admission.settle_shadow,),
        )

    def _begin(self, settings: Settings) -> None:
        """Tell of each budget before it is met: who watches it has to see the first time."""
        of_keys = (("key", each.limits) for each in settings.keys)
        of_routes = (("route", each.limits) for each in settings.routes.values())
        for kind, limits in (*of_keys, *of_routes):
            for budget in limits.budgets if limits else ():
                self._told(kind, f"budget_{budget.period}", budget.action, 0)

    def _open_once(self) -> tuple[Shared, Accounts, Admission]:
        """A reload opens it in a thread, and so may a request at the same time."""
        with self._opening:
            if self._opened is None:
                self._opened = self._open()
            return self._opened

    def _open(self) -> tuple[Shared, Accounts, Admission]:
        clocks, timeout = self._clocks, self._settings.timeout
        shared = open_shared(self._settings.url, self._path, clocks.wall, timeout)
        accounts = Accounts(shared, clocks.new_id(), clocks.monotonic, timeout)
        return shared, accounts, Admission(accounts, clocks.wall, self._told)

    async def line(self) -> Line:
        """Return the way to the shared state, which is opened for it. Raises SharedDown."""
        if self._opened is None:
            try:
                await asyncio.to_thread(self._open_once)
            except SharedUnusable as error:
                raise SharedDown(str(error)) from error
        return self._open_once()[1].line

    def keys(self, settings: Settings) -> Keys:
        """Return who may come with these settings."""
        fixed = (Key(k.name, k.digest, k.routes, k.allow, k.limits) for k in settings.keys)
        return Keys(tuple(fixed), self._stored)

    def figures(self) -> dict[str, float]:
        """What it tells of itself: is the shared state up, how often was it asked, how often did
        it not answer?"""
        if self._opened is None:
            return {}
        line = self._opened[1].line
        return {
            "shared_up": float(line.up),
            "shared_trips": float(line.trips),
            "shared_failures": float(line.failures),
        }

    async def aclose(self) -> None:
        """Give back what is in hand, and let go of the shared state."""
        if self._ring is not None:
            await asyncio.to_thread(self._ring.close)
        if self._opened is not None:
            shared, accounts, _ = self._opened
            await accounts.aclose()
            await shared.aclose()
