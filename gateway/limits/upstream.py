"""A tier's own limits, kept where its calls are made: attempts, checks and shadows alike. A call
that is over them has failed as if the model's provider had said 429, before anything is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from gateway.core.chat import CHARS_PER_TOKEN, ChatRequest, Delta
from gateway.core.errors import LimitsUnknown, UpstreamBusy
from gateway.core.money import Usage
from gateway.core.plan import Tier
from gateway.core.ports import Receive, Upstream, UpstreamCall
from gateway.core.signals import measure
from gateway.core.streaming import Intake
from gateway.limits.account import Account
from gateway.limits.accounts import Accounts
from gateway.limits.admission import Told
from gateway.limits.meters import Meters


def limited(
    upstreams: Mapping[str, Upstream],
    tiers: Iterable[Tier],
    accounts: Accounts,
    wall: Callable[[], float],
    told: Told,
) -> dict[str, Upstream]:
    """Put the tiers' limits before the upstreams that they are at; the others stay as they are."""
    found = dict(upstreams)
    meters: dict[str, dict[str, Meters]] = {}
    for tier in tiers:
        if tier.limits is not None:
            own = Meters("tier", tier.name, tier.limits, accounts, wall)
            meters.setdefault(tier.upstream, {})[tier.name] = own
    for name, each in meters.items():
        found[name] = _Limited(upstreams[name], each, told)
    return found


class _Limited:
    """Fits gateway.core.ports.Upstream."""

    def __init__(self, inner: Upstream, meters: Mapping[str, Meters], told: Told) -> None:
        self._inner, self._meters, self._told = inner, meters, told

    async def call(self, call: UpstreamCall, receive: Receive) -> None:
        meters = self._meters.get(call.tier.name)
        if meters is None:
            await self._inner.call(call, receive)
            return
        taken = await self._take(meters, call)
        watch = _Watch(receive)
        sent = False

        def on_sent(upstream: str = "") -> None:
            nonlocal sent
            sent = True
            call.on_sent(upstream)

        try:
            intake = None if call.intake is None else _WatchedIntake(watch, call.intake)
            await self._inner.call(replace(call, on_sent=on_sent, intake=intake), watch.receive)
        finally:
            for word, account, units in taken:
                used = watch.tokens(units) if word == "tpm" else units
                account.settle(units, used if sent else 0)

    async def _take(self, meters: Meters, call: UpstreamCall) -> list[tuple[str, Account, int]]:
        taken: list[tuple[str, Account, int]] = []
        try:
            for word, account in meters.rates():
                capacity = account.holding.terms.capacity
                units = min(_prompt_tokens(call), capacity) if word == "tpm" else 1
                if not await account.take(units, units):
                    self._told("tier", word, "reject")
                    raise UpstreamBusy(
                        f"The tier {meters.name!r} is at its own limit of {capacity} ({word}).",
                        retry_after=max(account.wait, 1.0),
                    )
                taken.append((word, account, units))
        except BaseException as error:
            for _, account, units in taken:
                account.settle(units, 0)
            if isinstance(error, LimitsUnknown):
                raise UpstreamBusy(error.message, retry_after=error.retry_after) from error
            raise
        return taken

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Watch:
    """Hears what a call used, as it comes by."""

    def __init__(self, receive: Receive) -> None:
        self._receive, self._chars = receive, 0
        self._usage: Usage | None = None

    async def receive(self, delta: Delta) -> bool:
        self.hear(delta)
        return await self._receive(delta)

    def hear(self, delta: Delta) -> None:
        self._usage = delta.usage or self._usage
        self._chars += sum(len(piece.text) for piece in delta.pieces)

    def tokens(self, prompt: int) -> int:
        used = self._usage
        return used.prompt + used.completion if used else prompt + self._chars // CHARS_PER_TOKEN


class _WatchedIntake:
    """Fits gateway.core.streaming.Intake. Nothing passes it unread."""

    flows = False

    def __init__(self, watch: _Watch, intake: Intake) -> None:
        self._watch, self._intake = watch, intake

    def pass_on(self, index: int, text: str, event: bytes) -> bool:
        raise AssertionError(index, text, event)

    def take(self, deltas: Sequence[Delta]) -> bool:
        for delta in deltas:
            self._watch.hear(delta)
        return self._intake.take(deltas)

    async def settle(self) -> bool:
        return await self._intake.settle()


def _prompt_tokens(call: UpstreamCall) -> int:
    """Estimate a call's prompt, and at least one token."""
    body = {"messages": (), **call.body}
    return measure(ChatRequest(body, call.native)).prompt_tokens + 1
