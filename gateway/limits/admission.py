"""Lets a request in, or turns it away: puts aside what it may use of every limit and budget that is
on it, and settles that when its record is made. What is turned away is charged for nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway.core.errors import BudgetSpent, GatewayError, RateLimited
from gateway.core.ledger import Entry
from gateway.core.limits import Budget, Limits
from gateway.core.money import dollars
from gateway.core.shadow import Shadow
from gateway.limits.account import Account
from gateway.limits.accounts import Accounts
from gateway.limits.meters import Kind, Meters

_WORDS = {"rpm": "requests a minute", "tpm": "tokens a minute", "concurrency": "requests at once"}


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose limits: a key's or a route's, by its name. `session` is the client's name for its
    conversation, empty without one."""

    kind: Kind
    name: str
    limits: Limits
    session: str = ""


@dataclass(slots=True)
class Admitted:
    """What was put aside: (account, units) for each. `ceiling` is what the request may spend, in
    nano-dollars, where a budget reaches for less than it might need; `over` are the budgets that it
    is over, by scope and period, and `downgrade` says that one of them wants it served small."""

    tokens: list[tuple[Account, int]] = field(default_factory=list)
    fixed: list[tuple[Account, int]] = field(default_factory=list)
    money: list[tuple[Account, int]] = field(default_factory=list)
    shadow: int = 0
    ceiling: int | None = None
    over: list[str] = field(default_factory=list)
    downgrade: bool = False
    rates: list[tuple[str, Account]] = field(default_factory=list)


class Told(Protocol):
    """Hears how many times a limit was met."""

    def __call__(self, scope: str, limit: str, action: str, times: int = 1) -> None:
        """`scope` is key, route or tier; `action` reject, warn or downgrade. No time at all says
        that there is such a limit."""
        ...


class Admission:
    """Keeps what is put aside for each request under way."""

    def __init__(self, accounts: Accounts, wall: Callable[[], float], told: Told) -> None:
        """`wall` is UNIX time in seconds."""
        self._accounts, self._wall, self._told = accounts, wall, told
        self._meters: dict[tuple[str, str], Meters] = {}
        self._open: dict[str, Admitted] = {}
        self._shadows: dict[str, Admitted] = {}

    @property
    def under_way(self) -> int:
        """For how many requests something is put aside."""
        return len(self._open) + len(self._shadows)

    async def admit(
        self,
        entry_id: str,
        scopes: Sequence[Scope],
        tokens: int,
        least: int,
        most: int,
        shadow: int = 0,
    ) -> Admitted:
        """Put aside a request of about so many `tokens`, that takes `least` nano-dollars to be
        answered and `most` where all goes wrong; `shadow` is what asking another tier for the
        record will cost. Raises RateLimited, BudgetSpent or LimitsUnknown, with nothing put aside.
        """
        admitted = Admitted(shadow=shadow)
        try:
            for scope in scopes:
                meters = self._of(scope)
                await self._rates(meters, tokens, admitted)
                for budget in scope.limits.budgets:
                    if budget.period != "session" or scope.session:
                        await self._budget(meters, budget, scope.session, (least, most), admitted)
        except BaseException:
            _give_back(admitted)
            raise
        self._open[entry_id] = admitted
        return admitted

    def _of(self, scope: Scope) -> Meters:
        place = (scope.kind, scope.name)
        meters = self._meters.get(place)
        if meters is None or meters.limits is not scope.limits:
            meters = Meters(scope.kind, scope.name, scope.limits, self._accounts, self._wall)
            self._meters[place] = meters
            for budget in scope.limits.budgets:
                self._told(scope.kind, f"budget_{budget.period}", budget.action, 0)
        return meters

    async def _rates(self, meters: Meters, tokens: int, admitted: Admitted) -> None:
        for word, account in meters.rates():
            # More than a minute's worth goes when there is a whole one.
            units = min(tokens, account.holding.terms.capacity) if word == "tpm" else 1
            if not (account.take_at_once(units) or await account.take(units, units)):
                self._told(meters.kind, word, "reject")
                raise _limited(meters, word, account, admitted)
            (admitted.tokens if word == "tpm" else admitted.fixed).append((account, units))
            admitted.rates.append((word, account))

    async def _budget(
        self,
        meters: Meters,
        budget: Budget,
        session: str,
        bounds: tuple[int, int],
        admitted: Admitted,
    ) -> None:
        account, until = meters.budget(budget, session)
        extra = admitted.shadow
        least, most = bounds[0] + extra, bounds[1] + extra
        wanted = most if budget.action == "warn" else least
        got = account.take_at_once(most) or await account.take(wanted, most)
        if got:
            admitted.money.append((account, got))
            if got < most:
                left = got - extra
                lower = left if admitted.ceiling is None else min(left, admitted.ceiling)
                admitted.ceiling = lower
            return
        self._told(meters.kind, f"budget_{budget.period}", budget.action)
        if budget.action == "reject":
            raise _spent(meters, budget, account, least, until and until - self._wall())
        admitted.downgrade = admitted.downgrade or budget.action == "downgrade"
        admitted.over.append(f"{meters.kind}; {budget.period}; {budget.action}")
        units = least if budget.action == "downgrade" else most
        account.force(units)
        admitted.money.append((account, units))

    # -------------------------------------------------------------- what became of it

    def settle(self, entry: Entry) -> None:
        """Settle a request's account by its record; a sink."""
        admitted = self._open.pop(entry.origin.entry_id, None)
        if admitted is None:
            return
        _settle(admitted, entry.usage.prompt + entry.usage.completion, entry.cost)
        if admitted.shadow:
            self._shadows[entry.origin.entry_id] = admitted

    def settle_free(self, entry_id: str) -> None:
        """Settle a request that has no record, since it used neither tokens nor money: it was one
        request all the same."""
        admitted = self._open.pop(entry_id, None)
        if admitted is not None:
            _settle(admitted, 0, 0)

    def settle_shadow(self, shadow: Shadow) -> None:
        """Settle what was asked for the record; a shadow sink."""
        self._end_shadow(shadow.entry_id, shadow.attempt.spent if shadow.attempt else 0)

    def release(self, entry_id: str, *, followed: bool = False) -> None:
        """Let go of what is still put aside for a request that has ended: one without a record has
        spent nothing, nor has a shadow that none `followed` it with."""
        admitted = self._open.pop(entry_id, None)
        if admitted is not None:
            _give_back(admitted)
        elif not followed:
            self._end_shadow(entry_id, 0)

    def _end_shadow(self, entry_id: str, spent: int) -> None:
        admitted = self._shadows.pop(entry_id, None)
        for account, _ in admitted.money if admitted else ():
            account.settle(admitted.shadow if admitted else 0, spent)


