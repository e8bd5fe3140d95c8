from __future__ import annotations

import dataclasses
import random
import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from sample_entries import (
    BASELINE,
    LARGE,
    ROUTE,
    SMALL,
    attempt,
    call,
    cancelled,
    entry,
    escalated,
    failed,
    fallen_through,
)

from gateway.core import errors
from gateway.core.baseline import Baseline
from gateway.core.difficulty import Difficulty
from gateway.core.money import NANO, Price, Usage
from gateway.core.outcome import Outcome
from gateway.core.plan import Tier
from gateway.core.routing import Route
from gateway.sinks.catalogue import FIRST_TOKEN, OVERHEAD
from gateway.sinks.ledger_figures import FIGURES
from gateway.sinks.metrics import Metrics
from gateway.sinks.names import FAILURES
from gateway.store import read
from gateway.store.store import State, open_store

BUILD = {"version": "9.9", "config_hash": "c0ffee"}


@pytest.fixture
def metrics():
    return Metrics([ROUTE], BUILD)


def samples(metrics):
    """Every sample by its name and labels, as a scrape would read it."""
    return {
        (sample.name.removeprefix("waterfall_"), *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


def value(metrics, name, **labels):
    return samples(metrics).get((name, *sorted(labels.items())))


def total(metrics, name):
    return sum(value for (found, *_), value in samples(metrics).items() if found == name)


def nano_total(metrics, name):
    found = [value for (each, *_), value in samples(metrics).items() if each == name]
    return sum(int(Decimal(repr(value)) * NANO) for value in found)


def test_a_plain_request_counts_everywhere(metrics):
    metrics.observe(entry())
    route = {"route": "waterfall"}
    tier = {"tier": "small", "model": "mini-1"}
    assert value(metrics, "requests_total", **route, tier="small", outcome="ok") == 1
    assert value(metrics, "attempts_total", **tier, outcome="ok") == 1
    assert value(metrics, "decisions_total", **route, start_tier="small", reason="score") == 1
    assert value(metrics, "verdicts_total", **route, tier="small", verdict="accept") == 1
    assert value(metrics, "tokens_total", **tier, type="input") == 101
    assert value(metrics, "tokens_total", **tier, type="cached_input") == 17
    assert value(metrics, "tokens_total", **tier, type="output") == 31
    assert value(metrics, "difficulty_scores_total", **route, bin="4") == 1
    assert value(metrics, "baseline_cost_usd_total", **route, basis="estimated") == 0.123456789
    plain = {**route, "tier": "small", "stream": "false"}
    assert value(metrics, "time_to_first_token_seconds_sum", **plain) == 0.5
    assert value(metrics, "gateway_overhead_seconds_sum", **route) == 0.25
    assert value(metrics, "routing_decision_seconds_sum", **route) == 0.0003
    assert value(metrics, "upstream_duration_seconds_count", **tier, outcome="ok") == 1
    assert value(metrics, "request_duration_seconds_count", **plain) == 1
    assert value(metrics, "request_duration_seconds_bucket", **plain, le="1.28") == 0
    assert value(metrics, "request_duration_seconds_bucket", **plain, le="2.56") == 1
    assert value(metrics, "request_duration_seconds_bucket", **plain, le="+Inf") == 1


def test_an_escalation_counts_its_cause_and_what_it_threw_away(metrics):
    metrics.observe(deferred := escalated(baseline=dataclasses.replace(BASELINE, basis="measured")))
    metrics.observe(fell := fallen_through())
    ends = {"route": "waterfall", "from_tier": "small", "to_tier": "large"}
    found = {"cause": "deferral", "reason": "low_confidence"}
    assert value(metrics, "escalations_total", **ends, **found) == 1
    found = {"cause": "fall_through", "reason": "timeout"}
    assert value(metrics, "escalations_total", **ends, **found) == 1
    for reason, each in {"low_confidence": deferred, "timeout": fell}.items():
        lost = value(metrics, "discarded_cost_usd_total", route="waterfall", reason=reason)
        assert round(lost * NANO) == each.discarded
    assert value(metrics, "checks_total", route="waterfall", check="judge", result="fail") == 1
    assert value(metrics, "verdicts_total", route="waterfall", tier="small", verdict="defer") == 1
    failure = {"tier": "small", "model": "mini-1", "error_type": "timeout"}
    assert value(metrics, "upstream_errors_total", **failure) == 1
    assert value(metrics, "unpriced_requests_total", model="mini-1", reason="estimated_tokens") == 1
    assert value(metrics, "baseline_cost_usd_total", route="waterfall", basis="measured") > 0


def test_endings_have_their_words(metrics):
    metrics.observe(cancelled())
    metrics.observe(failed())
    metrics.observe(entry(Outcome(error=errors.BadRequest("no"))))
    for outcome in ("cancelled", "timeout", "client_error"):
        found = {"route": "waterfall", "tier": "none", "outcome": outcome}
        assert value(metrics, "requests_total", **found) == 1
    assert value(metrics, "discarded_cost_usd_total", route="waterfall", reason="cancelled") > 0
    assert value(metrics, "attempts_total", tier="small", model="mini-1", outcome="cancelled") == 1


def test_money_is_exact_and_equals_the_ledger_s(metrics, tmp_path):
    chance = random.Random(20_261_122)
    makers = (entry, escalated, fallen_through, cancelled, failed)
    store = open_store(tmp_path / "l.db")
    entries = []
    for number in range(300):
        usage = Usage(chance.randrange(50_000), chance.randrange(5_000), chance.randrange(400))
        tier = chance.choice((SMALL, LARGE))
        served = attempt(tier, calls=(call(tier, usage=usage),))
        against = dataclasses.replace(BASELINE, cost=chance.randrange(10**9))
        odd = entry(Outcome(attempts=(served,), served=served), baseline=against)
        entries.append(odd if number % 2 else chance.choice(makers)())
    for each in entries:
        metrics.observe(each)
        store.journal.append(each, ())
    store.flush()
    ledger = read.summary(store.path)
    store.close()
    assert nano_total(metrics, "cost_usd_total") == ledger.cost > 0
    assert nano_total(metrics, "baseline_cost_usd_total") == ledger.baseline_cost > 0
    assert nano_total(metrics, "discarded_cost_usd_total") == ledger.discarded_cost > 0
    assert total(metrics, "requests_total") == ledger.requests == 300
    assert total(metrics, "attempts_total") == ledger.calls
    tokens = {
        name: sum(v for key, v in samples(metrics).items() if ("type", name) in key)
        for name in ("input", "output")
    }
    assert tokens == {"input": ledger.prompt_tokens, "output": ledger.completion_tokens}


def test_many_small_costs_do_not_drift(metrics):
    cheap = Tier("small", "near", "mini-1", Price(input=1_000_000, version="x"))
    served = attempt(cheap, calls=(call(cheap, usage=Usage(1, 0)),))
    each = entry(Outcome(attempts=(served,), served=served))
    assert each.cost == 1
    for _ in range(12_345):
        metrics.observe(each)
    labels = {"route": "waterfall", "tier": "small", "model": "mini-1", "kind": "input"}
    assert value(metrics, "cost_usd_total", **labels) == 12_345 / NANO


def test_ten_thousand_names_mint_no_series(metrics):
    for make in (entry, escalated, fallen_through, failed, cancelled):
        metrics.observe(make())

    def strange(number):
        name = f"x{number}"
        tier = Tier(name, name, name)
        odd = dataclasses.replace(call(tier, "failed", error=name), status=name)
        failure = errors.UpstreamDown("?", kind=name)
        draft = attempt(tier, None, calls=(odd, call(tier)), failure=failure)
        served = attempt(tier, dataclasses.replace(attempt().verdict, reason=name))
        outcome = Outcome(attempts=(draft, served), served=served)
        words = dict.fromkeys(("route", "start_tier", "start_reason"), name)
        against = Baseline(name)
        return entry(
            outcome, name, **words, baseline=against, difficulty=Difficulty(0.95, scorer=name)
        )

    metrics.observe(strange(0))
    before = set(samples(metrics))
    for number in range(1, 10_001):
        metrics.observe(strange(number))
        metrics.enter(f"y{number}")
    metrics.leave("z")
    grown = set(samples(metrics)) - before
    assert grown == {("in_flight_requests", ("route", "other"))}
    assert value(metrics, "in_flight_requests", route="other") == 9_999
    assert not re.search(r"[xyz]\d", metrics.render().decode())


def test_counters_that_alarm_begin_at_zero(metrics):
    start = samples(metrics)
    assert set(start.values()) == {0.0, 0.8, 1.0}
    for name in (
        "requests_total",
        "cost_usd_total",
        "escalations_total",
        "unpriced_requests_total",
    ):
        assert any(key[0] == name for key in start), name


def test_a_reload_keeps_the_counts_and_knows_the_new_names(metrics):
    metrics.observe(entry())
    wide = Tier("huge", "far", "giga-1", Price(version="x"))
    served = attempt(wide)
    later = entry(Outcome(attempts=(served,), served=served), route="second")
    metrics.observe(later)
    metrics.rebuild([Route("second", (SMALL, wide), thresholds=(0.25,))], BUILD | {"version": "10"})
    metrics.reloaded(ok=True)
    metrics.reloaded(ok=False)
    metrics.observe(later)
    assert value(metrics, "requests_total", route="waterfall", tier="small", outcome="ok") == 1
    assert value(metrics, "requests_total", route="other", tier="other", outcome="ok") == 1
    assert value(metrics, "attempts_total", tier="huge", model="giga-1", outcome="ok") == 1
    assert value(metrics, "requests_total", route="second", tier="huge", outcome="ok") == 1
    assert value(metrics, "threshold", route="second") == 0.25
    assert value(metrics, "threshold", route="waterfall") is None
    assert value(metrics, "config_reloads_total", result="ok") == 1
    assert value(metrics, "config_reloads_total", result="failed") == 1
    (build,) = [key for key in samples(metrics) if key[0] == "build_info"]
    assert ("version", "10") in build


def test_in_flight_returns_to_zero(metrics):
    metrics.enter("waterfall")
    assert value(metrics, "in_flight_requests", route="waterfall") == 1
    metrics.leave("waterfall")
    assert value(metrics, "in_flight_requests", route="waterfall") == 0


def test_a_model_without_a_price_is_told(metrics):
    unpriced = Tier("small", "near", "mini-1")
    served = attempt(unpriced)
    metrics.observe(entry(Outcome(attempts=(served,), served=served)))
    assert value(metrics, "unpriced_requests_total", model="mini-1", reason="missing_price") == 1


def test_the_ledger_s_figures_are_read_at_each_scrape():
    figures = {name: float(number) for number, name in enumerate(FIGURES, 100)}
    found = samples(Metrics([ROUTE], BUILD, lambda: figures, database="postgresql"))
    told = {
        name: v
        for name, v in found.items()
        if name[0].startswith(("ledger_", "telemetry_", "shared_"))
        and not name[0].startswith("ledger_flush_")
    }
    assert sorted(told.values()) == sorted(figures.values())
    rows = [labels for name, *labels in told if name == "ledger_rows_total"]
    assert len(rows) == 3
    assert all(("sink", "postgresql") in labels for labels in rows), rows


def test_the_threshold_in_force_is_the_one_that_is_told():
    live = {"threshold": {("waterfall",): 0.73}}
    metrics = Metrics([ROUTE], BUILD, dict, lambda: live)
    assert value(metrics, "threshold", route="waterfall") == 0.73
    live.clear()
    assert value(metrics, "threshold", route="waterfall") == ROUTE.thresholds[0]


def test_every_figure_of_the_store_has_a_metric():
    fields = {field.name for field in dataclasses.fields(State)}
    told = {"dropped_lines", "dropped_traces", "refused_traces", "refused_metrics"}
    told |= {"shared_up", "shared_trips", "shared_failures"}
    assert set(FIGURES) == fields | told


@pytest.mark.parametrize(
    ("difficulty", "step"), [(0.0, "0"), (0.0999, "0"), (0.1, "1"), (1.0, "9")]
)
def test_difficulty_falls_into_tenths(metrics, difficulty, step):
    metrics.observe(entry(difficulty=Difficulty(difficulty)))
    assert value(metrics, "difficulty_scores_total", route="waterfall", bin=step) == 1


def test_every_failure_the_core_knows_has_its_word():
    kinds = {
        each.kind
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, errors.UpstreamError)
    }
    assert kinds | {"server"} == set(FAILURES)


def test_objectives_lie_on_a_boundary():
    assert 2.56 in FIRST_TOKEN
    assert 0.01 in OVERHEAD


@given(st.lists(st.floats(0, 1000), max_size=50))
def test_a_histogram_counts_each_once(seconds):
    metrics = Metrics([ROUTE], BUILD)
    for each in seconds:
        timed = entry()
        timing = dataclasses.replace(timed.timing, total=each)
        metrics.observe(dataclasses.replace(timed, timing=timing))
    found = samples(metrics)
    name = "request_duration_seconds_bucket"
    buckets = [(key, count) for key, count in found.items() if key[0] == name]
    for key, count in buckets:
        bound = float(dict(key[1:])["le"])
        assert count == sum(each <= bound for each in seconds)
    assert bool(buckets) == bool(seconds)
