"""What means nothing together: each value is allowed, and one of them never comes to act."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gateway.config.checking import at
from gateway.config.draft import Draft
from gateway.config.problems import Trail
from gateway.config.settings import UpstreamSettings
from gateway.core.check_spec import CheckDefinition
from gateway.core.plan import Tier
from gateway.core.routing import Route
from gateway.core.scorer_spec import LlmSpec, PythonSpec, RemoteSpec

_LIMITS = ("first_token", "silence")
_EARLY = ("refusal", "repetition", "format", "logprob")


def refuse(
    draft: Draft,
    upstreams: Mapping[str, UpstreamSettings],
    tiers: Mapping[str, Tier],
    routes: Mapping[str, Route],
    checks: Mapping[str, CheckDefinition],
) -> None:
    """Complain of what never acts; of a default only where nothing else could be meant."""
    for upstream in upstreams.values():
        _upstream(draft, upstream)
    for tier in tiers.values():
        _tier(draft, tier)
        _hedge(draft, tier, upstreams, routes.values())
    for route in routes.values():
        _route(draft, route)
    for name, check in checks.items():
        asking = [r for r in routes.values() if any(_names(tier, name) for tier in r.tiers)]
        _within_deadlines(draft, ("checks", name, "timeout"), check.timeout, asking)


def _names(tier: Tier, check: str) -> bool:
    return any(spec.name == check for spec in tier.bar.checks)


def _upstream(draft: Draft, upstream: UpstreamSettings) -> None:
    trail: Trail = ("upstreams", upstream.name, "timeouts")
    total = upstream.timeouts.total
    for word in _LIMITS:
        limit = getattr(upstream.timeouts, word)
        if limit > total and _written(draft, (*trail, word)):
            told = (
                f"never acts: the whole call may take {total:g}s (timeouts.total); make it shorter"
            )
            draft.complain((*trail, word), told)


def _tier(draft: Draft, tier: Tier) -> None:
    trail: Trail = ("tiers", tier.name, "bar")
    if "logprobs" in tier.accepts.refuse:
        told = f"never acts: {tier.model} at {tier.upstream} gives no log-probabilities; remove it"
        if tier.bar.needs_logprobs:
            draft.complain((*trail, "checks"), told, "logprob")
        if tier.bar.early.logprob is not None:
            draft.complain((*trail, "early", "logprob"), told)
    if tier.hold.policy == "none":
        for word in _EARLY:
            if getattr(tier.bar.early, word) and _written(draft, (*trail, "early", word)):
                told = "means nothing with hold: none, which lets everything go; remove one of them"
                draft.complain((*trail, "early", word), told)
    if tier.bar.at_once and sum(spec.waits for spec in tier.bar.checks) < 2:
        told = "means nothing without two checks of your own that the bar names; remove it"
        draft.complain((*trail, "at_once"), told)


def _hedge(
    draft: Draft,
    tier: Tier,
    upstreams: Mapping[str, UpstreamSettings],
    routes: Iterable[Route],
) -> None:
    if tier.hedge is None:
        return
    trail: Trail = ("tiers", tier.name, "hedge")
    known = [upstreams[name] for name in tier.upstreams if name in upstreams]
    upstream = max(known, key=lambda each: each.timeouts.first_token, default=None)
    if upstream is not None and tier.hedge.after >= upstream.timeouts.first_token:
        draft.complain(
            (*trail, "after"),
            f"never comes ({tier.hedge.after:g}s): the call has failed by then, after "
            f"{upstream.timeouts.first_token:g}s (upstreams.{upstream.name}.timeouts.first_token); "
            "make it shorter",
        )
    is_under = any(tier.name in [each.name for each in route.tiers[:-1]] for route in routes)
    if tier.hedge.to == "next" and not is_under:
        draft.complain((*trail, "tier"), "means nothing: no route has a tier over this one; same?")


def _route(draft: Draft, route: Route) -> None:
    trail: Trail = ("routes", route.name)
    late = f"never comes: the whole request has {route.deadline:g}s (deadline); make it shorter"
    if route.keepalive is not None and route.keepalive >= route.deadline:
        draft.complain((*trail, "keepalive_after"), late)
    if route.speculate is not None and route.speculate.after >= route.deadline:
        draft.complain((*trail, "speculate", "after"), late)
    match route.scorer:
        case PythonSpec(timeout=timeout):
            _within_deadlines(draft, (*trail, "scorer", "timeout"), timeout, [route])
        case RemoteSpec(timeout=timeout):
            _within_deadlines(draft, (*trail, "scorer", "remote", "timeout"), timeout, [route])
        case LlmSpec(timeout=timeout):
            _within_deadlines(draft, (*trail, "scorer", "llm", "timeout"), timeout, [route])
        case _:
            return


def _within_deadlines(draft: Draft, trail: Trail, timeout: float, routes: list[Route]) -> None:
    """Complain of a time-out that was written and is over the deadline of all who wait for it."""
    longest = max((route.deadline for route in routes), default=timeout)
    if timeout > longest and _written(draft, trail):
        told = f"never acts: the whole request has {longest:g}s (deadline); make it shorter"
        draft.complain(trail, told)


def _written(draft: Draft, trail: Trail) -> bool:
    return at(draft.document, trail) is not None
