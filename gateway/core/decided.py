"""What a request was decided on, as far as it takes to decide it again: under the same policy or
another. It goes into the ledger as JSON, and comes back as the plan that it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, replace
from operator import attrgetter
from typing import Any, Final

from gateway.core.combine import Combiner, Curve, Stage
from gateway.core.plan import Hedge, Hold, Plan, Tier
from gateway.core.quick import maker, quick
from gateway.core.recipes import Recipe
from gateway.core.routing import Overrides
from gateway.core.session import NOTHING, Past
from gateway.core.signals import Signals
from gateway.core.verdict import Bar, CheckSpec, Early

VERSION = 2
"""Of the JSON: one that is newer than this is not read. What is as it mostly is has been left out
since 2, and was written out before."""
_NAME: Final = attrgetter("name")


@quick
@dataclass(frozen=True, slots=True)
class Decided:
    """The inputs of a request's decisions.

    `thresholds` were in force, `asked` is what the request wanted otherwise (its mode settled);
    `readings` are the clock's, seconds into the request, one for each `next_step`. `would` is the
    policy's own plan where another was served (mode observe), None also where it would have turned
    the request away. `down` are the tiers whose breaker was open. A plan that was read back has
    tiers with no price and no recipe's text.
    """

    plan: Plan
    thresholds: tuple[float, ...] = ()
    asked: Overrides = field(default_factory=Overrides)
    past: Past = NOTHING
    signals: Signals = field(default_factory=Signals)
    readings: tuple[float, ...] = ()
    would: Plan | None = None
    down: tuple[str, ...] = ()


new_decided = maker(Decided)


def decided_row(decided: Decided) -> dict[str, Any]:
    """Flatten it into plain JSON values; of the signals only what a plan is made of."""
    plan, would, past = decided.plan, decided.would, decided.past
    made: dict[str, Any] = {
        "v": VERSION,
        "ladder": _ladder(plan, would),
        "plan": _plan_row(plan),
        "thresholds": list(decided.thresholds),
        "asked": _asked_row(decided.asked),
        "signals": _signals_row(decided.signals),
        "readings": list(decided.readings),
    }
    if would is not None:
        made["would"] = _plan_row(would)
    if past.latched or past.probe or past.warm or past.history:
        made["past"] = [past.latched, past.probe, past.warm, past.history]
    if decided.down:
        made["down"] = list(decided.down)
    return made


def _ladder(plan: Plan, would: Plan | None) -> list[dict[str, Any]]:
    """Write each tier of both plans once; its checks cost what they were expected to in `plan`."""
    rows = {}
    for each in (plan,) if would is None else (plan, would):
        for tier in (*each.tiers, *each.below):
            rows[tier.name] = _tier_row(plan, tier)
    return list(rows.values())


def _asked_row(asked: Overrides) -> dict[str, Any]:
    made: dict[str, Any] = {"mode": asked.mode}
    if asked.tier is not None:
        made["tier"] = asked.tier
    if asked.thresholds is not None:
        made["thresholds"] = list(asked.thresholds)
    if asked.ceiling is not None:
        made["ceiling"] = asked.ceiling
    if asked.deadline is not None:
        made["deadline"] = asked.deadline
    return made


def _signals_row(signals: Signals) -> dict[str, Any]:
    """Write the signals that a plan is made of."""
    made: dict[str, Any] = {
        "prompt_tokens": signals.prompt_tokens,
        "max_tokens": signals.max_tokens,
        "choices": signals.choices,
        "tools": signals.tools,
        "images": signals.images,
    }
    if signals.demands:
        made["demands"] = list(signals.demands)
    return made


def read_decided(flat: Mapping[str, Any]) -> Decided:
    """Read back what `decided_row` wrote. Raises ValueError for what a newer version wrote,
    KeyError or TypeError for what nobody did."""
    if flat["v"] > VERSION:
        raise ValueError(f"written by a newer version (plan {flat['v']}, known is {VERSION})")
    ladder = {each["name"]: _read_tier(each) for each in flat["ladder"]}
    asked, would = flat["asked"], flat.get("would")
    thresholds = asked.get("thresholds")
    return Decided(
        plan=_read_plan(flat["plan"], ladder),
        thresholds=tuple(flat["thresholds"]),
        asked=Overrides(**{**asked, "thresholds": thresholds and tuple(thresholds)}),
        past=Past(*flat.get("past", ())),
        signals=_read_signals(flat["signals"]),
        readings=tuple(flat["readings"]),
        would=would and _read_plan(would, ladder),
        down=tuple(flat.get("down", ())),
    )


def _read_signals(flat: Mapping[str, Any]) -> Signals:
    return Signals(**{**flat, "demands": tuple(flat.get("demands", ()))})


def _plan_row(plan: Plan) -> dict[str, Any]:
    made: dict[str, Any] = {
        "tiers": list(map(_NAME, plan.tiers)),
        "reason": plan.reason,
        "deadline": plan.deadline,
        "expected": dict(plan.expected),
    }
    if plan.below:
        made["below"] = list(map(_NAME, plan.below))
    if plan.ceiling is not None:
        made["ceiling"] = plan.ceiling
    if plan.p_good:
        made["p_good"] = dict(plan.p_good)
    if plan.whole:
        made["whole"] = True
    if plan.speculate is not None:
        made["speculate"] = plan.speculate
    if plan.choices != 1:
        made["choices"] = plan.choices
    return made


def _read_plan(flat: Mapping[str, Any], ladder: Mapping[str, Tier]) -> Plan:
    tiers = tuple(ladder[name] for name in flat["tiers"])
    below = tuple(ladder[name] for name in flat.get("below", ()))
    return Plan(**{**flat, "tiers": tiers, "below": below})


_PLAIN: Final[Mapping[str, Any]] = {
    "recipe": "",
    "context": None,
    "hold": ["reply", 0],
    "repair": False,
    "at_once": False,
    "early": [None, False, True, True],
    "combiner": None,
    "hedge": None,
    "wire": "chat",
}
"""What a tier's row leaves out. A value here never changes: rows that were written by it stay."""
_MOST: Final = 256
_written: dict[int, tuple[Tier, dict[str, Any]]] = {}
"""By a tier's identity, the tier and its row: a configuration makes its tiers once, and their rows
were half of what writing a request down takes (20 of 41 us, 3 of 22 like this)."""


