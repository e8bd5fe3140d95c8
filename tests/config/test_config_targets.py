"""A threshold's live forms, as frozen values."""

from __future__ import annotations

import pytest

from gateway.config import ConfigError, parse
from gateway.core.routing import Target
from gateway.prices import open_book

FILE = """\
upstreams: {sim: {kind: simulated}}
tiers:
  a: {upstream: sim, model: gpt-5-nano}
  b: {upstream: sim, model: gpt-5-mini}
  c: {upstream: sim, model: gpt-5}
routes:
  two: {tiers: [a, b], %s}
  three: {tiers: [a, b, c], %s}
"""


def routes(two="mode: enforce", three="mode: enforce", **environ):
    return parse(FILE % (two, three), "w.yaml", environ, open_book).routes


@pytest.mark.parametrize(
    ("written", "target", "start"),
    [
        ("{target_share: 20%}", Target(share=0.2), 0.8),
        ("{target_share: 0.25, window: 500}", Target(share=0.25, window=500), 0.75),
        ("{target_quality: 0.98}", Target(quality=0.98), 0.0),
        ("{target_quality: 98%, until: 0.3}", Target(quality=0.98, until=0.3), 0.3),
        ("{target_quality: 0.9, confidence: 95%}", Target(quality=0.9, confidence=0.95), 0.0),
    ],
)
def test_a_target_and_what_it_starts_with(written, target, start):
    route = routes(f"threshold: {written}")["two"]
    assert route.target == target
    assert route.thresholds == pytest.approx((start,))


def test_the_environment_may_give_its_numbers():
    route = routes('threshold: {target_share: "${SHARE}", window: "${N}"}', SHARE="30%", N="400")
    assert route["two"].target == Target(share=0.3, window=400)


def test_without_one_there_is_none():
    assert routes()["two"].target is None
    assert routes("threshold: 0.7")["two"].target is None
    assert routes()["two"].reference == "own"
    assert routes("reference: artefact")["two"].reference == "artefact"


def test_a_share_moves_the_first_step_of_many():
    assert routes(three="threshold: {target_share: 0.2}")["three"].thresholds == (0.8,)


def test_a_quality_is_about_one_step():
    with pytest.raises(ConfigError, match=r"w\.yaml:8: .*two tiers \(use target_share"):
        routes(three="threshold: {target_quality: 0.9}")


def test_a_target_is_part_of_the_digest():
    texts = [
        FILE % (f"threshold: {each}", "mode: enforce") for each in (0.8, "{target_share: 0.2}")
    ]
    assert len({parse(text, "w.yaml", {}, open_book).digest for text in texts}) == 2
