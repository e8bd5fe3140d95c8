"""The deployments of one configuration, and what the next one's know of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from upstreams.playing import Clock, Inner, Tally

from gateway.config import UpstreamSettings
from gateway.core.plan import Tier
from gateway.upstreams.fleet import Fleet

A = UpstreamSettings("a", "openai", "http://a")
TIERS = [Tier("small", "a", "s"), Tier("large", "a", "l")]


def fleet(settings, tiers=TIERS, before=None):
    return Fleet({"a": settings}, {"a": Inner()}, tiers, Clock(), Tally(), before)


def of(it, model):
    (deployment,) = it.upstreams["a"].of(model)._all
    return deployment


@pytest.mark.parametrize(
    ("after", "model", "kept"),
    [
        (A, "s", True),
        (A, "other", False),
        (replace(A, base_url="http://b"), "s", False),
        (replace(A, api_key="sk-other"), "s", False),
    ],
)
def test_a_reload_keeps_what_is_known_of_what_has_not_changed(after, model, kept):
    before = fleet(A)
    old = of(before, "s")
    old.paces[0].sent("under way", 1.0)
    old.ejected_until = 5.0
    now = of(fleet(after, [Tier("small", "a", model)], before), model)
    assert (now.paces is old.paces, now.recent is old.recent) == (kept, kept)
    assert now.ejected_until == (5.0 if kept else 0.0)
    assert now.breaker is not old.breaker, "that begins anew"
    assert (now.paces[0].silent(3.0) == 2.0) is kept


def test_of_two_upstreams_with_one_name_only_the_same_is_the_same():
    assert fleet(A).same("a", "s", A)
    assert fleet(A).same("a", "nobody's", A) is None
    assert fleet(A).same("b", "s", A) is None
