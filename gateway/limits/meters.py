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
        self._rates: list[tuple[str, Account]] = []
        self._budgets: dict[str, tuple[Account, float | None]] = {}

    def rates(self) -> list[tuple[str, Account]]:
        """Those that are not of money, by the configuration's names for them."""
        if self._rates and not any(account.gone for _, account in self._rates):
            return self._rates
        self._rates = [
            (
                word,
                self._accounts.get(
                    f"{self.kind}:{self.name}:{word}", terms, self.limits.outage, KEPT[word]
                ),
            )
            for word, terms in self.limits.terms().items()
        ]
        return self._rates

    def budget(self, budget: Budget, session: str) -> tuple[Account, float | None]:
        """The account of a budget's present period, and the UNIX time of that one's end."""
        if budget.period == "session":
            digest = blake2b(session.encode(), digest_size=12).hexdigest()
            return self._account(budget, f"session {digest}"), None
        known = self._budgets.get(budget.period)
        if known is None or known[0].gone or (known[1] is not None and self._wall() >= known[1]):
            name, until = window(budget.period, self._wall(), self.limits.zone)
            known = self._budgets[budget.period] = self._account(budget, name), until
        return known

    def _account(self, budget: Budget, period: str) -> Account:
        place = f"{self.kind}:{self.name}:usd:{period}"
        return self._accounts.get(place, budget.terms, budget.outage, _KEPT[budget.period])
