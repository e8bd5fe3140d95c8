"""Which scorers a route may name, and what they are called."""

from __future__ import annotations

import pytest

from gateway.core.difficulty import Difficulty, fallen_back
from gateway.core.money import Price
from gateway.core.plan import Tier
from gateway.core.routing import Target
from gateway.core.scorer_spec import SCORER_TIER, LlmSpec, PythonSpec, RemoteSpec, scorer_name

REMOTE = RemoteSpec("http://127.0.0.1:9/e", "embed-7", "heads", api_key="sk-secret", price=Price(3))


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("rules", "rules"),
        (PythonSpec("mine.score"), "python:mine.score"),
        (REMOTE, "remote embed-7 read by heads"),
        (LlmSpec(Tier("small", "up", "mini"), (0.6, 0.85)), "llm mini from 0.6 to 0.85 of default"),
    ],
)
def test_a_scorer_is_named_without_its_secrets(spec, name):
    assert scorer_name(spec) == name
    assert "sk-secret" not in repr(spec)


def test_an_endpoint_s_calls_are_recorded_under_a_tier_of_their_own():
    tier = REMOTE.tier
    assert (tier.name, tier.model, tier.price) == (SCORER_TIER, "embed-7", Price(3))


def test_a_base_that_stands_in_says_so():
    base = Difficulty(0.4, scorer="rules@1")
    assert fallen_back(base) == Difficulty(0.4, scorer="rules@1+fallback")


def test_a_target_has_a_threshold_before_anything_is_known():
    assert Target(share=0.2).start == 0.8
    assert Target(quality=0.98).start == 0
    assert Target(quality=0.98, until=0.3).start == 0.3
