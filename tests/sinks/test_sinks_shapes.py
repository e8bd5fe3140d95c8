"""How large and quick requests are, how late the loop is, how old the prices are."""

from __future__ import annotations

import asyncio
import dataclasses
import time

import pytest
from api.serving import config
from app.serving import listening
from prometheus_client.parser import text_string_to_metric_families
from sample_entries import ROUTE, SMALL, attempt, call, cancelled, entry, escalated

from gateway.core.money import NANO, Usage
from gateway.core.outcome import Outcome
from gateway.launcher import lag
from gateway.sinks.catalogue import COSTS, SIZES
from gateway.sinks.metrics import Metrics

HELD = {"tier": "small", "model": "mini-1"}


@pytest.fixture
def metrics():
    return Metrics([ROUTE], {})


def value(page, name, **labels):
    for family in text_string_to_metric_families(page.decode()):
        for sample in family.samples:
            if sample.name == f"waterfall_{name}" and sample.labels == labels:
                return sample.value
    return None


def streamed(made):
    return dataclasses.replace(made, origin=dataclasses.replace(made.origin, stream=True))


def test_a_request_s_cost_is_the_whole_one_and_its_sizes_the_served_call_s(metrics):
    made = escalated()
    metrics.observe(made)
    page = metrics.render()
    assert value(page, "request_cost_usd_sum", tier="large") == made.cost / NANO
    assert value(page, "request_input_tokens_sum", tier="large") == 101
    assert value(page, "request_output_tokens_sum", tier="large") == 31
    assert value(page, "request_output_tokens_bucket", tier="large", le="64.0") == 1
    assert value(page, "request_output_tokens_bucket", tier="large", le="16.0") == 0


def test_what_was_not_served_has_a_cost_and_no_size(metrics):
    metrics.observe(cancelled())
    page = metrics.render()
    assert value(page, "request_cost_usd_count", tier="none") == 1
    assert value(page, "request_input_tokens_count", tier="none") is None


def test_the_time_between_tokens_is_a_mean_once_for_each_streamed_call(metrics):
    metrics.observe(streamed(entry()))
    page = metrics.render()
    assert value(page, "upstream_time_to_first_token_seconds_sum", **HELD) == 0.125
    assert value(page, "inter_token_seconds_sum", **HELD) == (1.5 - 0.125) / 30
    metrics.observe(entry())
    assert value(metrics.render(), "inter_token_seconds_count", **HELD) == 1, (
        "plain: no tokens seen"
    )


def test_one_token_has_nothing_between_and_a_broken_call_says_nothing(metrics):
    single = attempt(calls=(call(SMALL, usage=Usage(5, 1)),))
    broken = attempt(calls=(call(SMALL, "failed", error="timeout"),))
    for each in (single, broken):
        metrics.observe(streamed(entry(Outcome(attempts=(each,), served=single))))
    page = metrics.render()
    assert value(page, "inter_token_seconds_count", **HELD) is None
    assert value(page, "upstream_time_to_first_token_seconds_count", **HELD) == 1


def test_boundaries_rise():
    for bounds in (COSTS, SIZES):
        assert list(bounds) == sorted(set(bounds))


async def test_a_blocked_loop_is_seen(monkeypatch):
    monkeypatch.setattr(lag, "EVERY", 0.01)
    late, tasks = [], []
    async with lag.watching_lag(late.append, tasks=tasks.append):
        await asyncio.sleep(0.05)
        more = [asyncio.create_task(asyncio.sleep(0.2)) for _ in range(7)]
        await asyncio.sleep(0.05)
        time.sleep(0.3)  # noqa: ASYNC251 (it is the point)
        await asyncio.sleep(0.05)
    assert max(late) > 0.25
    assert min(late) >= 0
    assert max(tasks) - min(tasks) == len(more)


async def test_a_gateway_watches_its_loop_and_says_how_old_its_prices_are(tmp_path, monkeypatch):
    monkeypatch.setattr(lag, "EVERY", 0.01)
    (tmp_path / "prices.yaml").write_text(
        "version: mine\neffective: 2026-02-03\nmodels: {s-model: {input: 1, output: 2}}\n"
    )
    (tmp_path / "later.yaml").write_text(
        "version: mine\nmodels: {s-model: {input: 1, output: 2}}\n"
    )
    at = {}
    for name in ("prices.yaml", "later.yaml"):
        document = config(prices={"file": name}, tiers__small__price=None)
        async with listening(tmp_path, document) as served:
            await asyncio.sleep(0.1)
            page = served.gateway.metrics.render()
            assert value(page, "event_loop_lag_seconds_count") > 0
            at[name] = value(page, "price_book_timestamp_seconds")
    assert at == {"prices.yaml": 1_770_076_800.0, "later.yaml": None}
