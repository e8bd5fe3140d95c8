"""The sections about who gets what: routes, aliases, keys. Names must not collide."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.config.checking import at, check
from gateway.config.draft import Book, Draft
from gateway.config.fields import name
from gateway.config.ladder import entries
from gateway.config.limiting import read_limits
from gateway.config.models import ClientKey, RouteKeys
from gateway.config.problems import Trail
from gateway.config.scorer import scorer as read_scorer
from gateway.config.scorer import warn_of_idle_band, word_or_folder
from gateway.config.settings import KeySettings
from gateway.core.caching import Caching
from gateway.core.cascade import Tier
from gateway.core.routing import Route, Speculation, Target, Yardstick
from gateway.core.scorer_spec import LlmSpec, ScorerSpec

DEFAULT_ROUTE, DEFAULT_ALIAS = "waterfall", "auto"
_DEFAULT_THRESHOLD = 0.8


# ------------------------------------------------------------------ routes


def routes(draft: Draft, tiers: Mapping[str, Tier], book: Book | None) -> dict[str, Route]:
    """Read `routes` over the tiers that could be read."""
    read = {entry: _route(draft, entry, tiers, book) for entry in entries(draft, "routes")}
    return {entry: route for entry, route in read.items() if route}


def _route(draft: Draft, entry: str, tiers: Mapping[str, Tier], book: Book | None) -> Route | None:
    trail = ("routes", entry)
    keys = check(draft.document, RouteKeys, trail)
    if keys is None:
        return None
    _check_tiers(draft, (*trail, "tiers"), keys.tiers)
    baseline = keys.baseline.tier
    if baseline is not None:
        # Only names that are tiers are told back: any other could be a secret gone astray.
        own = [tier for tier in keys.tiers if tier in draft.names("tiers")]
        draft.known((*trail, "baseline", "tier"), baseline, own, "tier of this route")
    for tier in keys.baseline.reply:
        draft.known((*trail, "baseline", "reply", tier), tier, keys.tiers, "tier of this route")
    for key in {"ttl", "probe"} & keys.session.model_fields_set if not keys.session.latch else ():
        draft.complain((*trail, "session", key), "means nothing with latch: false; remove it")
    if keys.shadow and keys.mode == ("enforce", 1.0):
        told = "means nothing where nothing is observed: set mode to observe, or {enforce: 10%}"
        draft.complain((*trail, "shadow"), told)
    scorer = read_scorer(draft, (*trail, "scorer"), keys.scorer, tiers, book)
    thresholds = _thresholds(draft, (*trail, "threshold"), keys)
    target = keys.threshold if isinstance(keys.threshold, Target) else None
    if target is None:
        warn_of_idle_band(draft, (*trail, "scorer"), scorer, thresholds)
    return Route(
        name=entry,
        tiers=tuple(tiers[tier] for tier in keys.tiers if tier in tiers),
        aliases=tuple(_aliases(draft, entry, keys)),
        scorer=scorer,
        thresholds=thresholds,
        target=target,
        reference=_reference(keys, scorer),
        baseline=baseline or (keys.tiers[-1] if keys.tiers else ""),
        baseline_policy="bare_prompt" if keys.baseline.prompt == "bare" else "same_prompt",
        baseline_reply=keys.baseline.reply,
        mode="observe" if keys.mode[0] == "observe" else "enforce",
        enforce_share=keys.mode[1],
        deadline=keys.deadline,
        ceiling=keys.max_cost_usd,
        fall_down=keys.fall_down,
        latch=keys.session.ttl if keys.session.latch else None,
        probe=keys.session.probe,
        cache=keys.session.cache,
        shadow=keys.shadow,
        speculate=_speculation(draft, (*trail, "speculate"), keys, thresholds),
        keepalive=keys.keepalive_after,
        limits=read_limits(draft, trail, keys.limits),
        caching=Caching(keys.cache.ttl, keys.cache.largest) if keys.cache else None,
        candidate=keys.candidate and word_or_folder(draft, (*trail, "candidate"), keys.candidate),
    )


def _check_tiers(draft: Draft, trail: Trail, wanted: list[str]) -> None:
    if not wanted:
        draft.complain(trail, "must name at least one tier, cheap to strong")
    for place, tier in enumerate(wanted):
        known = draft.known((*trail, place), tier, draft.names("tiers"), "tier")
        if known and tier in wanted[:place]:
            draft.complain((*trail, place), "named twice", tier)


def _aliases(draft: Draft, entry: str, keys: RouteKeys) -> list[str]:
    if keys.aliases is not None:
        return keys.aliases
    taken = entry != DEFAULT_ROUTE or any(
        DEFAULT_ALIAS in draft.names(section) for section in ("tiers", "routes", "aliases")
    )
    return [] if taken or _is_own_alias(draft, DEFAULT_ALIAS) else [DEFAULT_ALIAS]


def _is_own_alias(draft: Draft, alias: str) -> bool:
    own = (at(draft.document, ("routes", route, "aliases")) for route in draft.names("routes"))
    return any(isinstance(names, list) and alias in names for names in own)


def _thresholds(draft: Draft, trail: Trail, keys: RouteKeys) -> tuple[float, ...]:
    most = max(len(keys.tiers) - 1, 0)
    if keys.threshold is None:
        return (_DEFAULT_THRESHOLD,) if most else ()
    if isinstance(keys.threshold, Target):
        _check_target(draft, trail, keys.threshold, most)
        return (keys.threshold.start,)
    if len(keys.threshold) > most:
        told = "one for each tier over the first" if most else "none where there is one tier"
        draft.complain(trail, f"too many thresholds: at most {most} ({told})")
    return keys.threshold


def _check_target(draft: Draft, trail: Trail, target: Target, steps: int) -> None:
    """A target moves the threshold of the first step, and so must be about that step alone."""
    if not steps:
        draft.complain(trail, "a target needs a second tier to send requests to")
    elif target.quality is not None and steps > 1:
        draft.complain(
            trail,
            "target_quality is a promise about one step up: it takes a route of two tiers "
            "(use target_share or numbers for more)",
        )


def _speculation(
    draft: Draft, trail: Trail, keys: RouteKeys, thresholds: tuple[float, ...]
) -> Speculation | None:
    """Read where to speculate; what starts above the first tier anyway has nothing to gain."""
    wanted = keys.speculate
    if wanted is None:
        return None
    if len(keys.tiers) < 2:
        draft.complain(trail, "means nothing where there is one tier; remove it")
    elif not isinstance(keys.threshold, Target) and wanted.band[0] >= thresholds[0]:
        draft.warn((*trail, "band"), "lies over the threshold: nothing in it starts at first tier")
    return Speculation(wanted.band, wanted.after)


def _reference(keys: RouteKeys, scorer: ScorerSpec) -> Yardstick:
    """A band is of the base's own ranks, and so is what comes of it, unless told otherwise."""
    if isinstance(scorer, LlmSpec) and "reference" not in keys.model_fields_set:
        return "artefact"
    return "own" if keys.reference == "own" else "artefact"


