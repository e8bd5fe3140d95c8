"""A price by kind of token, by length of prompt and by tier of service; never less than nothing."""

from __future__ import annotations

from dataclasses import fields, replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.money import (
    FREE,
    KINDS,
    NANO,
    TOKEN_CAP,
    UNPRICED,
    Cost,
    Price,
    Usage,
    per_million,
)

MILLION = 1_000_000
KINDLY = Price(
    *(MILLION, 2 * MILLION),
    cached_input=MILLION // 10,
    cache_write=1_250_000,
    cache_write_1h=2 * MILLION,
    reasoning=3 * MILLION,
    audio_input=32 * MILLION,
    audio_output=64 * MILLION,
    image_input=5 * MILLION,
    image_output=30 * MILLION,
    request=7,
)
EVERYTHING = Usage(
    *(1_000, 500),
    cached=100,
    cache_write=60,
    reasoning=50,
    cache_write_1h=20,
    audio_input=30,
    audio_output=40,
    image_input=10,
    image_output=5,
)


def test_each_kind_has_its_rate():
    assert KINDLY.cost(EVERYTHING) == Cost(
        input=800,
        cached_input=10,
        cache_write=40 * 1_250_000 // MILLION + 20 * 2,
        output=405 * 2,
        request=7,
        reasoning=150,
        audio=30 * 32 + 40 * 64,
        image=10 * 5 + 5 * 30,
    )


def test_a_kind_without_a_rate_costs_what_the_common_one_does():
    plain = Price(MILLION, 2 * MILLION)
    assert plain.cost(EVERYTHING).total == 1_000 + 500 * 2
    written = Price(0, 0, cache_write=MILLION)
    assert written.cost(EVERYTHING).cache_write == 60


