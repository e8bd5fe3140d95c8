"""A fine-tuned model against what else would answer: costs, break-evens, a curve, and what would
change the answer. Money is in nano-dollars, unless a name ends in `_usd`."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from math import ceil
from typing import Any

from gateway.core.economics import (
    PayBack,
    Tokens,
    cached_share_limit,
    cascade_cost,
    least_instructions,
    least_volume,
    pay_back,
    present_values,
    request_cost,
)
from gateway.core.money import Price
from router_models.payback.plan import Weighed

ALTERNATIVES = {
    "prompted": "the same small model with the whole prompt, nothing cached",
    "cached": "the same small model, its instructions in the provider's cache",
    "large": "the large model with the whole prompt",
    "large_cached": "the large model, its instructions in the provider's cache",
    "large_bare": "the large model with the user's prompt alone",
}
"""What may answer instead, in words."""


def weigh(given: Weighed) -> dict[str, Any]:
    """Weigh it against each alternative, as plain JSON values."""
    tuned, costs = costs_of(given)
    return {
        "models": dict(given.names),
        "volume": given.volume,
        "horizon": given.horizon,
        "once": given.plan.once,
        "monthly": given.plan.monthly,
        "costs": dict(given.costs),
        "discount": given.plan.discount,
        "cached": given.cached,
        "cache_least": given.cache_least,
        "tokens": {
            "instructions": given.tokens.instructions,
            "user": given.tokens.user,
            "output": given.tokens.output,
            "tuned_instructions": given.short.instructions,
        },
        "escalation": None if given.escalation is None else list(given.escalation),
        "tuned": tuned,
        "against": {name: _against(given, tuned, cost) for name, cost in costs.items()},
        "least_instructions": _least_instructions(given, tuned),
        "cached_share_limit": _cached_limit(given, tuned),
        "sensitivity": _sensitivity(given),
    }


def costs_of(given: Weighed) -> tuple[float, dict[str, float]]:
    """Return what a request costs of the tuned model, and of each alternative; what a small model
    could not answer costs the large one too, where it is said how often that is."""
    prices, tokens = given.prices, given.tokens
    costs = {"prompted": request_cost(prices["prompted"], tokens)}
    if given.cached is not None:
        costs["cached"] = request_cost(prices["prompted"], tokens, given.cached)
    tuned = request_cost(prices["tuned"], given.short)
    if "large" in prices:
        large = request_cost(prices["large"], tokens)
        bare = replace(tokens, instructions=0.0)
        costs["large"] = large
        if given.cached is not None:
            costs["large_cached"] = request_cost(prices["large"], tokens, given.cached)
        costs["large_bare"] = request_cost(prices["large"], bare)
        if given.escalation is not None:
            before, after = given.escalation
            for name in {"prompted", "cached"} & costs.keys():
                costs[name] = cascade_cost(costs[name], 0.0, large, escalation=before)
            tuned = cascade_cost(tuned, 0.0, large, escalation=after)
    return tuned, costs


def _against(given: Weighed, tuned: float, cost: float) -> dict[str, Any]:
    saving = cost - tuned
    found = pay_back(saving, given.volume, given.plan)
    months = ceil(given.horizon)
    values = present_values(saving, given.volume, given.plan)
    return {
        "cost": cost,
        "saving": saving,
        "requests": found.requests,
        "months": found.months,
        "why": found.why,
        "within": found.months is not None and found.months <= given.horizon,
        "least_volume": least_volume(saving, given.plan, given.horizon),
        "curve": [round(value) for value in islice(values, months + 1)],
    }


def _least_instructions(given: Weighed, tuned: float) -> dict[str, float | None]:
    """How long the instructions have to be for the tuned model to be cheaper a request: without a
    cache, and with one. Unknown where escalation is part of it."""
    if given.escalation is not None:
        return {}
    price = given.prices["prompted"]
    found = {"prompted": least_instructions(tuned, price, given.tokens)}
    if given.cached is not None:
        found["cached"] = least_instructions(tuned, price, given.tokens, given.cached)
    return found


def _cached_limit(given: Weighed, tuned: float) -> float | None:
    """From which share of cached instructions on prompting is the cheaper one a request."""
    if given.escalation is not None or given.tokens.instructions < given.cache_least:
        return None
    return cached_share_limit(tuned, given.prices["prompted"], given.tokens)


def _sensitivity(given: Weighed) -> list[dict[str, Any]]:
    """When it is paid back against each alternative, were one thing else."""
    rows = []
    for what, other in _others(given).items():
        tuned, costs = costs_of(other)
        found = {name: pay_back(c - tuned, other.volume, other.plan) for name, c in costs.items()}
        rows.append({"what": what, "against": {name: _told(each) for name, each in found.items()}})
    return rows


def _told(found: PayBack) -> dict[str, Any]:
    return {"requests": found.requests, "months": found.months, "why": found.why}


def _others(given: Weighed) -> dict[str, Weighed]:
    plan = given.plan
    once = {f"{word} the cost before the start": replace(plan, once=plan.once * times)
            for word, times in (("half", 0.5), ("twice", 2))}  # fmt: skip
    return {
        "as it is": given,
        "tuned model 25% dearer": _priced(given, "tuned", 1.25),
        "tuned model 25% cheaper": _priced(given, "tuned", 0.75),
        "everything else 25% dearer": _priced(_priced(given, "prompted", 1.25), "large", 1.25),
        "everything else 25% cheaper": _priced(_priced(given, "prompted", 0.75), "large", 0.75),
        "a tenth of the volume": replace(given, volume=given.volume / 10),
        "ten times the volume": replace(given, volume=given.volume * 10),
        "instructions twice as long": _longer(given, 2),
        **{name: replace(given, plan=other) for name, other in once.items()},
    }


def _priced(given: Weighed, role: str, times: float) -> Weighed:
    price = given.prices.get(role)
    return given if price is None else replace(
        given, prices={**given.prices, role: scaled(price, times)}
    )  # fmt: skip


def scaled(price: Price, times: float) -> Price:
    """A price that is so many times another."""

    def each(value: int | None) -> int | None:
        return None if value is None else round(value * times)

    return replace(
        price,
        input=round(price.input * times),
        output=round(price.output * times),
        cached_input=each(price.cached_input),
        cache_write=each(price.cache_write),
        request=round(price.request * times),
    )


def _longer(given: Weighed, times: float) -> Weighed:
    tokens: Tokens = replace(given.tokens, instructions=given.tokens.instructions * times)
    return replace(given, tokens=tokens)
