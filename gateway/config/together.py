"""What means nothing together: each value is allowed, and one of them never comes to act."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from gateway.config.bar import CHECKS
from gateway.config.checking import at
from gateway.config.draft import Draft
from gateway.config.problems import Trail
from gateway.config.settings import KeySettings, UpstreamSettings
from gateway.core.check_spec import AgreementCheck, CheckDefinition, CommandCheck, JudgeCheck
from gateway.core.money import dollars
from gateway.core.plan import Tier
from gateway.core.routing import Route, expected_cost
from gateway.core.scorer_spec import LlmSpec, PythonSpec, RemoteSpec
from gateway.core.signals import Signals

_LIMITS = ("first_token", "silence")
_EARLY = ("refusal", "repetition", "format", "logprob")
_OF_THE_JUDGED = (("hold",), ("bar", "accept"), ("bar", "min_gain"), ("bar", "early"))
_SHORTEST = Signals(max_tokens=1)
_COMMON = Signals(prompt_tokens=100)
"""A request than which none is shorter, and one of a common length that bounds no reply."""


def refuse(
    draft: Draft,
    upstreams: Mapping[str, UpstreamSettings],
    tiers: Mapping[str, Tier],
    routes: Mapping[str, Route],
    checks: Mapping[str, CheckDefinition],
    keys: Sequence[KeySettings],
) -> None:
    """Complain of what never acts; of a default only where nothing else could be meant."""
    for upstream in upstreams.values():
        _upstream(draft, upstream)
    for tier in tiers.values():
        _tier(draft, tier)
        _hedge(draft, tier, upstreams, routes.values())
        _bought(draft, tier, routes.values(), checks)
        _never_judged(draft, tier, routes.values())
    for route in routes.values():
        _route(draft, route)
        _trial(draft, route)
        _cache(draft, route)
        _ceiling(draft, route)
        _speculation(draft, route, keys)
    for name, check in checks.items():
        asking = [r for r in routes.values() if any(_names(tier, name) for tier in r.tiers)]
        _within_deadlines(draft, ("checks", name, "timeout"), check.timeout, asking)
        _command(draft, name, check)


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
    _wire(draft, tier)
    _early(draft, tier)
    if tier.bar.at_once and sum(spec.waits for spec in tier.bar.checks) < 2:
        told = "means nothing without two checks of your own that the bar names; remove it"
        draft.complain((*trail, "at_once"), told)


def _early(draft: Draft, tier: Tier) -> None:
    trail: Trail = ("tiers", tier.name, "bar", "early")
    if tier.bar.early.logprob == 0:
        told = "never acts: no token's probability is under 0; set it higher, or write off"
        draft.complain((*trail, "logprob"), told)
    for word in _EARLY if tier.hold.policy == "none" else ():
        if getattr(tier.bar.early, word) and _written(draft, (*trail, word)):
            told = "means nothing with hold: none, which lets everything go; remove one of them"
            draft.complain((*trail, word), told)


def _wire(draft: Draft, tier: Tier) -> None:
    if tier.wire == "responses" and tier.recipe is not None and tier.recipe.not_sure:
        told = "cannot have not_sure with wire: responses, whose last events repeat the whole text"
        draft.complain(("tiers", tier.name, "recipe"), told)


def _bought(
    draft: Draft, tier: Tier, routes: Iterable[Route], checks: Mapping[str, CheckDefinition]
) -> None:
    """Is there a use for each check that is not free?"""
    trail: Trail = ("tiers", tier.name, "bar")
    own = [spec.name for spec in tier.bar.checks if spec.waits and spec.name not in CHECKS]
    if own and _is_last(tier, routes):
        told = (
            f"{own[0]} is never put here: this is the last tier of every route that has it, and "
            "the last tier is held to no bar; remove it"
        )
        draft.complain((*trail, "checks"), told)
    elif tier.bar.accept == 0 and (idle := [n for n in own if _only_says(tier, n, checks)]):
        told = (
            f"accepts every reply whatever {idle[0]} says: it is bought for the record alone, "
            "which `waterfall tune --ledger` reads; set it higher, and it counts"
        )
        draft.warn((*trail, "accept"), told)


def _is_last(tier: Tier, routes: Iterable[Route]) -> bool:
    """Is it the last tier of every route that has it, and of one at least?"""
    asking = [route for route in routes if route.tier(tier.name) is not None]
    return bool(asking) and all(route.tiers[-1].name == tier.name for route in asking)


def _never_judged(draft: Draft, tier: Tier, routes: Iterable[Route]) -> None:
    """Complain of what is for a draft that is held to a bar, where none ever is."""
    told = (
        "means nothing: this is the last tier of every route that has it, and the last tier's "
        "replies go out as they come; remove it"
    )
    if _is_last(tier, routes):
        for place in _OF_THE_JUDGED:
            if _written(draft, trail := ("tiers", tier.name, *place)):
                draft.complain(trail, told)


def _only_says(tier: Tier, check: str, checks: Mapping[str, CheckDefinition]) -> bool:
    """Does a check give nothing but a confidence, and no failure that defers by itself?"""
    if tier.bar.combiner is not None and tier.bar.combiner.knows(check):
        return True
    return isinstance(checks.get(check), AgreementCheck | JudgeCheck)


def _command(draft: Draft, name: str, check: CheckDefinition) -> None:
    trail: Trail = ("checks", name, "cpu")
    if isinstance(check, CommandCheck) and check.cpu > check.timeout and _written(draft, trail):
        told = f"never acts: the program has {check.timeout:g}s in all (timeout); make it shorter"
        draft.complain(trail, told)


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


def _trial(draft: Draft, route: Route) -> None:
    if route.candidate is not None and route.candidate == route.scorer:
        told = "is the route's scorer itself, and would agree with it always; remove it"
        draft.complain(("routes", route.name, "candidate"), told)


def _cache(draft: Draft, route: Route) -> None:
    """Is there a tier that a conversation would stay at for its provider's cache?"""
    trail: Trail = ("routes", route.name, "session", "cache")
    if not (route.cache and _written(draft, trail)):
        return
    prices = [tier.price for tier in route.tiers[1:]]
    if not any(p.cached_input is not None and p.cached_input < p.input for p in prices):
        told = (
            "means nothing as prices are: no tier over the first has a cached_input price under "
            "its input's, so that no conversation stays there for its cache"
        )
        draft.warn(trail, told)


