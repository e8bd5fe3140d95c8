"""Prices in a whole gateway: which one a call goes by, when another takes over, what is refused."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, date, datetime

import pytest
import yaml
from api.serving import LARGE, LIMIT, SMALL, ask_for, config, house
from app.serving import until

import gateway.config.watch
import gateway.prices.book
from gateway.app import read_settings
from gateway.config import ConfigError
from gateway.config.watch import Watcher
from gateway.launcher import running

BOOK = f"""
version: contract
models:
  {SMALL}:
    - {{input: 1, output: 2}}
    - {{since: 2026-12-01, input: 3, output: 4, cached_input: 1}}
  {LARGE}: {{input: 10, output: 20, request: 0.5}}
"""
UNPRICED = {"tiers__small__price": None, "tiers__large__price": None}


def priced(tmp_path, text=BOOK, **changes):
    """A configuration whose prices are in a file."""
    (tmp_path / "prices.yaml").write_text(text)
    return config(**UNPRICED, prices={"book": "none", "file": "prices.yaml"}, **changes)


@pytest.fixture
def day(monkeypatch):
    """Say which day it is, at noon."""

    noon = [0.0]

    def say(*parts):
        monkeypatch.setattr(gateway.prices.book, "today", lambda: date(*parts))
        noon[0] = datetime(*parts, 12, tzinfo=UTC).timestamp()

    real = Watcher.__init__

    def hasty(self, *args, **more):
        real(self, *args, **more, interval=0.02, now=lambda: noon[0])

    monkeypatch.setattr(Watcher, "__init__", hasty)
    return say


async def test_a_call_is_written_down_with_its_price(tmp_path, day):
    day(2026, 11, 26)
    async with house(tmp_path, priced(tmp_path)) as it:
        entry = it.entry(await it.chat())
        tier = it.gateway.settings.tiers["small"]
    (call,) = entry["calls"]
    assert (call["price_version"], call["rate"]) == ("contract", "standard")
    assert call["price_hash"] == tier.price.digest == entry["attempts"][0]["price_hash"]
    assert call["input_cost"] == call["prompt_tokens"] * 1_000
    assert call["output_cost"] == call["completion_tokens"] * 2_000
    kinds = [name for name in call if name.endswith("_cost")]
    assert len(kinds) == 8
    assert sum(call[name] for name in kinds) == call["cost"] == entry["cost"]
    large = it.gateway.settings.tiers["large"].price
    assert (entry["baseline_policy"], entry["baseline_basis"]) == ("same_prompt", "estimated")
    assert entry["baseline_price_hash"] == large.digest
    tokens = (entry["baseline_prompt_tokens"], entry["baseline_completion_tokens"])
    assert tokens == (call["prompt_tokens"], call["completion_tokens"])
    expected = tokens[0] * 10_000 + tokens[1] * 20_000 + 500_000_000
    assert entry["baseline_cost"] == expected
    assert (entry["attempt_count"], entry["call_count"], entry["finish_reason"]) == (1, 1, "stop")
    assert (entry["propensity"], entry["gateway_cost"], entry["check_cost"]) == (1.0, 0, 0)


@pytest.mark.parametrize("broken", [False, True])
async def test_another_price_takes_over_on_its_day_without_a_restart(
    tmp_path, day, monkeypatch, broken
):
    """Also where the file is being edited at midnight: as soon as it is sound again."""
    monkeypatch.setattr(gateway.config.watch, "AGAIN_SECONDS", 0.0)
    day(2026, 11, 30)
    path = tmp_path / "waterfall.yaml"
    path.write_text(yaml.safe_dump(priced(tmp_path)))
    with (tmp_path / "log").open("wb") as log:
        async with running(read_settings(path, {}), path, log.fileno()) as served:
            it = served.gateway
            assert it.settings.tiers["small"].price.input == 10**9
            assert it.settings.prices_until == datetime(2026, 12, 1, tzinfo=UTC).timestamp()
            before = it.settings.digest
            if broken:
                path.write_text("{")
            day(2026, 12, 1)
            if broken:
                await asyncio.sleep(0.2)
                assert it.settings.tiers["small"].price.input == 10**9
                path.write_text(yaml.safe_dump(priced(tmp_path)))
            async with asyncio.timeout(LIMIT):
                await until(lambda: it.settings.digest != before)
            assert it.settings.tiers["small"].price.cached_input == 10**9
            assert it.settings.routes["waterfall"].tiers[0].price.input == 3 * 10**9
            assert it.settings.prices_until is None


def test_a_tier_that_nobody_has_priced_is_refused_at_the_start(tmp_path, day):
    day(2026, 11, 30)
    text = f"models: {{{SMALL}: {{since: 2026-12-01, input: 1, output: 2}}}}"
    path = tmp_path / "waterfall.yaml"
    path.write_text(yaml.safe_dump(priced(tmp_path, text)))
    with pytest.raises(ConfigError) as caught:
        read_settings(path, {})
    told = str(caught.value)
    assert f"no price is known for model '{SMALL}' before 2026-12-01: write price:" in told
    assert f"no price is known for model '{LARGE}': write price:" in told


async def test_free_is_said_and_not_warned_of(tmp_path):
    async with house(tmp_path, tiers__small__price="free") as it:
        entry = it.entry(await it.chat())
        assert it.gateway.settings.warnings == ()
        metrics = (await it.get("/metrics")).body.decode()
    assert (entry["cost"], entry["calls"][0]["price_version"]) == (0, "config")
    assert (
        f'waterfall_unpriced_requests_total{{model="{SMALL}",reason="missing_price"}} 0.0'
        in metrics
    )


async def test_a_book_s_price_of_nothing_is_warned_of(tmp_path):
    text = f"models: {{{SMALL}: {{input: 0, output: 0}}, {LARGE}: {{input: 1, output: 1}}}}"
    async with house(tmp_path, priced(tmp_path, text)) as it:
        (warning,) = it.gateway.settings.warnings
    assert "tiers.small.price: counted as free" in warning


@pytest.mark.parametrize("prompt", ["same", "bare"])
async def test_the_baseline_goes_by_its_policy_and_length(tmp_path, prompt):
    (tmp_path / "long.yaml").write_text(f"version: 1\nbefore: {'x' * 400}\n")
    baseline = {"prompt": prompt, "reply": {"small": 3}}
    changes = {"tiers__large__recipe": "long.yaml", "routes__waterfall__baseline": baseline}
    async with house(tmp_path, **changes) as it:
        entry = it.entry(await it.chat())
    call = entry["calls"][0]
    more = 100 if prompt == "same" else 0
    assert entry["baseline_policy"] == f"{prompt}_prompt"
    assert entry["baseline_prompt_tokens"] == call["prompt_tokens"] + more
    assert entry["baseline_completion_tokens"] == 3 * call["completion_tokens"]
    tokens = (entry["baseline_prompt_tokens"], entry["baseline_completion_tokens"])
    assert entry["baseline_cost"] == tokens[0] * 10_000 + tokens[1] * 20_000


async def test_the_gateway_s_own_cost_stands_beside_the_calls(tmp_path):
    async with house(tmp_path, prices__gateway_cost=0.00002) as it:
        before = await costs(it)
        entry = it.entry(await it.chat())
        after = await costs(it)
    assert entry["gateway_cost"] == 20_000
    assert entry["cost"] == entry["calls"][0]["cost"]
    assert (before["gateway"], after["gateway"]) == (0, 20_000)
    assert sum(after.values()) == entry["cost"] + entry["gateway_cost"]


async def costs(it):
    """What /metrics says was spent, by kind, in nano-dollars."""
    page = (await it.get("/metrics")).body.decode()
    found = re.findall(r'^waterfall_cost_usd_total\{kind="(\w+)".*\} (\S+)$', page, re.MULTILINE)
    told = dict.fromkeys((kind for kind, _ in found), 0)
    for kind, dollars in found:
        told[kind] += round(float(dollars) * 1e9)
    return told


async def test_what_was_drawn_has_its_chance_beside_it(tmp_path):
    async with house(tmp_path, routes__waterfall__mode={"enforce": "30%"}) as it:
        told = {}
        for number in range(20):
            entry = it.entry(await it.post(ask_for(), x_waterfall_session=f"s-{number}"))
            told.setdefault(entry["mode"], set()).add(entry["propensity"])
        own = it.entry(await it.post(ask_for(), x_waterfall_mode="enforce"))
    assert told == {"enforce": {0.3}, "observe": {0.7}}
    assert own["propensity"] == 1.0
