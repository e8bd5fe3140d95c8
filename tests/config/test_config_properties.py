"""Whatever a file contains, it gives Settings or a ConfigError that says where it is wrong."""

from __future__ import annotations

import copy
import json
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from gateway.config import ConfigError, parse, parse_recipe
from gateway.config.draft import Book
from gateway.config.models import Root
from gateway.config.quantities import seconds, share, size, tokens, usd
from gateway.core.money import Price
from gateway.prices import read_book

BOOK = Book({"tiny": Price(input=7), "huge": Price(input=7)})
GOOD = {
    "server": {"port": 1, "admin": "127.0.0.1:9090", "max_body": "1MB"},
    "upstreams": {"acme": {"base_url": "https://llm.example.com/v1", "timeouts": {"connect": 1}}},
    "tiers": {
        "small": {"upstream": "acme", "model": "tiny", "bar": {"accept": 0.5, "checks": []}},
        "large": {"upstream": "acme", "model": "huge", "price": {"input": 1, "output": 2}},
    },
    "routes": {
        "waterfall": {
            "tiers": ["small", "large"],
            "threshold": [0.5],
            "session": {"ttl": "1m"},
            "mode": {"enforce": 0.1},
        }
    },
    "aliases": {"gpt": "waterfall"},
    "keys": [{"name": "a", "hash": "sha256:" + "ab" * 32, "allow": ["tier"]}],
}

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["${A}", "${", "1e999", "10%", "5s", "off", "*", "sqlite:///x", "\0", "\x85"]),
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8) | st.sampled_from(list(Root.model_fields)), inner)
    ),
    max_leaves=20,
)


def outcome(text):
    """Parse it; what is wrong must be said in one line for each problem, naming the file."""
    try:
        return parse(text, "waterfall.yaml", {"A": "b"}, lambda _: BOOK)
    except ConfigError as error:
        return said(error, "waterfall.yaml")


def said(error, name):
    """Hold an error to its form; None stands for it."""
    assert error.problems
    assert all(str(problem).startswith(f"{name}:") for problem in error.problems)
    str(error).encode()


@given(st.binary(max_size=200))
def test_any_bytes(source):
    outcome(source)


@given(st.text(max_size=200) | st.text("{}[]:,&*!|>'\"%@`#-?${} \n\tab1\ue000", max_size=60))
def test_any_text(source):
    outcome(source)


@given(values)
def test_any_structure(value):
    outcome(json.dumps(value))


def places(value, trail=()):
    yield trail
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*trail, key))


PLACES = [trail for trail in places(GOOD) if trail]


@given(st.sampled_from(PLACES), values)
def test_any_value_in_any_place_of_a_good_file(trail, value):
    spoiled = copy.deepcopy(GOOD)
    holder = spoiled
    for step in trail[:-1]:
        holder = holder[step]
    holder[trail[-1]] = value
    outcome(json.dumps(spoiled))


@given(st.integers(0, 10_000), st.sampled_from(["truncate", "repeat", "drop"]))
def test_a_half_written_file(at, how):
    text = json.dumps(GOOD, indent=1)
    at %= len(text)
    cut = {
        "truncate": text[:at],
        "repeat": text[:at] + text[at // 2 :],
        "drop": text[:at] + text[at + 1 :],
    }
    outcome(cut[how])


def test_the_good_file_is_good():
    assert outcome(json.dumps(GOOD)) is not None


@given(st.binary(max_size=100) | values.map(json.dumps))
def test_any_recipe_and_any_price_file(source):
    for read in (lambda: parse_recipe(source, "f.yaml", "f"), lambda: read_book(source, "f.yaml")):
        try:
            read()
        except ConfigError as error:
            said(error, "f.yaml")


@given(st.sampled_from(["input", "effective", "models", "sources", "zz"]), values, st.booleans())
def test_any_value_in_a_good_price_file(key, value, inside):
    good = {"effective": "2026-01-02", "models": {"input": {"input": 1, "output": 2}}}
    (good["models"]["input"] if inside else good)[key] = value
    with suppress(ConfigError):
        read_book(json.dumps(good), "f.yaml")


@given(values | st.text("0123456789.%smhkKMGiB ", max_size=8))
def test_a_quantity_is_in_its_bounds_or_refused(value):
    bounds = {
        seconds: (0.001, 86_400.0),
        size: (1, 1 << 30),
        tokens: (1, 100_000_000),
        share: (0, 1),
        usd: (0, 10**15),
    }
    for read, (least, most) in bounds.items():
        try:
            amount = read(value)
        except ValueError:
            continue
        assert least <= amount <= most


@given(st.integers(1, 999_999))
def test_the_same_quantity_in_other_words(count):
    assert seconds(f"{count % 80_000 + 1}ms") == seconds((count % 80_000 + 1) / 1000)
    assert size(f"{count % 1000 + 1}KiB") == (count % 1000 + 1) * 1024
    assert tokens(f"{count % 100_000 + 1}k") == (count % 100_000 + 1) * 1000
    assert share(f"{count % 101}%") == (count % 101) / 100
    assert usd(f"{count}.25") == count * 10**9 + 250_000_000