LONG = Price(7 * MILLION, 9 * MILLION)
LONGER = Price(8 * MILLION, 9 * MILLION)
BANDED = Price(
    *(MILLION, 2 * MILLION),
    bands=((128_000, LONG), (200_000, LONGER)),
    services=(
        ("flex", Price(MILLION // 2, MILLION, bands=((272_000, LONG),))),
        ("batch", Price(3, 4)),
    ),
)


@pytest.mark.parametrize(
    ("prompt", "service", "rates", "name"),
    [
        (0, "", BANDED, "standard"),
        (128_000, "", BANDED, "standard"),
        (128_001, "", LONG, "above 128000"),
        (200_000, "default", LONG, "above 128000"),
        (200_001, "standard", LONGER, "above 200000"),
        (272_000, "flex", BANDED.services[0][1], "flex"),
        (272_001, "flex", LONG, "flex above 272000"),
        (900_000, "batch", BANDED.services[1][1], "batch"),
        (128_001, "scale", LONG, "above 128000"),
    ],
)
def test_a_long_prompt_prices_the_whole_request_anew(prompt, service, rates, name):
    usage = Usage(prompt, 1_000, service=service)
    assert BANDED.rates(usage) == rates
    assert BANDED.rate(usage) == name
    assert BANDED.cost(usage) == replace(rates, bands=(), services=()).cost(usage)


@pytest.mark.parametrize(
    ("service", "known"), [("", True), ("default", True), ("flex", True), ("scale", False)]
)
def test_a_tier_of_service_without_a_price_is_told(service, known):
    assert BANDED.knows(service) == known


def test_a_digest_is_of_the_figures_alone():
    one, other = BANDED.sealed("mine 2026-01-02"), BANDED.sealed("yours")
    assert one.digest == other.digest != replace(BANDED, input=3).sealed("yours").digest
    assert (one.version, one.digest) == ("mine 2026-01-02", BANDED.sealed("").digest)
    changed = replace(BANDED, services=(*BANDED.services[:1], ("batch", Price(3, 5))))
    assert changed.sealed("yours").digest != one.digest
    assert BANDED.figures() == {
        "input": MILLION,
        "output": 2 * MILLION,
        "request": 0,
        "above": {"128000": LONG.figures(), "200000": LONGER.figures()},
        "services": {"flex": BANDED.services[0][1].figures(), "batch": Price(3, 4).figures()},
    }


def test_a_price_that_was_never_set_is_not_one_that_is_nothing():
    assert Price().sealed("config") != UNPRICED == Price()


def test_the_kinds_are_the_cost_s_own():
    assert [each.name for each in fields(Cost) if each.init] == list(KINDS)
    assert Cost(*range(1, 9)).amounts == tuple(range(1, 9))
    assert FREE.total == 0


@pytest.mark.parametrize(
    ("hour", "per_second", "utilisation", "dollars_per_million"),
    [(2.5, 2_500, 0.5, 0.5556), (2.5, 2_500, 0.1, 2.7778), (2.5, 600, 0.5, 2.3148)],
)
def test_a_model_on_gpus_of_one_s_own(hour, per_second, utilisation, dollars_per_million):
    """The figures of a worked example by hand: dollars an hour over tokens an hour."""
    amount = per_million(round(hour * NANO), Fraction(per_second), utilisation)
    assert round(amount / NANO, 4) == dollars_per_million
    exact = (
        Fraction(round(hour * NANO)) * MILLION / (3600 * per_second * Fraction(str(utilisation)))
    )
    assert abs(amount - exact) <= Fraction(1, 2)


# ------------------------------------------------------------------ properties

RATES = st.integers(0, 10**12)
MAYBE = st.one_of(st.none(), RATES)
PRICES = st.builds(Price, RATES, RATES, MAYBE, MAYBE, RATES, st.just(""), *([MAYBE] * 6))
SIZES = st.integers(0, TOKEN_CAP)


@st.composite
def banded(draw):
    """A price whose bands and tiers of service are any at all."""
    edges = sorted(draw(st.sets(st.integers(0, 1_000_000), max_size=3)))
    bands = tuple((edge, draw(PRICES)) for edge in edges)
    services = tuple(
        (name, draw(PRICES)) for name in draw(st.sets(st.sampled_from(["flex", "batch"])))
    )
    return replace(draw(PRICES), bands=bands, services=services)


@st.composite
def rising(draw):
    """A price whose every band is at least as dear as the one under it, in each kind."""
    price = draw(PRICES)
    bands, under = [], price
    for edge in sorted(draw(st.sets(st.integers(0, 1_000_000), max_size=3))):
        dearer = {
            name: getattr(under, name) + draw(st.integers(0, 10**9))
            for name in ("input", "output", "request")
        }
        under = replace(under, **dearer)
        bands.append((edge, under))
    return replace(price, bands=tuple(bands))


@st.composite
def usages(draw):
    """A usage as an upstream may have it."""
    parts = ("cache_write_1h", "audio_input", "audio_output", "image_input", "image_output")
    service = draw(st.sampled_from(["", "default", "flex", "batch", "scale"]))
    return Usage.clamped(
        *(draw(SIZES) for _ in range(5)), service=service, **{name: draw(SIZES) for name in parts}
    )


@given(banded(), usages())
def test_a_cost_is_never_negative_and_its_parts_are_the_whole(price, usage):
    cost = price.cost(usage)
    assert min(cost.amounts) >= 0
    assert price.total(usage) == cost.total
    assert cost.total == sum(cost.amounts) == sum(getattr(cost, kind) for kind in KINDS)


@given(banded(), usages())
def test_every_token_is_in_one_kind(price, usage):
    """At one dollar a million for everything, a call costs its tokens."""
    even = Price(NANO, NANO)
    assert even.cost(usage).total == (usage.prompt + usage.completion) * 1_000


@given(rising(), usages(), st.integers(0, 10**6), st.integers(0, 10**6))
def test_more_tokens_never_cost_less(price, usage, asked, said):
    more = replace(usage, prompt=usage.prompt + asked, completion=usage.completion + said)
    assert price.cost(more).total >= price.cost(usage).total


@given(rising(), st.sets(st.integers(0, 10**6), min_size=2))
def test_a_band_begins_with_the_first_token_over_its_edge(price, prompts):
    for prompt in prompts | {edge for edge, _ in price.bands} | {e + 1 for e, _ in price.bands}:
        over = [band for edge, band in price.bands if prompt > edge]
        rates = over[-1] if over else replace(price, bands=())
        assert price.cost(Usage(prompt, 9)) == rates.cost(Usage(prompt, 9))
        assert price.total(Usage(prompt, 9)) == rates.cost(Usage(prompt, 9)).total


@given(usages(), usages())
def test_usages_add_up_whatever_they_are(one, other):
    both = one + other
    for field in fields(Usage):
        if field.name not in {"estimated", "service"}:
            total = getattr(one, field.name) + getattr(other, field.name)
            assert getattr(both, field.name) == total
    assert both.service == (one.service if one.service == other.service else "")
