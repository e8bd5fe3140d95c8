"""Outcomes out of a ledger: a gateway's own prompts, and what was said of their answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from gateway.core.database_url import DatabaseUrl
from gateway.core.money import NANO
from gateway.store.training import LabelledPrompt, NothingToLearn, labelled_prompts, tier_costs
from router_models.difficulty.formats import DataError
from router_models.difficulty.rows import Outcomes, Row, clean

SOURCE: Final = "ledger"


def labelled(path: Path | DatabaseUrl, tiers: Sequence[str], seen: set[str]) -> Outcomes:
    """Read the labelled prompts of a ledger that have a label at each of `tiers`, cheap to strong.

    `seen` as in `clean`. Without `tiers`: those that were labelled, by what their replies have
    cost. A request's cost at a tier is what the route's replies cost there on average. Raises
    DataError when there are none, or when the tiers' order cannot be told.
    """
    try:
        prompts = labelled_prompts(path)
        costs = {route: tier_costs(path, route) for route in {each.route for each in prompts}}
    except NothingToLearn as error:
        raise DataError(str(error)) from error
    chosen = tuple(tiers) or _by_cost(path, prompts, costs)
    rows, dropped = clean(_rows(prompts, chosen, costs), path, seen)
    return Outcomes(rows, chosen, dropped)


def _rows(
    prompts: Sequence[LabelledPrompt],
    tiers: Sequence[str],
    costs: Mapping[str, Mapping[str, float]],
) -> Iterator[Row | str]:
    for prompt in prompts:
        if any(tier not in prompt.good for tier in tiers):
            yield "without a label at every tier"
            continue
        known = costs[prompt.route]
        each = tuple(known[tier] / NANO if tier in known else None for tier in tiers)
        kind = "none" if all(cost is None for cost in each) else "est"
        scores = tuple(prompt.good[tier] for tier in tiers)
        yield Row(prompt.signals, scores, SOURCE, prompt.route, each, kind)


def _by_cost(
    path: Path | DatabaseUrl,
    prompts: Sequence[LabelledPrompt],
    costs: Mapping[str, Mapping[str, float]],
) -> tuple[str, ...]:
    """The tiers that were labelled, by their mean cost over the routes."""
    names = Counter(tier for prompt in prompts for tier in prompt.good)
    found: dict[str, float] = {}
    for tier in names:
        known = [each[tier] for each in costs.values() if tier in each]
        if not known:
            raise DataError(
                f"{path}: no reply of {tier} has a known cost; name the tiers, cheap to strong, "
                f"with --tiers (labelled are: {', '.join(names)})."
            )
        found[tier] = sum(known) / len(known)
    if len(found) < 2:
        raise DataError(
            f"{path}: only {', '.join(found)} has labels; a scorer learns from requests that are "
            "labelled at two tiers or more."
        )
    return tuple(sorted(found, key=found.__getitem__))
