"""Recorded outcomes of two tiers with the evidence there is on the weak one's answers.

Evidence is what checks said: recorded (`weak_check.NAME`, 0..1), worked out from the answer itself
for nothing (`arithmetic`, `brevity`), or an agreement with samples of other models on the same
questions, taken from a long file and joined by the normalised prompt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from gateway.checks.answers import standing
from gateway.checks.reckoning import arithmetic, brevity
from gateway.core.chat import ChatRequest, Choice, Reply
from gateway.core.signals import Signals
from router_models.cascade.samples import Sample, Samples
from router_models.difficulty.data import is_contaminated, score, signals_of, usd
from router_models.difficulty.duplicates import normal
from router_models.difficulty.formats import DataError, Record, records
from router_models.difficulty.metrics import Array
from router_models.difficulty.rows import Row

SAID: Final = "weak_check."
AGREEMENT: Final = "agreement"
"""The check of the first sample; the next ones are agreement_2 and so on, each counting all
samples so far (`gateway.checks.answers.standing`)."""
FREE: Final = {"arithmetic": arithmetic, "brevity": brevity}
_SCORES: Final = ("weak_score", "strong_score")
_COSTS: Final = ("weak_cost", "strong_cost")
_REQUEST: Final = ChatRequest({"messages": []})


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """N questions that both tiers answered. `weak` and `strong` are scores 0..1, `weak_cost` and
    `strong_cost` USD, (N,) each. `said` holds by check what it says of the weak answer, (N,), nan
    where it abstains: those `free`, and those `paid` in the order of their price. `prices` holds
    what each paid one costs, USD, (N,)."""

    signals: tuple[Signals, ...]
    source: str
    weak: Array
    strong: Array
    weak_cost: Array
    strong_cost: Array
    said: Mapping[str, Array]
    prices: Mapping[str, Array]
    free: tuple[str, ...] = ()
    paid: tuple[str, ...] = ()
    dropped: Mapping[str, int] | None = None

    def __len__(self) -> int:
        return len(self.weak)

    @property
    def prompted(self) -> bool:
        """Are the prompts there, to be scored?"""
        return any(each.text for each in self.signals)

    @property
    def ratio(self) -> float:
        """Mean cost of the weak tier over the strong one's."""
        return float(self.weak_cost.mean() / self.strong_cost.mean())

    @property
    def rows(self) -> tuple[Row, ...]:
        """The same as rows for a scorer's training."""
        both = zip(self.signals, self.weak.tolist(), self.strong.tolist(), strict=True)
        return tuple(Row(signals, (w, s), self.source) for signals, w, s in both)

    def take(self, rows: Any) -> Pairs:
        """Return some of the questions; `rows` is (R,) places."""
        return replace(
            self,
            signals=tuple(self.signals[row] for row in rows),
            weak=self.weak[rows],
            strong=self.strong[rows],
            weak_cost=self.weak_cost[rows],
            strong_cost=self.strong_cost[rows],
            said={check: said[rows] for check, said in self.said.items()},
            prices={check: price[rows] for check, price in self.prices.items()},
        )

    def only(self, *checks: str) -> Pairs:
        """Return the same with these paid checks and no others."""
        return replace(self, paid=tuple(each for each in self.paid if each in checks))

    def with_free(self, *checks: str) -> Pairs:
        """Return the same with these free checks and no others. Raises DataError."""
        if unknown := [each for each in checks if each not in self.free]:
            known = ", ".join(self.free) or "none"
            raise DataError(f"no free check {unknown[0]!r} says anything here; there is: {known}.")
        kept = {*checks, *self.paid}
        said = {check: each for check, each in self.said.items() if check in kept}
        return replace(self, said=said, free=checks)

    def at_ratio(self, ratio: float) -> Pairs:
        """Return the same as if the weak tier cost this part of the strong one, and each paid check
        as much as the weak tier: a sample by a model as dear as that."""
        wanted = ratio * float(self.strong_cost.mean())
        return replace(
            self,
            weak_cost=self.weak_cost * (wanted / float(self.weak_cost.mean())),
            prices={
                check: price * (wanted / float(price.mean())) if price.mean() else price + wanted
                for check, price in self.prices.items()
            },
        )