def _ceiling(draft: Draft, route: Route) -> None:
    """Is there a request that the route's dollar ceiling lets through?"""
    trail: Trail = ("routes", route.name, "max_cost_usd")
    if route.ceiling is None or not _written(draft, trail):
        return
    least = min(expected_cost(tier, _SHORTEST) for tier in route.tiers)
    if route.ceiling < least:
        told = (
            f"lets no request through: a reply of one token costs ${dollars(least)} at the "
            "cheapest tier; raise it, or write off"
        )
        draft.complain(trail, told)
    elif route.ceiling < (common := min(expected_cost(tier, _COMMON) for tier in route.tiers)):
        draft.warn(
            trail,
            f"lets only requests with a small max_tokens through: without one a reply is expected "
            f"to cost ${dollars(common)} at the cheapest tier",
        )


def _speculation(draft: Draft, route: Route, keys: Sequence[KeySettings]) -> None:
    """Is anybody served by the policy, and so by two calls at once?"""
    if route.speculate is None or route.mode != "observe":
        return
    trail: Trail = ("routes", route.name, "speculate")
    told = "means nothing where mode is observe: everybody is served by the baseline"
    if not keys or any(_may_ask_for_the_policy(key, route) for key in keys):
        draft.warn(trail, f"{told}, but who asks for x-waterfall-mode: enforce")
    else:
        draft.complain(trail, f"{told}, and no key may ask otherwise (allow: [mode]); remove it")


def _may_ask_for_the_policy(key: KeySettings, route: Route) -> bool:
    return "mode" in key.allow and (key.routes is None or route.name in key.routes)


def _within_deadlines(draft: Draft, trail: Trail, timeout: float, routes: list[Route]) -> None:
    """Complain of a time-out that was written and is over the deadline of all who wait for it."""
    longest = max((route.deadline for route in routes), default=timeout)
    if timeout > longest and _written(draft, trail):
        told = f"never acts: the whole request has {longest:g}s (deadline); make it shorter"
        draft.complain(trail, told)


def _written(draft: Draft, trail: Trail) -> bool:
    return at(draft.document, trail) is not None
