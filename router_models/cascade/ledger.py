"""A ledger's labelled requests as rows to fit both thresholds to, as a pair file has them.

What nobody asked is unknown and stays so. A request counts where both tiers have a label, the first
one's whole reply is recorded with what its checks said, and the scorer in use scored it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from gateway.core.money import NANO
from gateway.core.plan import Tier
from gateway.core.signals import Signals
from gateway.core.verdict import BARRED
from gateway.store.histories import History
from router_models.cascade.fit import Priors
from router_models.cascade.pairs import Pairs
from router_models.difficulty.formats import DataError
from router_models.difficulty.metrics import Array

LEAST: Final = 100
"""Requests under which nothing is fitted: a share of so many is known to ten points, at best."""
OF_FORM: Final = frozenset({"shape", "refusal", "format", "tools", "unsure", "early"})
"""Checks of a reply's form. What fails one is deferred whatever is fitted: they are no evidence."""
_UNPUT: Final = frozenset({*BARRED, "left"})
"""Reasons of an abstention that say that the check was not made at all."""
_PARTIAL: Final = frozenset({"prefix_passed", "trusted"})
"""Reasons of a verdict on a part of a reply, or on nothing."""
_HALF: Final = 0.5
_BEYOND_CHANCE: Final = 2.0
"""Standard errors from which those used are said to be unlike the traffic."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whose labelled requests: of `first` and `last`, a route's two tiers as they are now, scored
    by `scorer`. `free` and `paid` are the checks that may be evidence, as the configuration names
    them."""

    first: Tier
    last: Tier
    scorer: str
    free: Collection[str]
    paid: Collection[str]


@dataclass(frozen=True, slots=True)
class Seen:
    """One request that can be fitted to: labels 0..1 and costs in nano-dollars of both tiers (the
    stronger one's None where nobody knows it), what each check that was put said (None: it
    abstained) and cost, the scorer's word, and whether the reply was deferred."""

    entry: str
    good: tuple[float, float]
    costs: tuple[int, int | None]
    said: Mapping[str, float | None]
    paid: Mapping[str, int]
    p_good: Sequence[float]
    score: float
    difficulty: float
    deferred: bool


@dataclass(slots=True)
class Told:
    """What was looked at: `requests` of the route, those labelled at `both` tiers, `used`, and why
    others were not. `difficulty` and `deferred` are of all traffic, each known one a number;
    `good` are all labels at the first tier, and at the last one."""

    requests: int = 0
    both: int = 0
    used: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    difficulty: list[float] = field(default_factory=list)
    deferred: list[float] = field(default_factory=list)
    good: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))


def read_seen(histories: Iterable[History], wanted: Wanted) -> tuple[list[Seen], Told]:
    """Read what can be fitted to, and count what cannot."""
    told, kept = Told(), []
    for history in histories:
        told.requests += 1
        _look(history, wanted, told)
        if {wanted.first.name, wanted.last.name} <= set(history.good):
            told.both += 1
        found = _seen(history, wanted)
        if isinstance(found, str):
            told.left_out[found] += 1
        else:
            kept.append(found)
    return kept, told


def _look(history: History, wanted: Wanted, told: Told) -> None:
    """Note what all traffic is like."""
    if history.row["scorer"] == wanted.scorer and history.row["difficulty"] is not None:
        told.difficulty.append(history.row["difficulty"])
    for kept, tier in zip(told.good, (wanted.first, wanted.last), strict=True):
        if tier.name in history.good:
            kept.append(history.good[tier.name])
    attempts = [each for each in _of(history, wanted.first.name) if each["verdict"]]
    if attempts:
        told.deferred.append(float(attempts[-1]["verdict"] == "defer"))


def _of(history: History, tier: str) -> list[Mapping[str, Any]]:
    """The attempts of a tier that were not left to a race."""
    return [each for each in history.attempts if each["tier"] == tier and not each["left"]]