def read_pairs(
    path: Path, samples: Samples | None = None, check_prices: Mapping[str, float] | None = None
) -> Pairs:
    """Read a pair file: weak_score, strong_score, weak_cost and strong_cost at least.

    `check_prices` are USD a request for recorded checks that are not in the tiers' own costs.
    Raises DataError for a file that cannot be used.
    """
    dropped: Counter[str] = Counter()
    kept: list[tuple[Record, Signals]] = []
    seen: set[str] = set()
    for number, record in enumerate(records(path), 1):
        try:
            why, signals = _reason(record, seen), signals_of(record)
            _require_scores(record)
        except ValueError as error:
            raise DataError(f"{path}, row {number}: {error}") from error
        if why:
            dropped[why] += 1
        else:
            kept.append((record, signals))
    if len(kept) < 2:
        why = ", ".join(f"{count:,} {reason}" for reason, count in dropped.items())
        raise DataError(f"{path}: it holds no two rows with scores and costs ({why or 'none'}).")
    pairs = _pairs(path, kept, check_prices or {})
    return replace(samples_put(pairs, kept, samples) if samples else pairs, dropped=dropped)


def _reason(record: Record, seen: set[str]) -> str:
    """Why a row is of no use; nothing where it is."""
    if is_contaminated(record.get("extra")):
        return "contaminated"
    read = [*(score(record, name) for name in _SCORES), *(usd(record, name) for name in _COSTS)]
    if None in read:
        return "without a score or cost of both tiers"
    key = normal(str(record.get("prompt") or "")) or str(record.get("prompt_id") or "")
    if key in seen:
        return "repeated"
    seen.add(key)
    return ""


def _require_scores(record: Record) -> None:
    """Raise ValueError for a recorded check that says no score."""
    for name in record:
        if name and name.startswith(SAID):
            score(record, name)


def _pairs(
    path: Path, kept: Sequence[tuple[Record, Signals]], check_prices: Mapping[str, float]
) -> Pairs:
    column = {
        name: np.array([usd(record, name) for record, _ in kept], np.float64)
        for name in (*_SCORES, *_COSTS)
    }
    names = [name for name in kept[0][0] if name and name.startswith(SAID)]
    recorded = {name.removeprefix(SAID): _recorded(kept, name) for name in names}
    if unknown := set(check_prices) - set(recorded):
        raise DataError(f"{path}: no column '{SAID}{min(unknown)}' that could have a price.")
    said = {**recorded, **_of_answers(kept)}
    paid = sorted(check_prices, key=lambda check: check_prices[check])
    return Pairs(
        signals=tuple(signals for _, signals in kept),
        source=path.name.partition(".")[0],
        weak=column["weak_score"],
        strong=column["strong_score"],
        weak_cost=column["weak_cost"],
        strong_cost=column["strong_cost"],
        said=said,
        prices={check: np.full(len(kept), check_prices[check]) for check in paid},
        free=tuple(check for check in said if check not in check_prices),
        paid=tuple(paid),
    )


def _recorded(kept: Sequence[tuple[Record, Signals]], name: str) -> Array:
    found = [score(record, name) for record, _ in kept]
    return np.array([np.nan if each is None else each for each in found], np.float64)


def _of_answers(kept: Sequence[tuple[Record, Signals]]) -> dict[str, Array]:
    """Put the free checks to the weak answers, where they are recorded; one that says nothing of
    any of them is left out."""
    said: dict[str, Array] = {}
    for name, check in FREE.items():
        found = []
        for record, _ in kept:
            text = str(record.get("weak_answer") or "")
            reply = Reply((Choice(text, finish="stop"),) if text else ())
            confidence = check(_REQUEST, reply).confidence
            found.append(np.nan if confidence is None else confidence)
        if not np.isnan(found).all():
            said[name] = np.array(found, np.float64)
    return said


def samples_put(pairs: Pairs, kept: Sequence[tuple[Record, Signals]], samples: Samples) -> Pairs:
    """Put agreement with each sample so far, cheapest first, to the weak answers."""
    answers = [str(r.get("weak_pred") or r.get("weak_answer") or "") for r, _ in kept]
    drawn: list[dict[str, Sample]] = [samples.of(signals) for _, signals in kept]
    used = [model for model in samples.models if any(model in each for each in drawn)]
    if missing := set(samples.models) - set(used):
        raise DataError(f"no usable sample of {min(missing)}: {samples.unusable(min(missing))}.")
    mean = {m: np.mean([each[m].cost for each in drawn if m in each]) for m in used}
    order = sorted(used, key=lambda model: mean[model])
    said, prices = dict(pairs.said), dict(pairs.prices)
    names = [AGREEMENT if n == 1 else f"{AGREEMENT}_{n}" for n in range(1, len(order) + 1)]
    for n, (name, model) in enumerate(zip(names, order, strict=True), 1):
        given = [[each[m].answer for m in order[:n] if m in each] for each in drawn]
        found = [standing(mine, others) for mine, others in zip(answers, given, strict=True)]
        said[name] = np.array([np.nan if each is None else each for each in found])
        prices[name] = np.array([each[model].cost if model in each else 0.0 for each in drawn])
    return replace(pairs, said=said, prices=prices, paid=(*pairs.paid, *names))
