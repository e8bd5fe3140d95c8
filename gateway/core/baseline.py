"""What a request would have cost, had the baseline tier alone answered it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from gateway.core.money import Usage, new_usage
from gateway.core.outcome import Attempt, Outcome
from gateway.core.quick import maker, quick
from gateway.core.routing import Route, recipe_tokens

Policy = Literal["same_prompt", "bare_prompt"]
Basis = Literal["measured", "estimated"]


@quick
@dataclass(frozen=True, slots=True)
class Baseline:
    """What `tier` alone would have cost, in nano-dollars, and how that is known.

    `policy` says which prompt it is imagined to get: the client's own in that tier's recipe, or
    without any. `measured` is what that tier did answer, just so; all else is `estimated`. `price`
    is the digest of the price that `usage` goes by.
    """

    tier: str = ""
    cost: int = 0
    policy: Policy = "same_prompt"
    basis: Basis = "estimated"
    usage: Usage = field(default_factory=Usage)
    price: str = ""


new_baseline = maker(Baseline)


def reckon(route: Route, outcome: Outcome, prompt_estimate: int) -> Baseline:
    """Reckon what the request would have cost at the route's baseline tier.

    The prompt is the serving tier's, less what its recipe added to it and a repair told it, in the
    baseline tier's own recipe, or in none; as much of it is taken to be in the cache. The reply is
    as long as the one that was served, times what the route says of the two tiers. The tier of
    service is the common one. Nothing served costs nothing at the baseline either.
    """
    tier, served, policy = route.baseline_tier, outcome.served, route.baseline_policy
    used = None if served is None else _used(served)
    if served is None or used is None:
        return Baseline(tier.name, policy=policy, price=tier.price.digest)
    added = _added(served, escalated=outcome.escalated)
    wanted = recipe_tokens(tier.recipe) if policy == "same_prompt" else 0
    alone = served.said_again or len(outcome.attempts) == 1
    told = used.prompt if alone else _first_told(outcome, served)
    if served.tier.name == tier.name and added == wanted and told == used.prompt:
        usage = used
        basis: Basis = "estimated" if used.estimated else "measured"
    else:
        prompt = (max(told - added, 0) or prompt_estimate) + wanted
        usage, basis = _imagined(used, prompt, route.reply_ratio(served.tier.name)), "estimated"
    last = served.calls[-1] if served.calls else None
    if last is not None and usage is last.usage and last.price is tier.price:
        cost = last.cost.total  # as it was reckoned when the call was over
    else:
        cost = tier.price.total(usage)
    return new_baseline(tier.name, cost, policy, basis, usage, tier.price.digest)


def _used(served: Attempt) -> Usage | None:
    """What the reply had used, be it said again; None where nobody was asked for it."""
    if served.said_again is not None:
        return served.said_again
    return served.calls[-1].usage if served.calls else None


def _added(served: Attempt, *, escalated: bool) -> int:
    """How many tokens the recipe of the tier that served added to the client's prompt."""
    return 0 if served.bare else recipe_tokens(served.tier.recipe, escalated=escalated)


def _first_told(outcome: Outcome, served: Attempt) -> int:
    """Return the prompt of the first reply of the tier that served: a repair's tells it more than
    the client asked."""
    told = served.calls[-1].usage.prompt
    told_to = (
        each.calls[-1].usage.prompt
        for each in outcome.attempts
        if each.calls and each.failure is None and each.tier.name == served.tier.name
    )
    return min(told, next(told_to, told))


def _imagined(used: Usage, prompt: int, ratio: float) -> Usage:
    """The same call at another tier; what it thinks before it speaks is part of its reply."""
    hit = min(used.cached, prompt)
    heard = min(used.audio_input, prompt - hit)
    return new_usage(
        prompt,
        round(used.completion * ratio),
        cached=hit,
        audio_input=heard,
        image_input=min(used.image_input, prompt - hit - heard),
        estimated=True,
    )
