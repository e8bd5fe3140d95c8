"""From an HTTP request to a job for the engine: who asks, for what, and where it starts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from gateway.api import overrides
from gateway.api.auth import Key
from gateway.api.http import Scope, header
from gateway.api.service import Service
from gateway.api.sessions import Conversation
from gateway.api.voice import read_request, resting
from gateway.core.chat import ChatRequest
from gateway.core.demands import demanded
from gateway.core.difficulty import UNSCORED, Difficulty, start_index
from gateway.core.errors import BadRequest, CeilingTooLow, GatewayError
from gateway.core.ledger import new_origin, scoring_cost
from gateway.core.plan import Plan
from gateway.core.quick import maker, quick
from gateway.core.routing import Mode, Overrides, Route, change_overrides, make_plan
from gateway.core.session import Past
from gateway.core.signals import Signals, measure
from gateway.core.trace import read_traceparent
from gateway.dialects.dialect import Dialect
from gateway.engine import Job, Undecided, new_job
from gateway.tuning import Tuned


@dataclass(frozen=True, slots=True)
class Clocks:
    """`monotonic` and `wall` (UNIX) time in seconds, and a source of ids."""

    monotonic: Callable[[], float]
    wall: Callable[[], float]
    new_id: Callable[[], str]


@quick
@dataclass(frozen=True, slots=True)
class Arrival:
    """A request as it came in. `at` is monotonic, in seconds; `external_id` is what the client
    knows it by; `dialect` is what its endpoint speaks, None for OpenAI's chat; `kept_at` the
    upstream that keeps the response which it goes on from, empty where that is not known."""

    scope: Scope
    key: Key
    at: float
    entry_id: str
    external_id: str
    dialect: Dialect | None = None
    kept_at: str = ""


new_arrival = maker(Arrival)


def plan_job(service: Service, clocks: Clocks, arrival: Arrival, body: dict[str, Any]) -> Job:
    """Parse, measure, score and plan. Raises GatewayError with what the client should change."""
    scope, key, dialect = arrival.scope, arrival.key, arrival.dialect
    request = read_request(dialect, scope, body, service.caps)
    if request.native is not None:
        request = resting(request, request.native, arrival.kept_at, key.name)
    model = request.model
    route, tier = service.resolve(model, key)
    asked = overrides.read(scope, key, tier.name if tier else None)
    if asked.thresholds:
        require_thresholds(route, asked.thresholds)
    if key.limits is not None:
        asked = overrides.within(asked, key.limits)
    session = overrides.session(scope)
    who = Conversation(request, key.name, session)
    mode, chance = _mode(route, asked, session or key.name, who)
    asked = overrides.in_mode(asked, mode)
    began = clocks.monotonic()
    signals = measure(request)
    scorer = service.scorers.get(route.name)
    base = scorer.score(signals) if scorer else UNSCORED
    settled = _settle(service, route, asked, base)
    past = service.sessions.past(route, who, request, named=bool(session))
    down = service.down(route.tiers)
    decided = _decide(service.tuned, route, signals, settled or base, asked, past, request, down)
    shadow = service.shadows.get(route.name)
    candidate = shadow.score(signals) if shadow else None
    origin = new_origin(
        entry_id=arrival.entry_id,
        request_id=arrival.external_id,
        started_at=clocks.wall(),
        key=key.name,
        requested_model=model,
        api=dialect.api if dialect else "chat.completions",
        stream=request.stream,
        session=session,
        trace=read_traceparent(header(scope, b"traceparent")),
    )
    return new_job(  # so many that not all go by name; see `maker`
        request,
        origin,
        route,
        mode,
        signals,
        decided.difficulty if scorer else None,
        decided.plan,
        decided.thresholds[0] if decided.thresholds else None,
        arrival.at,
        clocks.monotonic() - began,
        asked=asked,
        past=past,
        conversation=who,
        thresholds=decided.thresholds,
        would=decided.would,
        undecided=None if settled else Undecided(service.assessors[route.name], base),
        candidate=candidate,
        agreement=decided.agrees_with(candidate) if shadow else "",
        propensity=chance,
        down=down,
    )


def replan(service: Service, job: Job) -> Job:
    """Plan anew what a scorer that waits has now decided, with what its calls have left of the
    dollar ceiling. Where too little is left for that, the request keeps the plan it has."""
    plan, asked = job.plan, job.asked
    if plan.ceiling is not None:
        left = max(plan.ceiling - scoring_cost(job.scoring.calls), 0)
        plan, asked = replace(plan, ceiling=left), replace(asked, ceiling=left)
    try:
        difficulty = job.difficulty or UNSCORED
        decided = _decide(
            *(service.tuned, job.route, job.signals, difficulty, asked, job.past, job.request),
            job.down,
        )
    except CeilingTooLow:
        return replace(job, plan=replace(plan, reason="budget"))
    return replace(
        job,
        difficulty=decided.difficulty if job.difficulty else None,
        plan=decided.plan,
        threshold=decided.thresholds[0] if decided.thresholds else None,
        thresholds=decided.thresholds,
        would=decided.would,
        agreement=job.agreement and decided.agrees_with(job.candidate),
    )


@quick
@dataclass(frozen=True, slots=True)
class _Decided:
    """`thresholds` are in force, `first` those that a scorer starts with that is put in force;
    `would` is as in core.decided."""

    difficulty: Difficulty
    thresholds: tuple[float, ...]
    first: tuple[float, ...]
    plan: Plan
    would: Plan | None = None

    def agrees_with(self, candidate: Difficulty | None) -> str:
        """Would the candidate's word have started it at the same tier? See Entry.agreement."""
        if candidate is None:
            return "failed"
        own = start_index(self.difficulty.value, self.thresholds)
        return "true" if own == start_index(candidate.value, self.first) else "false"


