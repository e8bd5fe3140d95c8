"""Limits and budgets of keys, routes and tiers, and the state that they share."""

from __future__ import annotations

from gateway.config.checking import at, section
from gateway.config.draft import Draft
from gateway.config.limit_keys import LimitKeys, SharedKeys, TierLimitKeys
from gateway.config.problems import Trail
from gateway.config.settings import SharedSettings
from gateway.core.limits import Budget, Limits

_WITH_ZONE = ("day", "month")
_LIMITING = {"rpm", "tpm", "concurrency", "budget_usd"}


def read_limits(draft: Draft, owner: Trail, keys: TierLimitKeys | None) -> Limits | None:
    """Freeze the limits that stand at `owner`; what acts on nothing is a problem."""
    trail: Trail = (*owner, "limits")
    if keys is None:
        return None
    money = keys.budget_usd if isinstance(keys, LimitKeys) else {}
    zone = keys.time_zone if isinstance(keys, LimitKeys) else "UTC"
    rates = (keys.rpm, keys.tpm, keys.concurrency)
    if not set(at(draft.document, trail) or ()) & _LIMITING:
        draft.complain(trail, "limits nothing; remove it")
    if "outage" in keys.model_fields_set and not any(rates):
        draft.complain((*trail, "outage"), "means nothing without rpm, tpm or concurrency")
    if "time_zone" in keys.model_fields_set and not any(period in money for period in _WITH_ZONE):
        draft.complain((*trail, "time_zone"), "means nothing without a budget of a day or month")
    if owner[0] == "routes" and "request" in money:
        told = "a route's bound for one request is its max_cost_usd; remove it"
        draft.complain((*trail, "budget_usd"), told)
    return Limits(
        rpm=keys.rpm,
        tpm=keys.tpm,
        concurrency=keys.concurrency,
        request=money.get("request"),
        budgets=tuple(each for each in money.values() if isinstance(each, Budget)),
        zone=zone,
        outage="closed" if keys.outage == "closed" else "open",
    )


def shared(draft: Draft) -> SharedSettings | None:
    """Read `shared`."""
    keys = section(draft.document, SharedKeys, "shared")
    if keys is None:
        return None
    return SharedSettings(keys.url, keys.timeout)


def has_password(draft: Draft) -> bool:
    """Does the shared state's address hold a password?"""
    url = at(draft.document, ("shared", "url"))
    return isinstance(url, str) and ":" in url.partition("://")[2].rpartition("@")[0]