# ------------------------------------------------------------------ aliases


def aliases(draft: Draft, routes: Mapping[str, Route]) -> dict[str, str]:
    """Gather every alias, the routes' own and the global ones: name to route or tier."""
    named = dict.fromkeys(draft.names("tiers"), "a tier")
    for route in draft.names("routes"):
        if route in named:
            draft.complain(("routes", route), "is a tier's name too: clients could not tell")
        named[route] = "a route"
    found: dict[str, str] = {}
    for trail, alias, target in [*_routes_own(routes), *_global(draft)]:
        if alias in named:
            draft.complain(trail, f"alias {draft.quoted(trail, alias)} is {named[alias]}'s name")
        elif alias in found:
            draft.complain(trail, f"alias {draft.quoted(trail, alias)} is given twice")
        elif draft.known(trail, target, named, "route or tier"):
            found[alias] = target
    return found


def _routes_own(routes: Mapping[str, Route]) -> list[tuple[Trail, str, str]]:
    return [
        (("routes", route.name, "aliases", place), alias, route.name)
        for route in routes.values()
        for place, alias in enumerate(route.aliases)
    ]


def _global(draft: Draft) -> list[tuple[Trail, str, str]]:
    given = at(draft.document, ("aliases",))
    if not isinstance(given, dict):
        if isinstance(draft.document.data, dict) and "aliases" in draft.document.data:
            draft.complain(("aliases",), "must be a mapping of names to routes or tiers")
        return []
    found: list[tuple[Trail, str, str]] = []
    for alias, target in given.items():
        trail = ("aliases", alias)
        try:
            found.append((trail, name(alias), name(target)))
        except ValueError as error:
            draft.complain(trail, str(error), target)
    return found


# ------------------------------------------------------------------ keys


def keys(draft: Draft) -> tuple[KeySettings, ...]:
    """Read `keys`: names and hashes must each be unique."""
    given = at(draft.document, ("keys",))
    if not isinstance(given, list):
        if isinstance(draft.document.data, dict) and "keys" in draft.document.data:
            draft.complain(("keys",), "must be a list of {name, hash}")
        return ()
    read = [_key(draft, place) for place in range(len(given))]
    found = [key for key in read if key]
    for place, key in enumerate(read):
        earlier = [other for other in read[:place] if other and key]
        if key and key.name in [other.name for other in earlier]:
            draft.complain(("keys", place, "name"), "given twice")
        if key and key.digest in [other.digest for other in earlier]:
            draft.complain(("keys", place, "hash"), "given twice")
    return tuple(found)


def _key(draft: Draft, place: int) -> KeySettings | None:
    keys = check(draft.document, ClientKey, ("keys", place))
    if keys is None:
        return None
    if keys.routes == []:
        told = "names none, so that the key could use nothing; leave it out to allow all"
        draft.complain(("keys", place, "routes"), told)
    for at_place, route in enumerate(keys.routes or ()):
        draft.known(("keys", place, "routes", at_place), route, draft.names("routes"), "route")
    allowed = None if keys.routes is None else frozenset(keys.routes)
    limits = read_limits(draft, ("keys", place), keys.limits)
    return KeySettings(keys.name, keys.hash, allowed, frozenset(keys.allow), limits)
