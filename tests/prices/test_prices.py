"""Prices come from a dated book, and the user's own file wins."""

from __future__ import annotations

import re

import pytest

from gateway.config import ConfigError, PriceSettings, parse
from gateway.config.text import read
from gateway.core.money import Price, Usage, dollars
from gateway.prices import BUILTIN, open_book, read_book

BOOK = open_book(PriceSettings())


def test_the_builtin_book():
    assert BOOK["gpt-5-mini"] == Price(
        input=250_000_000, cached_input=25_000_000, output=2_000_000_000
    ).sealed("builtin 2026-11-22")
    assert len(BOOK) >= 15


def test_no_price_is_nothing_and_reading_is_never_dearer_than_writing():
    silent = {model for model, price in BOOK.items() if not price.output}
    assert silent == {"text-embedding-3-small", "text-embedding-3-large", "omni-moderation-latest"}
    for model, price in BOOK.items():
        if model in silent:
            continue
        assert 0 < price.cached_input <= price.input < price.output, model
        assert re.fullmatch(r"builtin \d{4}-\d\d-\d\d", price.version)


def test_every_price_has_its_source():
    data = read(BUILTIN.read_bytes(), BUILTIN.name).data
    assert {entry["source"] for entry in data["models"].values()} == set(data["sources"])


def test_a_call_s_cost_to_the_nano_dollar():
    cost = BOOK["claude-haiku-4-5"].cost(
        Usage(prompt=1_000, cached=600, cache_write=300, completion=7)
    )
    assert dollars(cost.total) == "0.00057"  # 100 x 1.00 + 600 x 0.10 + 300 x 1.25 + 7 x 5.00


def test_the_user_s_own_file_wins(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("models:\n  gpt-5: {input: 1, output: 2}\n  own: {input: 3, output: 4}\n")
    book = open_book(PriceSettings("builtin", (path,)))
    assert book["gpt-5"] == Price(input=10**9, output=2 * 10**9).sealed("mine.yaml")
    assert (book["own"].input, book["gpt-5-mini"]) == (3 * 10**9, BOOK["gpt-5-mini"])
    assert set(open_book(PriceSettings("none", (path,)))) == {"gpt-5", "own"}
    assert open_book(PriceSettings("none")) == {}


def test_a_book_cannot_be_changed():
    with pytest.raises(TypeError):
        BOOK["gpt-5"] = Price()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models: {a: {input: 1}}", "p.yaml:1: models.a.output: is required"),
        (
            "models: {a: {input: free, output: 1}}",
            "p.yaml:1: models.a.input: must be an amount in US dollars, such as 0.25 (got 'free')",
        ),
        (
            "models: {a: {input: 1, output: 1, outptu: 1}}",
            "p.yaml:1: models.a.outptu: unknown key; did you mean 'output'?",
        ),
        (
            "sources: {acme: https://a}\nmodels: {a: {input: 1, output: 1, source: acne}}",
            "p.yaml:2: models.a.source: no source 'acne'; did you mean 'acme'?",
        ),
        (
            "sources: {acme: 'http://a'}\nmodels: {}",
            "p.yaml:1: sources.acme: must be an https:// URL (got 'http://a')",
        ),
        (
            "effective: yesterday\nmodels: {}",
            "p.yaml:1: effective: must be a date such as 2026-11-22 (got 'yesterday')",
        ),
        ("model: {}", "p.yaml:1: models: is required"),
    ],
)
def test_a_wrong_price_file(text, message):
    with pytest.raises(ConfigError) as caught:
        read_book(text, "p.yaml")
    assert message in str(caught.value).splitlines()


def test_a_configuration_s_tiers_get_the_book_s_prices():
    text = """
upstreams: {a: {base_url: "https://a/v1"}}
tiers:
  small: {upstream: a, model: gpt-5-mini}
  large: {upstream: a, model: gpt-5, price: {input: 1, output: 9}}
routes: {waterfall: {tiers: [small, large]}}
"""
    tiers = parse(text, "w.yaml", {}, open_book).tiers
    assert tiers["small"].price == BOOK["gpt-5-mini"]
    assert tiers["large"].price == Price(input=10**9, output=9 * 10**9).sealed("config")