def _tier_row(plan: Plan, tier: Tier) -> dict[str, Any]:
    """A tier; what a check costs is what it was expected to cost this request."""
    known = _written.get(id(tier))
    if known is None:
        if len(_written) >= _MOST:  # of configurations that are gone
            _written.clear()
        known = _written[id(tier)] = (tier, _write(tier))  # kept: its identity stays its own
    row = known[1]
    if not plan.check_costs:
        return row
    costs = {spec.name: plan.check_cost(tier, spec) for spec in tier.bar.checks}
    return row | {
        "checks": {name: [costs[name], *said] for name, (_, *said) in row["checks"].items()}
    }


def _write(tier: Tier) -> dict[str, Any]:
    bar = tier.bar
    whole = {
        "name": tier.name,
        "upstream": tier.upstream,
        "model": tier.model,
        "recipe": tier.recipe.label if tier.recipe else "",
        "context": tier.context,
        "hold": [tier.hold.policy, tier.hold.tokens],
        "accept": bar.accept,
        "min_gain": bar.min_gain,
        "checks": {spec.name: [spec.cost, spec.waits, spec.concurrent] for spec in bar.checks},
        "repair": bar.repair,
        "at_once": bar.at_once,
        "early": list(astuple(bar.early)),
        "combiner": None if bar.combiner is None else _combiner_row(bar.combiner),
        "hedge": None if tier.hedge is None else list(astuple(tier.hedge)),
        "wire": tier.wire,
    }
    return {name: value for name, value in whole.items() if _PLAIN.get(name, ...) != value}


def _read_tier(told: Mapping[str, Any]) -> Tier:
    flat = {**_PLAIN, **told}
    checks = tuple(
        CheckSpec(name, cost, waits=waits, concurrent=concurrent)
        for name, (cost, waits, concurrent) in flat["checks"].items()
    )
    tier = Tier(
        name=flat["name"],
        upstream=flat["upstream"],
        model=flat["model"],
        bar=Bar(
            flat["accept"],
            flat["min_gain"],
            checks,
            repair=flat["repair"],
            at_once=flat["at_once"],
            early=Early(*flat["early"]),
            combiner=flat["combiner"] and _read_combiner(flat["combiner"]),
        ),
        hold=Hold(*flat["hold"]),
        context=flat["context"],
        hedge=flat["hedge"] and Hedge(*flat["hedge"]),
        wire=flat["wire"],
    )
    name, _, version = flat["recipe"].rpartition("@")
    return replace(tier, recipe=Recipe(name, int(version))) if name else tier


def _combiner_row(combiner: Combiner) -> list[Any]:
    """Its numbers as they are and in their order, so that it weighs to the last digit alike."""
    stages = [[_curve_row(each.own), _curve_row(each.next)] for each in combiner.stages]
    bands = {check: list(band) for check, band in combiner.bands.items()}
    return [combiner.label, list(combiner.free), list(combiner.paid), stages, bands]


def _curve_row(curve: Curve) -> list[Any]:
    said = {check: [weight, curve.silent[check]] for check, weight in curve.said.items()}
    return [curve.offset, curve.prior, curve.centre, said]


def _read_combiner(flat: list[Any]) -> Combiner:
    label, free, paid, stages, bands = flat
    return Combiner(
        label,
        tuple(free),
        tuple(paid),
        tuple(Stage(_read_curve(own), _read_curve(next_)) for own, next_ in stages),
        {check: (low, high) for check, (low, high) in bands.items()},
    )


def _read_curve(flat: list[Any]) -> Curve:
    offset, prior, centre, said = flat
    weights = {check: weight for check, (weight, _) in said.items()}
    return Curve(offset, prior, centre, weights, {check: mute for check, (_, mute) in said.items()})
