"""Metrics of several processes as one: each by its rule, and no counter that falls."""

from __future__ import annotations

import math

import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sample_entries import entry, escalated

from gateway.core.plan import Tier
from gateway.core.routing import Route
from gateway.sinks.catalogue import CATALOGUE
from gateway.sinks.ledger_figures import FIGURES
from gateway.sinks.merged import counted, merged, render, snapshot
from gateway.sinks.metrics import Metrics

TIERS = (Tier("small", "near", "mini-1"), Tier("large", "far", "maxi-1"))
LABELS = ("version", "config_hash")


def metrics_of(threshold=0.8, build="one", **figures):
    route = Route("waterfall", TIERS, thresholds=(threshold,))
    return Metrics([route], dict.fromkeys(LABELS, build), lambda: figures)


def read(page):
    """Every sample of a page by its name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


def through_json(one):
    return orjson.loads(orjson.dumps(snapshot(one)))


def test_one_process_alone_is_what_it_says():
    one = metrics_of(**dict.fromkeys(FIGURES, 2))
    one.observe(escalated())
    assert read(render(merged([through_json(one)]))) == read(one.render())


def test_counters_and_histograms_are_summed():
    one, two = metrics_of(), metrics_of()
    for times, each in ((3, one), (4, two)):
        for _ in range(times):
            each.observe(escalated())
    two.observe(entry())
    both = read(render(merged([through_json(one), through_json(two)])))
    first, second = read(one.render()), read(two.render())
    summed = [
        key
        for key in first | second
        if key[0].endswith(("_total", "_bucket", "_count", "_sum")) and "created" not in key[0]
    ]
    assert len(summed) > 50
    for key in summed:
        assert both[key] == pytest.approx(first.get(key, 0) + second.get(key, 0), abs=1e-12), key
    money = [key for key in summed if "cost_usd" in key[0] and both[key]]
    assert money
    for key in money:  # to the nano-dollar
        nano = round(1e9 * first.get(key, 0)) + round(1e9 * second.get(key, 0))
        assert round(1e9 * both[key]) == nano, key


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("waterfall_in_flight_requests", 3),
        ("waterfall_ledger_spool_bytes", 700),
        ("waterfall_ledger_open_calls", 5),
        ("waterfall_ledger_oldest_unflushed_seconds", 2.5),
        ("waterfall_workers", 2),
        ("waterfall_threshold", 0.8),
    ],
)
def test_each_gauge_has_its_rule(name, expected):
    one = metrics_of(0.8, spool_bytes=300, open_calls=1, oldest_unflushed_seconds=2.5)
    two = metrics_of(0.7, spool_bytes=400, open_calls=4, oldest_unflushed_seconds=0.5)
    for each in (one, two, two):
        each.enter("waterfall")
    found = read(render(merged([through_json(one), through_json(two)])))
    assert [value for key, value in found.items() if key[0] == name] == [expected]


def test_what_is_running_is_said_once():
    one, two = metrics_of(build="new"), metrics_of(build="old")
    found = read(render(merged([through_json(one), through_json(two)])))
    (labels,) = [dict(key[1]) for key in found if key[0] == "waterfall_build_info"]
    assert labels["config_hash"] == "new"


def test_a_process_that_has_ended_still_counts_and_its_gauges_went_with_it():
    gone, here = metrics_of(0.1, "old", spool_bytes=900), metrics_of(0.8, "new", spool_bytes=1)
    gone.observe(escalated())
    gone.enter("waterfall")
    before = read(render(merged([through_json(here), through_json(gone)])))
    past = counted([counted([[], through_json(gone)]), []])
    after = read(render(merged([through_json(here), past])))
    counters = [key for key in before if key[0].endswith(("_total", "_bucket", "_count", "_sum"))]
    assert {key: after[key] for key in counters} == {key: before[key] for key in counters}
    gauges = {key[0]: value for key, value in after.items() if key not in counters}
    assert gauges["waterfall_workers"] == 1
    assert gauges["waterfall_in_flight_requests"] == 0
    assert gauges["waterfall_ledger_spool_bytes"] == 1
    assert gauges["waterfall_threshold"] == 0.8


def test_a_sum_is_the_same_in_whatever_order_it_is_made():
    def dollars(value):
        rows = [["waterfall_cost_usd_total", {"tier": "small"}, value]]
        return [["waterfall_cost_usd", "counter", "What it cost", rows]]

    first, second, third = map(dollars, (0.00033, 0.000952, 0.000357))
    before = merged([first, second, third])
    assert merged([second, third, counted([first])]) == before
    assert merged([third, counted([first, second])]) == before == dollars(0.001639)


def test_a_value_that_json_has_no_word_for():
    one = metrics_of(oldest_unflushed_seconds=math.nan)
    found = read(render(merged([through_json(one)])))
    assert math.isnan(found["waterfall_ledger_oldest_unflushed_seconds", ()])


def test_every_counter_is_summed():
    assert {metric.merge for metric in CATALOGUE if metric.kind != "gauge"} == {"sum"}
