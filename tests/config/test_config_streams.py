"""The options about streams change the values they should, or are refused."""

from __future__ import annotations

import pytest

from gateway.core.plan import Hedge
from gateway.core.routing import Speculation


def with_tier(small, more):
    return small.replace("model: tiny", f"model: tiny, {more}")


def with_route(small, more):
    return small.replace("[small, large]", f"[small, large], {more}")


@pytest.mark.parametrize("word", ["refusal", "format"])
def test_an_early_decision_without_its_check_is_refused(problems, small, word):
    line = f"bar: {{checks: [shape], early: {{{word}: true}}}}"
    (told,) = problems(with_tier(small, line))
    assert f"tiers.small.bar.early.{word}: means nothing without the check {word}" in told


@pytest.mark.parametrize(
    ("line", "hedge"),
    [
        ("{}", Hedge(1.5, "same", 0.05)),
        ("{after: 800ms}", Hedge(0.8, "same", 0.05)),
        ("{tier: next}", Hedge(1.5, "next", 0.05)),
        ("{share: 20%}", Hedge(1.5, "same", 0.2)),
    ],
)
def test_hedges(read, small, line, hedge):
    assert read(with_tier(small, f"hedge: {line}")).tiers["small"].hedge == hedge
    assert read(small).tiers["small"].hedge is None


@pytest.mark.parametrize(
    ("line", "told"),
    [("{share: 0}", "share: must be a share over 0"), ("{tier: large}", "must be same or next")],
)
def test_hedges_that_are_none(problems, small, line, told):
    (problem,) = problems(with_tier(small, f"hedge: {line}"))
    assert told in problem


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("{}", Speculation((0.6, 0.8), 0.0)),
        ("{band: [0.5, 0.7]}", Speculation((0.5, 0.7), 0.0)),
        ("{after: 150ms}", Speculation((0.6, 0.8), 0.15)),
    ],
)
def test_speculation(read, small, line, value):
    settings = read(with_route(small, f"speculate: {line}"))
    assert (settings.routes["waterfall"].speculate, settings.warnings) == (value, ())
    assert read(small).routes["waterfall"].speculate is None


def test_speculation_that_can_do_nothing(read, problems, small):
    settings = read(with_route(small, "speculate: {band: [0.8, 0.9]}"))
    assert "speculate.band: lies over the threshold" in settings.warnings[0]
    alone = small.replace("[small, large]", "[small], speculate: {}")
    assert "means nothing where there is one tier" in problems(alone)[0]


@pytest.mark.parametrize(("line", "value"), [("10s", 10.0), ("off", None)])
def test_keep_alive(read, small, line, value):
    settings = read(with_route(small, f"keepalive_after: {line}"))
    assert settings.routes["waterfall"].keepalive == value
