"""What scorers that wait and candidates on trial leave in the metrics."""

from __future__ import annotations

from dataclasses import replace

from prometheus_client.parser import text_string_to_metric_families
from sample_entries import LARGE, SMALL, call, entry

from gateway.core.money import NANO, Price
from gateway.core.plan import Tier
from gateway.core.routing import Route
from gateway.core.scorer_spec import LlmSpec
from gateway.sinks.metrics import Metrics

ASKS = Route(
    "asks",
    (SMALL, LARGE),
    scorer=LlmSpec(Tier("scorer", "near", "judge", Price(9_000)), (0.5, 0.9)),
    candidate="rules",
)


def samples(metrics):
    families = text_string_to_metric_families(metrics.render().decode())
    return [sample for family in families for sample in family.samples]


def sums(metrics, name):
    return [each.value for each in samples(metrics) if each.name == f"waterfall_{name}"]


def value(metrics, name, **labels):
    found = [each for each in samples(metrics) if each.name == f"waterfall_{name}"]
    return next((each.value for each in found if each.labels == labels), None)


def test_a_scorer_s_calls_are_spent_as_score():
    metrics = Metrics([ASKS], {})
    judge = replace(call(), tier="scorer", model="judge")
    asked = entry(route="asks", scoring=(judge,), fallback="timeout", agreement="false")
    metrics.observe(asked)
    kind = {"route": "asks", "tier": "scorer", "model": "judge"}
    spent = value(metrics, "cost_usd_total", **kind, kind="score")
    assert round(spent * NANO) == judge.cost.total > 0
    assert value(metrics, "cost_usd_total", **kind, kind="input") == 0
    assert round(sum(sums(metrics, "cost_usd_total")) * NANO) == asked.cost
    tokens = value(metrics, "tokens_total", tier="scorer", model="judge", type="input")
    assert tokens == judge.usage.prompt
    assert value(metrics, "scorer_fallbacks_total", route="asks", reason="timeout") == 1
    assert value(metrics, "scorer_fallbacks_total", route="asks", reason="open") == 0
    assert value(metrics, "candidate_scores_total", route="asks", agree="false") == 1
    assert value(metrics, "candidate_scores_total", route="asks", agree="failed") == 0
    metrics.observe(entry(route="asks", fallback="of my own", agreement="maybe"))
    assert value(metrics, "scorer_fallbacks_total", route="asks", reason="other") == 1
    assert value(metrics, "candidate_scores_total", route="asks", agree="other") == 1
