"""Calls and checks, counted where their labels say: a place that is found once for each kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from prometheus_client.metrics_core import Metric as Family

from gateway.core.money import NANO, Usage
from gateway.core.outcome import CallRecord
from gateway.core.verdict import ABSTENTIONS, Evidence
from gateway.sinks import catalogue
from gateway.sinks.cells import Bins, Counts, Labels, Times
from gateway.sinks.names import FAILURES, KINDS, STATUSES, Names, among

KEPT: Final = 2048
"""Kinds whose places are kept: no more than that are ever asked for at the same time."""


class _Ending(dict[str, list[int]]):
    """The cells of labels that begin alike, by the last one; each is made when it is asked for."""

    def __init__(self, counts: Counts, first: Labels) -> None:
        self._counts, self._first = counts, first

    def __missing__(self, last: str) -> list[int]:
        found = self[last] = self._counts.cell((*self._first, last))
        return found


class _Kind(NamedTuple):
    """Where calls of a kind are counted."""

    attempts: list[int]
    errors: list[int] | None
    seconds: Bins | None
    tokens: _Ending
    cost: _Ending
    unpriced: _Ending


class Calls:
    """Fed with each call and each check; its labels are bounded by `names`."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self.attempts = Counts(catalogue.ATTEMPTS)
        self.cost = Counts(catalogue.COST, NANO)
        self.unpriced = Counts(catalogue.UNPRICED)
        self._errors = Counts(catalogue.UPSTREAM_ERRORS)
        self._tokens = Counts(catalogue.TOKENS)
        self._seconds = Times(catalogue.UPSTREAM_DURATIONS)
        self._checks = Counts(catalogue.CHECKS)
        self._abstentions = Counts(catalogue.CHECK_ABSTENTIONS)
        self._check_seconds = Times(catalogue.CHECK_SECONDS)
        self._check_cost = Counts(catalogue.CHECK_COST, NANO)
        self._kind = lru_cache(KEPT)(self._kind_of)
        self._found = lru_cache(KEPT)(self._found_of)

    def forget(self) -> None:
        """Find every place anew: there may be names that were not known before."""
        self._kind.cache_clear()
        self._found.cache_clear()

    def observe(
        self, route: str, tier: str, call: CallRecord, *, priced: bool, purpose: str = ""
    ) -> None:
        """Count one call. `purpose` is the kind that all of its cost is of, where that is not told
        by kind."""
        kind = self._kind(route, tier, call.model, call.status, call.error)
        kind.attempts[0] += 1
        if kind.errors is not None:
            kind.errors[0] += 1
        if kind.seconds is not None:
            kind.seconds.observe(call.seconds)
        _count_tokens(kind.tokens, call.usage)
        _count_unpriced(kind.unpriced, call, priced)
        if not purpose:
            for name, amount in zip(KINDS, call.cost.amounts, strict=False):
                if amount:
                    kind.cost[name][0] += amount
        elif total := call.cost.total:
            kind.cost[purpose][0] += total

    def checks(self, route: str, evidence: Iterable[Evidence]) -> int:
        """Count what checks have found; returns what they cost, in nano-dollars."""
        total, found, waiting = 0, self._found, self._names.waiting
        for item in evidence:
            found(route, item.check, item.finding.result)[0] += 1
            if item.cost or item.check in waiting:
                total += item.cost
                self._waited(route, item)
        return total

    def _waited(self, route: str, item: Evidence) -> None:
        check, finding = self._names.check(item.check), item.finding
        if item.cost:
            self._check_cost.add((route, check), item.cost)
        if item.check in self._names.waiting:
            self._check_seconds.observe((route, check), item.seconds)
            if finding.result == "abstain" and finding.reason:
                self._abstentions.add((route, check, among(finding.reason, ABSTENTIONS)))

    def families(self) -> Iterator[Family]:
        """Read everything for export."""
        yield from (p.family() for p in vars(self).values() if isinstance(p, Counts | Times))

    def _found_of(self, route: str, check: str, result: str) -> list[int]:
        return self._checks.cell((route, self._names.check(check), result))

    def _kind_of(self, route: str, tier: str, model: str, status: str, error: str) -> _Kind:
        own = (tier, self._names.model(model))
        failed = status == "failed"
        ends = {"failed": "error", "ok": "ok"}
        return _Kind(
            attempts=self.attempts.cell((*own, among(status, STATUSES))),
            errors=self._errors.cell((*own, among(error, FAILURES))) if failed else None,
            seconds=self._seconds.cell((*own, ends[status])) if status in ends else None,
            tokens=_Ending(self._tokens, own),
            cost=_Ending(self.cost, (route, *own)),
            unpriced=_Ending(self.unpriced, own[1:]),
        )


def _count_tokens(tokens: _Ending, usage: Usage) -> None:
    if usage.prompt:
        tokens["input"][0] += usage.prompt
    if usage.completion:
        tokens["output"][0] += usage.completion
    if usage.cached:
        tokens["cached_input"][0] += usage.cached
    if usage.cache_write:
        tokens["cache_creation_input"][0] += usage.cache_write
    if usage.reasoning:
        tokens["reasoning"][0] += usage.reasoning


def _count_unpriced(unpriced: _Ending, call: CallRecord, priced: bool) -> None:
    if call.usage.estimated:
        unpriced["estimated_tokens"][0] += 1
    if not call.price.knows(call.usage.service):
        unpriced["missing_rate"][0] += 1
    if not priced:
        unpriced["missing_price"][0] += 1