def _settle(admitted: Admitted, tokens: int, cost: int) -> None:
    for account, units in admitted.tokens:
        account.settle(units, tokens)
    for account, units in admitted.fixed:
        account.settle(units, units)
    for account, units in admitted.money:
        account.settle(units - admitted.shadow, cost)


def _give_back(admitted: Admitted) -> None:
    for account, units in (*admitted.tokens, *admitted.fixed, *admitted.money):
        account.settle(units, 0)


def _limited(meters: Meters, word: str, account: Account, admitted: Admitted) -> GatewayError:
    capacity = account.holding.terms.capacity
    whose = f"The {meters.kind} {meters.name!r}" if meters.name else "This key"
    error = RateLimited(
        f"{whose} may use {capacity} {_WORDS[word]}, and has. Try again a little later.",
        retry_after=max(account.wait, 1.0),
    )
    admitted.rates.append((word, account))
    error.headers = rate_headers(admitted)
    return error


def _spent(
    meters: Meters, budget: Budget, account: Account, least: int, wait: float | None
) -> GatewayError:
    left = dollars(account.remaining())
    whose = f"The {meters.kind} {meters.name!r}" if meters.name else "This key"
    error = BudgetSpent(
        f"{whose} has ${left} left of its {budget.period}'s budget of "
        f"${dollars(budget.amount)}; this request needs about ${dollars(least)}. "
        "Set a smaller max_tokens, or have the budget raised.",
        retry_after=wait,
    )
    # OpenAI's own clients try a 429 again unless they are told that it does not help.
    error.headers = [(b"x-should-retry", b"false")]
    return error


_HEADERS = {"rpm": b"requests", "tpm": b"tokens"}


def rate_headers(admitted: Admitted) -> list[tuple[bytes, bytes]]:
    """Say what is left, in OpenAI's headers: of several limits of a kind, of the one that has the
    least left."""
    found: dict[bytes, tuple[int, Account]] = {}
    for word, account in admitted.rates:
        name = _HEADERS.get(word)
        if name is not None:
            left = account.remaining()
            if name not in found or left < found[name][0]:
                found[name] = left, account
    headers: list[tuple[bytes, bytes]] = []
    for name, (left, account) in found.items():
        terms = account.holding.terms
        headers += [
            (b"x-ratelimit-limit-" + name, b"%d" % terms.capacity),
            (b"x-ratelimit-remaining-" + name, b"%d" % left),
            (b"x-ratelimit-reset-" + name, _duration(account.reset())),
        ]
    return headers


def _duration(seconds: float) -> bytes:
    """Write a duration as OpenAI does: 20ms, 1.5s, 6m0s."""
    if seconds < 1:
        return b"%dms" % round(seconds * 1000)
    if seconds < 60:
        return b"%.3gs" % seconds
    return b"%dm%ds" % divmod(round(seconds), 60)
