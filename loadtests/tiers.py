"""The books of each tier, three ways: the sums of metrics, ledger and the upstreams' logs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from loadtests import mix
from loadtests.harness import Proof

Row = Mapping[str, Any]
ABSURD = 10**9
"""No usage that an upstream reports is this large, but for the scripted one."""


def reported(line: Row) -> Row | None:
    """What the upstream said it used, if it said something that can be."""
    usage = line["usage"]
    if not usage or not 0 <= usage["prompt_tokens"] < ABSURD or usage["completion_tokens"] < 0:
        return None
    return usage


def used(usage: Row) -> tuple[int, int, int]:
    """The prompt's, the completion's and the cached tokens of a reported usage."""
    details = usage.get("prompt_tokens_details") or {}
    return usage["prompt_tokens"], usage["completion_tokens"], details.get("cached_tokens", 0)


def booked(call: Row) -> tuple[int, int, int]:
    """The same of a call in the ledger."""
    return call["prompt_tokens"], call["completion_tokens"], call["cached_tokens"]


def is_exact(call: Row) -> bool:
    """Was the reply read to its end, and what it used reported?"""
    return call["status"] == "ok" and not call["estimated"]


def cost(tier: str, prompt: int, completion: int, cached: int) -> int:
    """Price a call from the configuration's own figures, in nano-dollars, by decimal arithmetic."""
    price = mix.PRICES[tier]
    if not (prompt or completion):
        return 0
    parts = (
        (prompt - cached, price["input"]),
        (cached, price.get("cached_input", price["input"])),
        (completion, price["output"]),
    )
    whole = Decimal(str(price.get("request", 0))) * 10**9
    for tokens, dollars in parts:
        exact = Decimal(tokens) * Decimal(str(dollars)) * 1000
        whole += exact.to_integral_value(ROUND_HALF_UP)
    return int(whole)


def samples(metrics: str, *labels: str, **where: str) -> Counter[Any]:
    """Sum the samples of each name (of each name and these labels' values), where others are so."""
    found: Counter[Any] = Counter()
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            if where.items() <= sample.labels.items():
                name = sample.name.removeprefix("waterfall_")
                key = (name, *(sample.labels.get(label, "") for label in labels))
                found[key if labels else name] += Decimal(str(sample.value))
    return found


def judge_tiers(
    proof: Proof, calls: Sequence[Row], pairs: Iterable[tuple[Row, Row]], metrics: str
) -> None:
    """Compare each tier's sums; `pairs` are calls with the log's lines, of those that are exact."""
    logged: dict[str, Counter[str]] = {tier: Counter() for tier in mix.PRICES}
    for call, line in pairs:
        usage = reported(line)
        if usage is not None:
            logged[call["tier"]] += _books(call["tier"], *used(usage))
    unlike = []
    for tier, its in logged.items():
        ours = [call for call in calls if call["tier"] == tier]
        exact = [call for call in ours if is_exact(call)]
        known, whole = _sum(exact), _sum(ours)
        counted = _counted(metrics, tier)
        proof.figures[f"{tier}: calls, tokens in and out, dollars"] = (
            f"{whole['calls']:,}, {whole['prompt']:,} and {whole['completion']:,}, "
            f"${whole['cost'] / 1e9:.9f}; of these as reported: {known['calls']:,}, "
            f"{known['prompt']:,} and {known['completion']:,}, ${known['cost'] / 1e9:.9f}"
        )
        if its != known:
            unlike.append((tier, "log", dict(its), "ledger", dict(known)))
        if counted != whole:
            unlike.append((tier, "metrics", dict(counted), "ledger", dict(whole)))
    proof.none_of(
        "by tier, metrics, ledger and logs agree to the call, the token and the nano-dollar", unlike
    )


def _books(tier: str, prompt: int, completion: int, cached: int) -> Counter[str]:
    dollars = cost(tier, prompt, completion, cached)
    return Counter(calls=1, prompt=prompt, completion=completion, cached=cached, cost=dollars)


def _sum(calls: Iterable[Row]) -> Counter[str]:
    whole: Counter[str] = Counter()
    for call in calls:
        prompt, completion, cached = booked(call)
        whole += Counter(
            calls=1, prompt=prompt, completion=completion, cached=cached, cost=call["cost"]
        )
    return whole


def _counted(metrics: str, tier: str) -> Counter[str]:
    told = samples(metrics, "type", tier=tier)
    counted = Counter(
        calls=told["attempts_total", ""],
        prompt=told["tokens_total", "input"],
        completion=told["tokens_total", "output"],
        cached=told["tokens_total", "cached_input"],
        cost=told["cost_usd_total", ""] * 10**9,
    )
    return +Counter({name: round(value) for name, value in counted.items()})
