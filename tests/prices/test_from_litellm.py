"""Prices out of litellm's file: what is taken over, what is left out, and what is written."""

from __future__ import annotations

import json
from datetime import date

import pytest

from gateway.config import ConfigError
from gateway.core.money import Usage
from gateway.prices import from_litellm
from gateway.prices.book import read_timelines
from gateway.prices.from_litellm import find_file, read_prices
from gateway.prices.imported import HEADER, NotOurs, merge

URL = "https://prices.example.com/models"
CHAT = {"mode": "chat", "source": URL, "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}
ENTRIES = {
    "sample_spec": CHAT,
    "plain": CHAT,
    "rich": {
        **CHAT,
        "cache_read_input_token_cost": 1.25e-7,
        "cache_creation_input_token_cost": 1.25e-6,
        "cache_creation_input_token_cost_above_1hr": 2e-6,
        "output_cost_per_reasoning_token": 3e-6,
        "input_cost_per_audio_token": 32e-6,
        "output_cost_per_audio_token": 64e-6,
        "input_cost_per_image_token": 5e-6,
        "output_cost_per_image_token": 30e-6,
        "input_cost_per_request": 0.005,
        "input_cost_per_token_above_200k_tokens": 2e-6,
        "output_cost_per_token_above_200k_tokens": 3e-6,
        "cache_creation_input_token_cost_above_1hr_above_200k_tokens": 4e-6,
        "input_cost_per_token_flex": 5e-7,
        "output_cost_per_token_flex": 1e-6,
        "input_cost_per_token_batches": "5e-07",
        "output_cost_per_token_batches": 1e-6,
        "input_cost_per_token_above_200k_tokens_batches": 1e-6,
    },
    "grok": {
        **CHAT,
        "litellm_provider": "xai",
        "source": "https://prices.example.com/xai",
        "input_cost_per_token_above_128k_tokens": 2e-6,
    },
    "tiered": {
        "mode": "chat",
        "source": "https://elsewhere.example.com/",
        "tiered_pricing": [
            {"range": [256e3, 1e6], "input_cost_per_token": 3e-6, "output_cost_per_token": 4e-6},
            {"range": [0, 256e3], "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6},
        ],
    },
    "tiny": {**CHAT, "input_cost_per_token": 1e-11},
    "zero": {**CHAT, "input_cost_per_token": 0, "output_cost_per_token": 0.0},
    "nowhere": {**CHAT, "source": None},
    "hearsay": {**CHAT, "source": "somebody said so"},
    "nightly": {**CHAT, "off_peak_pricing": {"hours": "0-6"}},
    "picture": {**CHAT, "mode": "image_generation"},
    "by-the-second": {"mode": "chat", "source": URL, "input_cost_per_second": 0.1},
    "wild": {**CHAT, "input_cost_per_token": True},
    "wilder": {**CHAT, "input_cost_per_token": "a lot"},
}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "prices.json"
    path.write_text(json.dumps(ENTRIES))
    return path


def book(text):
    return {model: line[-1].price for model, line in read_timelines(text, "p.yaml").items()}


@pytest.fixture
def target(tmp_path):
    return tmp_path / "litellm.yaml"


def test_who_is_left_out_is_told_why(file):
    found = read_prices(file, ["*"])
    assert set(found.prices) == {"plain", "rich", "grok", "tiered", "tiny"}
    assert found.left_out == {
        "priced at zero": ("zero",),
        "no source": ("nowhere", "hearsay"),
        "priced by the hour of the day": ("nightly",),
        "no chat model": ("picture",),
        "not priced by tokens of input and output": ("by-the-second", "wild", "wilder"),
    }
    some = read_prices(file, ["t*", "zero"])
    assert (set(some.prices), some.left_out) == ({"tiered", "tiny"}, {"priced at zero": ("zero",)})


def test_every_rate_is_taken_over(file, target):
    prices = book(merge(target, read_prices(file, ["*"]), date(2026, 11, 26)).text)
    rich = prices["rich"]
    assert rich.figures() == {
        "input": 10**9,
        "output": 2 * 10**9,
        "cached_input": 125 * 10**6,
        "request": 5 * 10**6,
        "cache_write": 1_250 * 10**6,
        "cache_write_1h": 2 * 10**9,
        "reasoning": 3 * 10**9,
        "audio_input": 32 * 10**9,
        "audio_output": 64 * 10**9,
        "image_input": 5 * 10**9,
        "image_output": 30 * 10**9,
        "above": rich.figures()["above"],
        "services": rich.figures()["services"],
    }
    long = rich.rates(Usage(200_001))
    assert (long.input, long.output, long.cache_write_1h) == (2 * 10**9, 3 * 10**9, 4 * 10**9)
    flex = rich.rates(Usage(9, service="flex"))
    assert (flex.input, flex.output, flex.reasoning) == (5 * 10**8, 10**9, 10**9)
    batch = rich.rates(Usage(200_001, service="batch"))
    assert (batch.input, batch.output) == (10**9, 3 * 10**9)
    assert rich.version == "litellm 2026-11-26"
    assert [prices["grok"].rates(Usage(n)).input for n in (127_999, 128_000)] == [10**9, 2 * 10**9]
    tiers = [prices["tiered"].rates(Usage(n)).output for n in (256_000, 256_001)]
    assert tiers == [2 * 10**9, 4 * 10**9]
    assert prices["tiny"].input == 10**4


def test_sources_go_along(file, target):
    lines = read_timelines(merge(target, read_prices(file, ["*"]), date(2026, 11, 26)).text, "p")
    assert {model: line[0].source for model, line in lines.items()} == {
        "plain": URL,
        "rich": URL,
        "tiny": URL,
        "grok": "https://prices.example.com/xai",
        "tiered": "https://elsewhere.example.com/",
    }


def kinds(draft):
    return {change.model: change.kind for change in draft.changes}


def test_a_second_import_tells_what_has_changed_and_dates_it(file, target):
    first = merge(target, read_prices(file, ["*"]), date(2026, 11, 1))
    assert set(kinds(first).values()) == {"new"}
    target.write_text(first.text)
    assert not merge(target, read_prices(file, ["*"]), date(2026, 11, 2)).differs

    changed = {**ENTRIES, "plain": {**CHAT, "input_cost_per_token": 3e-6}}
    changed["fresh"] = {**CHAT, "source": "https://third.example.com"}
    del changed["grok"]
    file.write_text(json.dumps(changed))
    second = merge(target, read_prices(file, ["plain", "grok", "fresh"]), date(2026, 12, 1))
    assert kinds(second) == {"plain": "changed", "fresh": "new", "grok": "gone"}
    target.write_text(second.text)
    lines = read_timelines(second.text, "p")
    assert [(each.since, each.price.input) for each in lines["plain"]] == [
        (date.min, 10**9),
        (date(2026, 12, 1), 3 * 10**9),
    ]
    assert set(lines) == {"plain", "rich", "grok", "tiered", "tiny", "fresh"}
    assert lines["rich"][0].price.digest == book(first.text)["rich"].digest

    file.write_text(json.dumps({"plain": {**CHAT, "input_cost_per_token": 4e-6}}))
    third = merge(target, read_prices(file, ["plain"]), date(2026, 12, 1))
    told = [each.price.input for each in read_timelines(third.text, "p")["plain"]]
    assert told == [10**9, 4 * 10**9]


def test_what_is_to_hold_from_a_later_day_on_stays_and_is_shown(file, target):
    def found(price, since):
        file.write_text(json.dumps({"plain": {**CHAT, "input_cost_per_token": price}}))
        draft = merge(target, read_prices(file, ["plain"]), since)
        target.write_text(draft.text)
        lines = read_timelines(draft.text, "p")["plain"]
        return draft, [(each.since, each.price.input // 10**9) for each in lines]

    next_year, now, past = date(2027, 1, 1), date(2026, 11, 26), date(2026, 11, 1)
    found(1e-6, now)
    found(2e-6, next_year)
    draft, lines = found(3e-6, now)
    assert lines == [(date.min, 1), (now, 3), (next_year, 2)]
    assert [(c.kind, c.since) for c in draft.changes] == [("changed", None), ("later", next_year)]
    later = draft.changes[1]
    assert (later.before.input, later.after.input) == (10**9, 2 * 10**9)
    draft, lines = found(4e-6, past)  # what was dated back changes nothing of what came after
    assert lines == [(date.min, 1), (past, 4), (now, 3), (next_year, 2)]
    assert [c.since for c in draft.changes if c.kind == "later"] == [now, next_year]
    target.write_text(
        draft.text.replace(
            "    - {source: prices-example-com, input: 1.0,",
            "    - {since: 2026-06-01, source: prices-example-com, input: 1.0,",
        )
    )
    _, lines = found(9e-6, date(2026, 1, 1))
    assert lines[:2] == [(date.min, 9), (date(2026, 6, 1), 1)]


def test_somebody_s_own_file_is_not_written_over(file, target):
    target.write_text("models: {plain: {input: 1, output: 2}}\n")
    with pytest.raises(NotOurs, match="name another file with --to"):
        merge(target, read_prices(file, ["*"]), date(2026, 11, 1))
    target.write_text(f"{HEADER}\nmodels: {{plain: {{input: dear}}}}\n")
    with pytest.raises(ConfigError, match="must be an amount"):
        merge(target, read_prices(file, ["*"]), date(2026, 11, 1))


@pytest.mark.parametrize("content", ["[]", '{"a": 3}', "{"])
def test_what_is_no_price_file_of_litellm_s(file, content):
    file.write_text(content)
    with pytest.raises(ValueError):
        read_prices(file, ["*"])


def test_the_installed_one_is_found_and_not_imported(tmp_path, monkeypatch):
    package = tmp_path / "litellm"
    package.mkdir()
    (package / "__init__.py").write_text("raise AssertionError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    assert find_file() is None
    there = package / from_litellm.FILE
    there.write_text(json.dumps(ENTRIES))
    assert find_file() == there
    assert read_prices(there, ["plain"]).version == "litellm"
    about = tmp_path / "litellm-1.2.3.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: litellm\nVersion: 1.2.3\n")
    assert read_prices(there, ["plain"]).version == "litellm 1.2.3"
