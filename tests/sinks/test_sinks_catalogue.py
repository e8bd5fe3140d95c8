"""The catalogue, what is exported and the page that describes it are one list."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from sample_entries import ROUTE, entry, escalated, examined, fallen_through, said_again

from gateway.core.shadow import Shadow
from gateway.sinks.catalogue import CATALOGUE, TUNING
from gateway.sinks.catalogue_upstreams import DEPLOYMENTS
from gateway.sinks.ledger_figures import FIGURES
from gateway.sinks.metrics import Metrics

DOCS = Path(__file__).parents[2] / "docs"
BUILD = {"version": "9.9", "config_hash": "c0ffee"}


def test_everything_exported_is_in_the_catalogue():
    names = ("a",) * 2
    tuning = {each.name: {names[: len(each.labels)]: 1.0} for each in (*TUNING, *DEPLOYMENTS)}
    metrics = Metrics([ROUTE], BUILD, lambda: dict.fromkeys(FIGURES, 1), lambda: tuning, "sqlite")
    for make in (entry, escalated, fallen_through, examined):
        metrics.observe(make(agreement="true", fallback="timeout"))
    streamed = entry()
    metrics.observe(replace(streamed, origin=replace(streamed.origin, stream=True)))
    metrics.observe_shadow(Shadow("entry-1", "waterfall"))
    metrics.lagged(0.01)
    metrics.limited("key", "rpm", "reject")
    metrics.observe(said_again())
    metrics.resilience.waited("a", "a", 0.01)
    metrics.rebuild([ROUTE], BUILD, priced_at=1.0)
    families = {
        family.name: family for family in text_string_to_metric_families(metrics.render().decode())
    }
    for metric in CATALOGUE:
        family = families.pop(metric.full_name.removesuffix("_total"))
        labels = set().union(*(sample.labels for sample in family.samples)) - {"le"}
        assert (family.type, labels) == (metric.kind, set(metric.labels)), metric.name
    assert families == {}


def test_the_page_of_metrics_is_the_catalogue():
    lines = (DOCS / "metrics.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| `waterfall_")]
    assert rows == [
        f"| `{metric.full_name}` | {metric.kind} | {', '.join(metric.labels)} | {metric.help} |"
        for metric in CATALOGUE
    ]
