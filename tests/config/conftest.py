"""A small configuration to spoil, and a way to read it without a real price book."""

from __future__ import annotations

import pytest

from gateway.config import ConfigError, parse
from gateway.config.draft import Book
from gateway.core.money import Price

PRICE = Price(input=7_000, output=11_000, version="test 2026-01-02")
BOOK = Book({"tiny": PRICE, "huge": PRICE})

SMALL = """\
upstreams:
  acme: {base_url: "https://llm.example.com/v1"}
tiers:
  small: {upstream: acme, model: tiny}
  large: {upstream: acme, model: huge}
routes:
  waterfall: {tiers: [small, large]}
"""


@pytest.fixture
def small():
    return SMALL


@pytest.fixture
def read(tmp_path):
    def read(text, environ=None, book=BOOK):
        return parse(text, "waterfall.yaml", environ or {}, lambda _: book, tmp_path)

    return read


@pytest.fixture
def problems(read):
    """Every message about a text that must be refused."""

    def problems(text, environ=None, book=BOOK):
        with pytest.raises(ConfigError) as caught:
            read(text, environ, book)
        return str(caught.value).splitlines()

    return problems
