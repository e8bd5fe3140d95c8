"""The accounts of one key's or route's limits."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Literal

from gateway.core.limits import Budget, Limits
from gateway.limits.account import Account
from gateway.limits.accounts import Accounts
from gateway.limits.periods import window

KEPT = {"rpm": 180.0, "tpm": 180.0, "concurrency": 3600.0}
"""For how many seconds a pool that nobody draws from is kept: until it would be full anyway."""
_DAY = 86_400.0
_KEPT = {"session": _DAY, "day": 2 * _DAY, "month": 33 * _DAY, "total": 3650 * _DAY}

Kind = Literal["key", "route", "tier"]


class Meters:
    """Finds them by name, and keeps those that do not change with time."""

    def __init__(
        self, kind: Kind, name: str, limits: Limits, accounts: Accounts, wall: Callable[[], float]
    ) -> None:
        """`wall` is UNIX time in seconds."""
        self.kind, self.name, self.limits = kind, name, limits
        self._accounts, self._wall = accounts, wall
        self._windows: dict[str, tuple[str, float | None]] = {}

    def rates(self) -> list[tuple[str, Account]]:
        """Those that are not of money, by the configuration's names for them."""
        return [
            (
                word,
                self._accounts.get(
                    f"{self.kind}:{self.name}:{word}", terms, self.limits.outage, KEPT[word]
                ),
            )
            for word, terms in self.limits.terms().items()
        ]

    def budget(self, budget: Budget, session: str) -> tuple[Account, float | None]:
        """The account of a budget's present period, and the UNIX time of that one's end."""
        name, until = self._window(budget)
        if budget.period == "session":
            name = "session " + blake2b(session.encode(), digest_size=12).hexdigest()
        place = f"{self.kind}:{self.name}:usd:{name}"
        keep = _KEPT[budget.period]
        return self._accounts.get(place, budget.terms, budget.outage, keep), until

    def _window(self, budget: Budget) -> tuple[str, float | None]:
        now = self._wall()
        known = self._windows.get(budget.period)
        if known is None or (known[1] is not None and now >= known[1]):
            known = self._windows[budget.period] = window(budget.period, now, self.limits.zone)
        return known