def _seen(history: History, wanted: Wanted) -> Seen | str:
    """Read one request, or say why it cannot be used."""
    row, first, last = history.row, wanted.first, wanted.last
    missing = [tier.name for tier in (first, last) if tier.name not in history.good]
    if missing:
        return f"without a label at {' and '.join(missing)}"
    if row["scorer"] != wanted.scorer or row["score"] is None:
        return f"not scored by {wanted.scorer}"
    if row["met"]:
        return f"that {wanted.scorer} was trained on"
    attempts = _of(history, first.name)
    if len(attempts) != 1:
        what = "asked more than once" if attempts else "not asked"
        return f"whose {first.name} was {what}"
    attempt = attempts[0]
    if why := _unusable(attempt, first):
        return why
    checks = {each["check"]: each for each in attempt["checks"]}
    if any(each["result"] == "fail" for name, each in checks.items() if name in OF_FORM):
        return "whose reply had a wrong form: it is deferred whatever is tuned"
    known = {*wanted.free, *wanted.paid}
    put = {name: each for name, each in checks.items() if name in known and _is_put(each)}
    return Seen(
        entry=row["entry_id"],
        good=(history.good[first.name], history.good[last.name]),
        costs=(_cost(attempt), _strong_cost(history, last)),
        said={name: _stated(each) for name, each in put.items()},
        paid={name: each["cost"] for name, each in put.items()},
        p_good=row["p_good"],
        score=row["score"],
        difficulty=row["difficulty"],
        deferred=attempt["verdict"] == "defer",
    )


def _unusable(attempt: Mapping[str, Any], first: Tier) -> str:
    """Why a reply says nothing of what its tier would say now; nothing where it does."""
    calls = attempt["calls"]
    if attempt["failure"] or not calls or calls[-1]["status"] != "ok":
        return f"whose {first.name} failed or was not heard out"
    recipe = first.recipe.label if first.recipe else ""
    if (calls[-1]["model"], attempt["recipe"]) != (first.model, recipe):
        return f"by another model or recipe than {first.name} has now"
    return "judged by a part of the reply" if attempt["reason"] in _PARTIAL else ""


def _is_put(check: Mapping[str, Any]) -> bool:
    return not (check["result"] == "abstain" and check["reason"] in _UNPUT)


def _stated(check: Mapping[str, Any]) -> float | None:
    """What a finding comes to, as `gateway.core.verdict` takes it."""
    if check["result"] == "abstain":
        return None
    said = check["confidence"]
    return float(check["result"] == "pass") if said is None else float(said)


def _cost(attempt: Mapping[str, Any]) -> int:
    """What an attempt's own calls cost, its checks apart; nano-dollars."""
    return sum(call["cost"] for call in attempt["calls"])


def _strong_cost(history: History, last: Tier) -> int | None:
    """What the stronger tier cost: measured where it was asked, else as the baseline has it."""
    whole = [each for each in _of(history, last.name) if each["calls"] and not each["failure"]]
    if whole:
        return _cost(whole[-1])
    row = history.row
    return row["baseline_cost"] if row["baseline_tier"] == last.name else None


# --------------------------------------------------------------------------- rows


def as_pairs(
    seen: Sequence[Seen],
    told: Told,
    wanted: Wanted,
    prompts: Mapping[str, Signals],
    source: str,
) -> tuple[list[Seen], Pairs]:
    """Make rows of those that every check was put to, without the checks that were put to less than
    half. Raises DataError where too few are left, or all that there are were deferred."""
    counts = Counter(name for each in seen for name in each.said)
    evidence = [name for name in counts if counts[name] >= _HALF * len(seen)]
    used = [each for each in seen if set(evidence) <= set(each.said)]
    if len(used) < len(seen):
        told.left_out["that not every check was put to"] += len(seen) - len(used)
    told.used = len(used)
    _require_enough(used, told, wanted, source)
    said = {name: _array(each.said[name] for each in used) for name in evidence}
    said = {name: found for name, found in said.items() if not np.isnan(found).all()}
    prices = {
        name: np.array([each.paid[name] / NANO for each in used])
        for name in said
        if name in wanted.paid
    }
    return used, Pairs(
        signals=tuple(prompts.get(each.entry, Signals()) for each in used),
        source=source,
        weak=_array(each.good[0] for each in used),
        strong=_array(each.good[1] for each in used),
        weak_cost=np.array([each.costs[0] / NANO for each in used]),
        strong_cost=_strong_costs(used, wanted),
        said=said,
        prices=prices,
        free=tuple(name for name in said if name in wanted.free),
        paid=tuple(sorted(prices, key=lambda name: float(prices[name].mean()))),
    )


