"""Kinds of cost by name, and calls whose cost is in doubt."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sample_entries import ROUTE, attempt, call, entry

from gateway.core.money import NANO, Usage
from gateway.core.outcome import Outcome
from gateway.sinks.metrics import Metrics


@pytest.fixture
def metrics():
    return Metrics([ROUTE], {})


def values(metrics, name, **labels):
    return [
        sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
        if sample.name == f"waterfall_{name}" and labels.items() <= sample.labels.items()
    ]


def value(metrics, name, **labels):
    (found,) = values(metrics, name, **labels)
    return found


def nano_total(metrics, name):
    return round(sum(values(metrics, name)) * NANO)


def test_a_tier_of_service_without_a_price_is_counted(metrics):
    for service, count in {"": 0, "default": 0, "scale": 1}.items():
        served = attempt(calls=(call(usage=Usage(9, 9, service=service)),))
        metrics.observe(entry(Outcome((served,), served)))
        found = {"model": "mini-1", "reason": "missing_rate"}
        assert value(metrics, "unpriced_requests_total", **found) == count


def test_every_kind_of_cost_has_its_name(metrics):
    usage = Usage(
        *(90, 40, 10, 10), reasoning=9, audio_input=5, audio_output=5, image_input=5, image_output=5
    )
    served = attempt(calls=(made := call(usage=usage),))
    metrics.observe(entry(Outcome((served,), served)))
    where = {"route": "waterfall", "tier": "small", "model": "mini-1"}
    for name, kind in {
        "reasoning": "reasoning",
        "audio": "audio",
        "cache_read": "cached_input",
    }.items():
        told = value(metrics, "cost_usd_total", **where, kind=name)
        assert round(told * NANO) == getattr(made.cost, kind) > 0
    assert nano_total(metrics, "cost_usd_total") == made.cost.total
