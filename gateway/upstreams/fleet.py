"""All the deployments of one configuration: every upstream's models, each known once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from gateway.config import Settings, UpstreamSettings
from gateway.core.plan import SEVERAL, Tier
from gateway.core.ports import Counts, Receive, Upstream, UpstreamCall
from gateway.upstreams.balanced import Balanced
from gateway.upstreams.deployment import Deployment
from gateway.upstreams.tally import Tally

STATES = {"closed": 0.0, "half_open": 1.0, "open": 2.0}
"""What the metric says of a breaker."""
Figures = dict[str, Mapping[tuple[str, ...], float]]


@runtime_checkable
class Warmed(Protocol):
    """An upstream that can connect ahead of use."""

    async def warm(self) -> None:
        """Connect; that it cannot be done raises nothing."""
        ...


class Guarded:
    """One or several upstreams with everything that stands around them; fits
    `gateway.core.ports.Upstream`."""

    def __init__(self, fleet: Fleet, names: Sequence[str]) -> None:
        self._fleet, self._names = fleet, tuple(names)
        self._models: dict[str, Balanced] = {}

    def of(self, model: str) -> Balanced:
        """Return the deployments of a model, which is one of the configuration's."""
        known = self._models.get(model)
        if known is None:
            known = self._models[model] = self._fleet.balanced(self._names, model)
        return known

    def call(self, call: UpstreamCall, receive: Receive) -> Coroutine[Any, Any, None]:
        """Make one call; see `gateway.core.ports.Upstream`."""
        return self.of(call.tier.model).call(call, receive)

    async def aclose(self) -> None:
        """Nothing: the fleet closes each upstream once."""


def open_fleet(
    settings: Settings,
    opener: Callable[[UpstreamSettings], Upstream],
    clock: Callable[[], float],
    tally: Tally,
    before: Fleet | None = None,
) -> Fleet:
    """Open every upstream of a configuration by `opener`, and raise what that raises. `before` is
    the fleet of the configuration before a reload."""
    upstreams = {name: opener(each) for name, each in settings.upstreams.items()}
    tiers = list(settings.tiers.values())
    return Fleet(settings.upstreams, upstreams, tiers, clock, tally, before)


class Fleet:
    """The upstreams of a configuration, by what tiers call them: `a`, or `a|b` for several.

    `clock` is monotonic, in seconds; `tally` hears what is counted. Of a deployment that was in the
    fleet `before`, at an upstream that has not changed, pace, recent calls and ejection stay known.
    """

    def __init__(
        self,
        settings: Mapping[str, UpstreamSettings],
        upstreams: Mapping[str, Upstream],
        tiers: Sequence[Tier],
        clock: Callable[[], float],
        tally: Tally,
        before: Fleet | None = None,
    ) -> None:
        self._settings, self._inner = settings, upstreams
        self._clock, self._tally = clock, tally
        self._deployments: dict[tuple[str, str], Deployment] = {}
        pretended = {name for name, each in settings.items() if each.kind == "simulated"}
        self.simulated = frozenset(t.name for t in tiers if not pretended.isdisjoint(t.upstreams))
        """The tiers whose answers may come from no model."""
        named = {tier.upstream for tier in tiers} | set(upstreams)
        self._guarded = {name: Guarded(self, name.split(SEVERAL)) for name in named}
        for tier in tiers:
            self._guarded[tier.upstream].of(tier.model)
        for each in self._deployments.values():
            if before and (same := before.same(each.name, each.model, settings[each.name])):
                each.inherit(same)

    @property
    def upstreams(self) -> Mapping[str, Upstream]:
        """Every upstream by name, with what stands around it."""
        return self._guarded

    @property
    def counters(self) -> Mapping[str, Counts]:
        """Those that count tokens, by name: that is asked for beside the traffic."""
        return {name: each for name, each in self._inner.items() if isinstance(each, Counts)}

    @property
    def told(self) -> Mapping[str, Any]:
        """What a service asks of it, by the names that it has there."""
        of = {"simulated": self.simulated, "down": self.down, "figures": self.figures}
        return {**of, "warm": self.warm}

    def balanced(self, names: Sequence[str], model: str) -> Balanced:
        """Put the deployments of a model together."""
        return Balanced([self._deployment(n, model) for n in names], self._clock, self._tally)

    def _deployment(self, name: str, model: str) -> Deployment:
        known = self._deployments.get((name, model))
        if known is None:
            how, inner = self._settings[name].resilience, self._inner[name]
            known = Deployment(name, model, inner, how, self._clock, self._tally)
            self._deployments[name, model] = known
        return known

    def same(self, name: str, model: str, settings: UpstreamSettings) -> Deployment | None:
        """Return the deployment of a model at an upstream by this name, if it has these settings
        too."""
        known = self._deployments.get((name, model))
        return known if known and self._settings[name] == settings else None

    def down(self, tiers: Sequence[Tier]) -> tuple[str, ...]:
        """Name those tiers of which no deployment may be asked."""
        for each in self._deployments.values():
            if not each.breaker.closed:
                break
        else:
            return ()
        now = self._clock()
        return tuple(
            tier.name for tier in tiers if self._guarded[tier.upstream].of(tier.model).is_down(now)
        )

    def figures(self) -> Figures:
        """Return how each deployment stands, by metric and (upstream, model)."""
        now = self._clock()
        found: dict[str, dict[tuple[str, ...], float]] = {
            name: {}
            for name in (
                "upstream_breaker_state",
                "upstream_ejected",
                "upstream_concurrency_limit",
                "upstream_in_flight_calls",
                "upstream_waiting_calls",
                "credentials_set_aside",
            )
        }
        for key, each in list(self._deployments.items()):
            found["upstream_breaker_state"][key] = STATES[each.breaker.state(now)]
            found["upstream_ejected"][key] = float(now < each.ejected_until)
            found["upstream_concurrency_limit"][key] = each.concurrency.limit
            found["upstream_in_flight_calls"][key] = float(each.concurrency.in_flight)
            found["upstream_waiting_calls"][key] = float(each.waiting)
            found["credentials_set_aside"][key] = float(each.set_aside)
        return {**found}

    async def warm(self) -> None:
        """Connect ahead of use, to every upstream at once."""
        warmed = (each for each in self._inner.values() if isinstance(each, Warmed))
        await asyncio.gather(*(each.warm() for each in warmed))

    async def aclose(self) -> None:
        """Close every upstream."""
        await asyncio.gather(*(each.aclose() for each in self._inner.values()))
