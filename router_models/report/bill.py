"""From the baseline's bill to the actual one, step by step; whole nano-dollars that add up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from gateway.store.blocks import Block, Row
from gateway.store.totals import Totals

RESAMPLES = 2_000
Interval = dict[str, float | None]
UNKNOWN: Interval = {"value": None, "low": None, "high": None}
_CUT_OFF = "unsettled"


@dataclass(frozen=True, slots=True)
class Bill:
    """What `requests` came to, in nano-dollars.

    `baseline` less `routing`, `cache` and `kept`, plus the rest, is `actual`. `routing` is what
    cheaper tiers took off the served replies at list price, `cache` what providers' caches took off
    those, beyond what they would have taken off the baseline; either may be negative. `kept` is the
    baseline of what was said again and cost nothing. `discarded` are drafts that were not served,
    `checks` and `scoring` what judging and scoring cost, `cut_off` calls of requests whose process
    died, `shadow` what was asked for the record alone, `gateway` what the gateway itself cost,
    where somebody has said so.
    """

    requests: int
    baseline: int
    routing: int
    cache: int
    kept: int
    discarded: int
    checks: int
    scoring: int
    cut_off: int
    shadow: int
    gateway: int

    @property
    def actual(self) -> int:
        """What was spent."""
        spent = self.discarded + self.checks + self.scoring + self.cut_off
        less = self.routing + self.cache + self.kept
        return self.baseline - less + spent + self.shadow + self.gateway

    @property
    def saved(self) -> int:
        """What the baseline would have cost more; negative for what was lost."""
        return self.baseline - self.actual


def add_up(blocks: Iterable[Block], prices: Mapping[str, float] = {}, own: int = 0) -> Bill:
    """Add up blocks. `prices` is what a cached token saves, by tier, in nano-dollars; `own` what
    the gateway cost beside what the ledger says, in all."""
    blocks = list(blocks)
    requests = [row for block in blocks for row in block.requests]
    whole = [row for row in requests if row["outcome"] != _CUT_OFF]
    others = [row for block in blocks for row in block.attempts if not row["shadow"]]
    vain = [row for block in blocks for row in block.checks if not row["shadow"]]
    by_serving = sum_of(whole, "served_cost")
    discarded = sum_of(others, "cost")
    baseline = sum_of(requests, "baseline_cost")
    checks = sum_of(requests, "check_cost")
    served = by_serving - (checks - sum_of(vain, "cost"))
    cache, kept = cached_saving(blocks, prices), sum_of(requests, "kept_baseline")
    return Bill(
        requests=sum_of(requests, "requests"),
        baseline=baseline,
        routing=baseline - served - cache - kept,
        cache=cache,
        kept=kept,
        discarded=discarded - sum_of(vain, "cost"),
        checks=checks,
        scoring=sum_of(whole, "cost") - by_serving - discarded,
        cut_off=sum_of(requests, "cost") - sum_of(whole, "cost"),
        shadow=sum_of(requests, "shadow_cost"),
        gateway=sum_of(requests, "gateway_cost") + own,
    )


def cached_saving(blocks: Iterable[Block], prices: Mapping[str, float]) -> int:
    """What providers' caches took off the served replies, less what they would have taken off the
    baseline; a tier of which `prices` knows nothing counts as zero."""
    saved = 0.0
    for block in blocks:
        for call in block.calls:
            if call["served"] and call["purpose"] == "serve":
                saved += call["cached_tokens"] * prices.get(call["tier"], 0.0)
        for row in block.requests:
            saved -= row["baseline_cached_tokens"] * prices.get(row["baseline_tier"], 0.0)
    return round(saved)


def cached_prices(blocks: Iterable[Block]) -> dict[str, float]:
    """By tier, what a token costs less for being cached, in nano-dollars: what its own calls were
    billed for a fresh one, less what for a cached one."""
    sums: defaultdict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    names = ("input_cost", "cached_input_cost", "cached_tokens")
    for call in (call for block in blocks for call in block.calls):
        if call["purpose"] != "serve" or not call["cached_tokens"] or not call["by_kind"]:
            continue
        tier = sums[call["tier"]]
        for name in names:
            tier[name] += call[name]
        parts = call["cached_tokens"] + call["cache_write_tokens"] + call["other_input_tokens"]
        tier["fresh"] += call["prompt_tokens"] - parts
    return {
        tier: each["input_cost"] / each["fresh"] - each["cached_input_cost"] / each["cached_tokens"]
        for tier, each in sums.items()
        if each["fresh"] and each["input_cost"]
    }


def saved_share(totals: Totals, own: int = 0, seed: int = 0) -> Interval:
    """The saving as a share of the baseline's bill, with a 95 % interval: blocks of consecutive
    requests are drawn anew, as many as there are, 2,000 times. It says what another such period
    of the same traffic may come to; the sum itself is booked."""
    pairs = [_spent(block) for block in totals.blocks]
    requests = [sum_of(block.requests, "requests") for block in totals.blocks]
    table = np.array([(*pair, n) for pair, n in zip(pairs, requests, strict=True)], np.float64)
    each = own / max(1.0, float(sum(requests)))
    return resampled(table, lambda s: 1 - (s[:, 0] + s[:, 2] * each) / s[:, 1], seed)


def _spent(block: Block) -> tuple[int, int]:
    """What a block cost, and its baseline."""
    names = ("cost", "shadow_cost", "gateway_cost")
    spent = sum(sum_of(block.requests, name) for name in names)
    return spent, sum_of(block.requests, "baseline_cost")


def resampled(
    table: np.ndarray[Any, np.dtype[np.float64]],
    figure: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]],
    seed: int = 0,
) -> Interval:
    """A figure of the rows' sums, with its percentile bootstrap interval."""
    if not len(table):
        return dict(UNKNOWN)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = float(figure(table.sum(axis=0, keepdims=True))[0])
        found = figure(_weights(len(table), seed) @ table)
    if not np.isfinite(value) or not np.isfinite(found).any():
        return dict(UNKNOWN)
    low, high = np.quantile(found[np.isfinite(found)], [0.025, 0.975])
    return {"value": value, "low": float(low), "high": float(high)}


@lru_cache(maxsize=4)
def _weights(count: int, seed: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """How often each of so many rows is drawn, resample by resample."""
    even = np.full(count, 1.0 / count)
    return np.random.default_rng(seed).multinomial(count, even, RESAMPLES).astype(np.float64)


def sum_of(rows: Iterable[Row], name: str) -> int:
    """Add up a column."""
    return sum([row[name] for row in rows])


def grouped(rows: Iterable[Row], names: Sequence[str]) -> dict[tuple[Any, ...], list[Row]]:
    """Rows by some of their columns, in the order in which they first come."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple([row[name] for name in names]), []).append(row)
    return groups
