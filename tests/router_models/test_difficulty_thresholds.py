"""Thresholds: what they come to on the requests at hand, and what may be said of them."""

from __future__ import annotations

import random

import pytest

from router_models.difficulty.thresholds import for_quality, for_share, plug_in


def labels(n, seed=0):
    """Values that tell well where the strong tier is needed."""
    draw = random.Random(seed)
    values = [draw.random() for _ in range(n)]
    weak = [float(draw.random() > value) for value in values]
    strong = [float(draw.random() < 0.95) for _ in values]
    return values, weak, strong


def served(values, weak, strong, threshold):
    kept = [s if v >= threshold else w for v, w, s in zip(values, weak, strong, strict=True)]
    return sum(kept) / sum(strong)


def test_a_share_is_met_on_what_it_was_fitted_to_and_has_an_interval():
    values, *_ = labels(1000)
    found = for_share(values, 0.2)
    share, low, high = found.share
    assert share == pytest.approx(0.2, abs=0.001)
    assert 0.17 < low < share < high < 0.23
    assert (found.kind, found.n, found.quality) == ("share", 1000, None)
    wide = for_share(values[:50], 0.2).share
    assert wide[2] - wide[1] > high - low


@pytest.mark.parametrize("confidence", [None, 0.9])
def test_a_promised_quality_is_kept_on_these_and_costs_more_than_the_plug_in(confidence):
    values, weak, strong = labels(2000)
    found = for_quality(values, weak, strong, 0.9, confidence)
    guess = plug_in(values, weak, strong, 0.9)
    assert found.kind == ("expectation" if confidence is None else "probability")
    assert found.quality[0] >= 0.9
    assert found.quality[1] < found.quality[0] < found.quality[2]
    assert found.share[0] > guess.share[0]
    assert found.threshold < guess.threshold
    assert guess.kind == "plug-in"
    assert guess.quality[0] == pytest.approx(served(values, weak, strong, guess.threshold))
    assert guess.quality[0] >= 0.9
    # Any higher threshold would have missed it.
    above = min(value for value in values if value > guess.threshold + 1e-6)
    assert served(values, weak, strong, above + 1e-9) < 0.9


def test_confidence_costs_more_and_more_traffic_is_asked_of_its_share():
    values, weak, strong = labels(2000)
    mean, sure = (for_quality(values, weak, strong, 0.9, c) for c in (None, 0.99))
    assert sure.threshold < mean.threshold
    asked = for_quality(values, weak, strong, 0.9, traffic=[0.999] * 40)
    assert asked.threshold == mean.threshold
    assert asked.share[0] == 1.0


def test_too_few_labels_promise_nothing_and_say_how_many_are_missing():
    found = for_quality(*labels(20), 0.98)
    assert found.threshold is None
    assert found.missing > 10
    assert (found.share, found.quality, found.n) == (None, None, 20)
    assert for_quality([], [], [], 0.95, 0.95).missing > 50


def test_a_scorer_that_says_1_of_everything_is_not_taken_for_never():
    """A threshold of 1 sends nothing up: of those that all say 1, all or none can go."""
    values, weak, strong = [1.0] * 500, [0.0] * 250 + [1.0] * 250, [1.0] * 500
    for found in (for_quality(values, weak, strong, 0.95), plug_in(values, weak, strong, 0.95)):
        assert found.threshold < 1
        assert found.share[0] == 1.0
        assert found.quality[0] == 1.0
    assert for_share(values, 0.9).share[0] == 1.0


def test_where_the_weak_tier_will_do_nothing_goes_up():
    values, _, strong = labels(400)
    found = plug_in(values, strong, strong, 0.95)
    assert (found.threshold, found.share[0]) == (1.0, 0.0)
    assert plug_in(values, strong, [0.0] * 400, 0.95).quality is None


def test_a_threshold_is_cut_and_never_rounded_up():
    values = [0.1234567891, 0.9876543219] * 50
    found = for_share(values, 0.5)
    assert found.threshold == round(found.threshold, 6)
    assert plug_in([0.7654321987] * 9, [0.0] * 9, [1.0] * 9, 0.9).threshold == 0.765432