_new_decided = maker(_Decided)


def _decide(
    tuned: Tuned,
    route: Route,
    signals: Signals,
    difficulty: Difficulty,
    asked: Overrides,
    past: Past,
    request: ChatRequest,
    down: tuple[str, ...],
) -> _Decided:
    difficulty, live = tuned.apply(route, difficulty)
    thresholds = asked.thresholds or live
    wanted = change_overrides(asked, thresholds=thresholds) if thresholds else asked
    plan = demanded(make_plan(route, signals, difficulty, wanted, past, down), request)
    would = None
    if plan.reason == "mode" and asked.mode == "observe":
        with suppress(GatewayError):  # what the policy would turn away is served all the same
            enforced = replace(wanted, mode="enforce")
            made = make_plan(route, signals, difficulty, enforced, past, down)
            would = demanded(made, request)
    return _new_decided(difficulty, thresholds, asked.thresholds or route.thresholds, plan, would)


def _settle(
    service: Service, route: Route, asked: Overrides, base: Difficulty
) -> Difficulty | None:
    """Return the difficulty, None where a scorer that waits has to be asked for it.

    Nobody is asked, nor paid, for what the difficulty does not decide.
    """
    assessor = service.assessors.get(route.name)
    idle = asked.tier is not None or asked.mode == "off" or len(route.tiers) == 1
    return base if assessor is None or idle else assessor.settle(base)


def _mode(
    route: Route, asked: Overrides, who: str, conversation: Callable[[], str]
) -> tuple[Mode, float]:
    """Settle the mode: the request's own, or the route's for this share of its traffic, `who` asks
    or else of conversations; and the chance there was of that one."""
    if asked.mode is not None:
        return asked.mode, 1.0
    if asked.tier is not None or route.mode != "enforce" or route.enforce_share >= 1:
        return route.mode, 1.0
    digest = hashlib.blake2b(
        f"{route.name}\0{who or conversation()}".encode(), digest_size=8
    ).digest()
    share = int.from_bytes(digest) / 2**64
    if share < route.enforce_share:
        return "enforce", route.enforce_share
    return "observe", 1 - route.enforce_share


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
