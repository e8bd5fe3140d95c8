"""How much a key, a route or a tier may use: requests, tokens and calls at once, and dollars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gateway.core.allowance import Terms

Period = Literal["session", "day", "month", "total"]
Action = Literal["warn", "downgrade", "reject"]
Outage = Literal["open", "closed"]
"""What is done while the shared state cannot be had: each worker goes on by what it knew last, or
nothing passes."""


@dataclass(frozen=True, slots=True)
class Budget:
    """`amount` nano-dollars for a period, and what happens to a request that it does not reach
    for."""

    period: Period
    amount: int
    action: Action = "reject"
    outage: Outage = "open"

    @property
    def terms(self) -> Terms:
        """The same as an allowance."""
        return Terms("budget", self.amount)


@dataclass(frozen=True, slots=True)
class Limits:
    """Requests and tokens a minute, and requests at once; None is without limit. `request` is the
    most that one request may cost, in nano-dollars. Days and months are those of the time zone
    `zone`, by its IANA name."""

    rpm: int | None = None
    tpm: int | None = None
    concurrency: int | None = None
    request: int | None = None
    budgets: tuple[Budget, ...] = ()
    zone: str = "UTC"
    outage: Outage = "open"

    def terms(self) -> dict[str, Terms]:
        """Those that are not of money, by their names in the configuration."""
        found: dict[str, Terms] = {}
        if self.concurrency is not None:
            found["concurrency"] = Terms("slots", self.concurrency)
        for name in ("rpm", "tpm"):
            amount = getattr(self, name)
            if amount is not None:
                found[name] = Terms("rate", amount, amount / 60)
        return found
