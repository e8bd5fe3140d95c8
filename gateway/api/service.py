"""One configuration, running; and the switch that replaces it whole."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol

from gateway.api.answering import Passing
from gateway.api.auth import Key, Keys
from gateway.api.caching import ReplyCache
from gateway.api.idempotency import OpenLine
from gateway.api.kept_responses import KeptResponses
from gateway.api.sessions import Sessions
from gateway.core.difficulty import Difficulty
from gateway.core.errors import NotFound
from gateway.core.ledger import Refusal
from gateway.core.plan import Tier
from gateway.core.ports import Assessor, Scorer
from gateway.core.room import CAPS, Caps, Room
from gateway.core.routing import Route
from gateway.core.signals import Signals
from gateway.engine import Engine, ShadowCalls
from gateway.limits import Admission
from gateway.tuning import Tuned


class Shadow(Protocol):
    """A scorer that is tried beside the one in force, and decides nothing."""

    def score(self, signals: Signals) -> Difficulty | None:
        """Score one request; None when it failed."""
        ...


class Meter(Protocol):
    """Hears of requests as they come and go."""

    def enter(self, route: str) -> None:
        """Count a request in."""
        ...

    def leave(self, route: str) -> None:
        """Count it out."""
        ...

    def refuse(self, refusal: Refusal) -> None:
        """Hear of one that was turned away before there was a plan."""
        ...


class InFlight:
    """Counts requests under way, so that what they use closes after the last of them."""

    def __init__(self) -> None:
        """Start with none."""
        self.count = 0
        self._idle: asyncio.Event | None = None
        """Where somebody waits for the last of them."""

    def __enter__(self) -> None:
        self.enter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.leave()

    def enter(self) -> None:
        """Count one in."""
        self.count += 1

    def leave(self) -> None:
        """Count one out."""
        self.count -= 1
        if self._idle is not None and not self.count:
            self._idle.set()

    async def idle(self) -> None:
        """Wait until there are none."""
        while self.count:
            if self._idle is None:
                self._idle = asyncio.Event()
            self._idle.clear()
            await self._idle.wait()


async def no_connections() -> None:
    """Open none ahead of use."""


@dataclass(frozen=True, slots=True)
class Service:
    """Everything that requests need of one configuration.

    `scorers` is by route, and a tier of no route has none; so are `assessors`, for the routes whose
    scorer waits (the one in `scorers` is its base), and `shadows`, the candidates on trial. `tuned`
    says how scores rank, and which thresholds are in force. `simulated` names the tiers whose
    answers no model gave.
    `close` lets go of its connections, once the last request has finished; `shadow_calls` are those
    under way for the record alone; `admission` keeps limits and budgets, where there are any;
    `line` opens the way to what processes share, `cache` has replies there; `passing` is what is
    passed through, `kept` who made which response that an upstream keeps; `down` names those tiers
    whose breaker is open, `figures` says how each deployment stands, `warm` connects ahead of use.
    """

    engine: Engine
    routes: Mapping[str, Route]
    tiers: Mapping[str, Tier]
    aliases: Mapping[str, str]
    scorers: Mapping[str, Scorer]
    tuned: Tuned
    keys: Keys
    sessions: Sessions
    meter: Meter
    max_body: int
    simulated: frozenset[str]
    close: Callable[[], Awaitable[None]]
    shadow_calls: ShadowCalls
    usable: Callable[[], Awaitable[bool]]
    passing: Passing
    kept: KeptResponses
    assessors: Mapping[str, Assessor] = field(default_factory=dict)
    shadows: Mapping[str, Shadow] = field(default_factory=dict)
    admission: Admission | None = None
    line: OpenLine | None = None
    cache: ReplyCache | None = None
    in_flight: InFlight = field(default_factory=InFlight)
    down: Callable[[Sequence[Tier]], tuple[str, ...]] = lambda _: ()
    figures: Callable[[], dict[str, Mapping[tuple[str, ...], float]]] = dict
    caps: Caps = CAPS
    warm: Callable[[], Coroutine[Any, Any, None]] = no_connections
    _homes: Mapping[str, Sequence[tuple[Route, Tier]]] = field(init=False, repr=False)
    """The routes that each tier is in."""
    _alone: Mapping[str, tuple[Route, Tier]] = field(init=False, repr=False)
    """The tiers of no route, each in one that is its own."""

    def __post_init__(self) -> None:
        """Find once where each name leads."""
        homes = {
            name: [(route, tier) for route in self.routes.values() if route.tier(name)]
            for name, tier in self.tiers.items()
        }
        alone = {
            name: (Route(name, (tier,), thresholds=()), tier)
            for name, tier in self.tiers.items()
            if not homes[name]
        }
        object.__setattr__(self, "_homes", homes)
        object.__setattr__(self, "_alone", alone)

    def scorer_label(self, route: str) -> str:
        """Return the `name@version` of the scorer that decides for a route."""
        return (self.assessors.get(route) or self.scorers[route]).label

    def models(self, key: Key) -> list[str]:
        """Return every name that a key may give as a model."""
        names = [*self.routes, *self.tiers, *self.aliases]
        return [name for name in names if self._open_to(name, key)]

    def _open_to(self, name: str, key: Key) -> bool:
        found = self._find(name, key.routes)
        return found is not None and (found[1] is None or "tier" in key.allow)

    def resolve(self, name: str, key: Key) -> tuple[Route, Tier | None]:
        """Return the route a model name stands for, and its tier when it names one alone.

        Raises NotFound with the names there are for this key.
        """
        found = self._find(name, key.routes)
        if found is None:
            known = ", ".join(self.models(key))
            raise NotFound(
                f"No model {name[:100]!r} here. There is: {known}.",
                param="model",
                code="model_not_found",
            )
        return found

    def _find(self, name: str, allowed: frozenset[str] | None) -> tuple[Route, Tier | None] | None:
        target = self.aliases.get(name, name)
        route = self.routes.get(target)
        if route is not None:
            return (route, None) if allowed is None or target in allowed else None
        for home, tier in self._homes.get(target, ()):
            if allowed is None or home.name in allowed:
                return home, tier
        return None if allowed is not None else self._alone.get(target)


class Switch:
    """Holds the service in force. Requests keep the one they began with."""

    def __init__(self, service: Service, room: Room) -> None:
        """Begin with `service`, not draining; `room` is for the requests of this process, whichever
        service they have."""
        self.service, self.room = service, room
        self.draining = False
        self._beside: set[asyncio.Task[None]] = set()

    def swap(self, service: Service) -> None:
        """Put another service in force; the old one closes when its last request has ended."""
        old, self.service = self.service, service
        self._start(_close_when_idle(old))
        self.warm()

    def warm(self) -> None:
        """Let the service in force connect ahead of use; nobody waits for it."""
        self._start(self.service.warm())

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)


async def _close_when_idle(service: Service) -> None:
    await service.in_flight.idle()
    await service.close()