def _array(values: Iterable[float | None]) -> Array:
    return np.array([np.nan if each is None else each for each in values], np.float64)


def _require_enough(used: Sequence[Seen], told: Told, wanted: Wanted, source: str) -> None:
    first, last = wanted.first.name, wanted.last.name
    if len(used) < LEAST:
        why = "; ".join(f"{n:,} {reason}" for reason, n in told.left_out.most_common())
        raise DataError(
            f"{source}: {len(used):,} labelled requests can be tuned on, at least {LEAST} are "
            f"needed. Of {told.requests:,} requests {told.both:,} have a label at {first} and at "
            f"{last}; left out: {why or 'none'}. To get more: mode: observe with shadow: 10% asks "
            f"{first} beside {last}, and POST /v1/feedback takes a label for each: "
            "{request_id, score, tier}."
        )
    if all(each.deferred for each in used) and not all(told.deferred):
        raise DataError(
            f"{source}: each of the {len(used):,} requests labelled at {first} and at {last} was "
            f"deferred, and {told.deferred.count(0.0):,} others were not: where {first} is good "
            "enough nobody knows. Label accepted answers too, at both tiers."
        )


def _strong_costs(used: Sequence[Seen], wanted: Wanted) -> Array:
    known = [each.costs[1] for each in used if each.costs[1] is not None]
    if not sum(known):
        raise DataError(
            f"no request says what {wanted.last.name} costs: it was never asked, and it is not the "
            "baseline's tier."
        )
    mean = sum(known) / len(known)
    return np.array([(mean if each.costs[1] is None else each.costs[1]) / NANO for each in used])


def priors_of(used: Sequence[Seen], difficulty: Sequence[float]) -> Priors:
    """What the scorer said when these were served; `difficulty` is what that ranks at now."""
    return Priors(
        _array(each.p_good[0] if each.p_good else None for each in used),
        _array(each.p_good[min(1, len(each.p_good) - 1)] if each.p_good else None for each in used),
        np.array(difficulty, np.float64),
    )


# --------------------------------------------------------------------------- telling


def notes(used: Sequence[Seen], seen: Sequence[Seen], told: Told, pairs: Pairs) -> list[str]:
    """Say in what those used are unlike the traffic, beyond chance, and what they cannot say."""
    found = []
    ways = (
        ("difficulty", [each.difficulty for each in used], told.difficulty),
        ("share deferred", [float(each.deferred) for each in used], told.deferred),
        # Whoever labels both tiers only where something went wrong, or right, shows here.
        ("label of the first tier", [each.good[0] for each in used], told.good[0]),
        ("label of the last tier", [each.good[1] for each in used], told.good[1]),
    )
    for what, some, every in ways:
        if _unlike(some, every):
            found.append(
                f"these requests are not like the traffic: mean {what} {np.mean(some):.3f}, of all "
                f"that have one {np.mean(every):.3f}. What is fitted is for requests like these"
            )
    counts = Counter(name for each in seen for name in each.said)
    for name, count in counts.items():
        if name not in pairs.said:
            found.append(
                f"{name} is no evidence here: it was put to {count:,} of {len(seen):,}, or said "
                "nothing"
            )
    if not pairs.prompted:
        found.append(
            "no prompts are kept (ledger: {content: prompts}): a question that was asked again is "
            "taken for another one, which flatters"
        )
    return found


def _unlike(some: Sequence[float], every: Sequence[float]) -> bool:
    if not some or not every:
        return False
    error = float(np.std(every)) * float(np.sqrt(1 / len(some) + 1 / len(every)))
    return abs(float(np.mean(some)) - float(np.mean(every))) > _BEYOND_CHANCE * max(error, 1e-9)
