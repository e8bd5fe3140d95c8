"""From an HTTP request to a job for the engine: who asks, for what, and where it starts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from gateway.api import overrides
from gateway.api.auth import Key
from gateway.api.http import Scope
from gateway.api.service import Service
from gateway.api.wire import parse
from gateway.core.errors import BadRequest
from gateway.core.ledger import Entry, Origin
from gateway.core.routing import Mode, Overrides, Route, make_plan
from gateway.core.signals import measure
from gateway.engine import Job


@dataclass(frozen=True, slots=True)
class Clocks:
    """`monotonic` and `wall` (UNIX) time in seconds, and a source of ids."""

    monotonic: Callable[[], float]
    wall: Callable[[], float]
    new_id: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request as it came in. `at` is monotonic, in seconds; `external_id` is what the client
    knows it by."""

    scope: Scope
    key: Key
    at: float
    entry_id: str
    external_id: str


def plan_job(service: Service, clocks: Clocks, arrival: Arrival, body: dict[str, Any]) -> Job:
    """Parse, measure, score and plan. Raises GatewayError with what the client should change."""
    request = parse(body)
    route, tier = service.resolve(request.model, arrival.key)
    asked = overrides.read(arrival.scope, arrival.key, tier.name if tier else None)
    require_thresholds(route, asked.thresholds or ())
    session = overrides.session(arrival.scope)
    mode = _mode(route, asked, session or arrival.key.name or arrival.entry_id)
    began = clocks.monotonic()
    signals = measure(request)
    difficulty, thresholds = service.tuned.apply(route, service.scorers[route.name].score(signals))
    asked = replace(asked, mode=mode, thresholds=asked.thresholds or thresholds)
    own = _own_session(arrival.key.name, session)
    latched = service.latches.floor(route, own) if session and route.latch else 0
    plan = make_plan(route, signals, difficulty, asked, latched)
    return Job(
        request=request,
        origin=Origin(
            entry_id=arrival.entry_id,
            request_id=arrival.external_id,
            started_at=clocks.wall(),
            key=arrival.key.name,
            requested_model=request.model,
            stream=request.stream,
            session=session,
        ),
        route=route,
        mode=mode,
        signals=signals,
        difficulty=difficulty,
        plan=plan,
        threshold=asked.thresholds[0] if asked.thresholds else None,
        arrived=arrival.at,
        decision=clocks.monotonic() - began,
    )


def latch(service: Service, job: Job, entry: Entry) -> None:
    """Keep a session at the tier that it had to escalate to."""
    route, session = job.route, job.origin.session
    if session and route.latch and entry.outcome.escalated and not entry.outcome.degraded:
        own = _own_session(job.origin.key, session)
        service.latches.raise_to(route, own, entry.served_tier, route.latch)


def _own_session(key: str, session: str) -> str:
    """Name a session so that no other key's can be mistaken for it."""
    return f"{key}\0{session}"


def _mode(route: Route, asked: Overrides, who: str) -> Mode:
    """Settle the mode: the request's own, or the route's for this share of its traffic."""
    if asked.mode is not None:
        return asked.mode
    if asked.tier is not None or route.mode != "enforce" or route.enforce_share >= 1:
        return route.mode
    digest = hashlib.blake2b(f"{route.name}\0{who}".encode(), digest_size=8).digest()
    share = int.from_bytes(digest) / 2**64
    return "enforce" if share < route.enforce_share else "observe"


def require_thresholds(
    route: Route, thresholds: tuple[float, ...], param: str = "x-waterfall-threshold"
) -> None:
    """Raise BadRequest naming `param` when there are more thresholds than steps up."""
    if len(thresholds) > len(route.tiers) - 1:
        raise BadRequest(
            f"Route {route.name!r} has {len(route.tiers)} tiers: give at most "
            f"{len(route.tiers) - 1} thresholds.",
            param=param,
        )
