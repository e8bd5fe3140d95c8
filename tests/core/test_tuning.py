from __future__ import annotations

import random
from itertools import pairwise
from math import inf

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.core import tuning
from gateway.core.tuning import crc_threshold, ltt_threshold, mean_floor, quality_threshold

PAIRS = st.lists(st.tuples(st.floats(0, 0.999), st.sampled_from([0.0, 0.25, 1.0])), max_size=60)


def lost(pairs, threshold):
    return sum(loss for value, loss in pairs if value < threshold)


def draw(chance, n):
    """Values, and labels of both tiers: a request of value x loses with probability .2125 at
    x = .5, the strong tier is good in .85 of all. Under t the loss is .25 t^2 of its quality."""
    values = [chance.random() for _ in range(n)]
    strong = [float(chance.random() < 0.85) for _ in values]
    weak = [s * float(chance.random() > x / 2) for s, x in zip(strong, values, strict=True)]
    return values, weak, strong


def true_loss(threshold):
    """Of `draw`, as a part of the strong tier's quality."""
    return 0.25 * threshold**2


@given(PAIRS, st.floats(0.02, 0.5))
def test_conformal_risk_control_keeps_to_its_bound_exactly(pairs, alpha):
    values, losses = [v for v, _ in pairs], [loss for _, loss in pairs]
    n = len(pairs)
    assume(abs(1 / (n + 1) - alpha) > 1e-9)  # nearer than that, rounding decides
    chosen = crc_threshold(values, losses, alpha)
    assert (chosen.threshold is None) == (1 / (n + 1) > alpha) == (chosen.missing > 0)
    if chosen.threshold is None:
        assert 1 / (n + chosen.missing + 1) <= alpha + 1e-9
        return
    assert (lost(pairs, chosen.threshold) + 1) / (n + 1) <= alpha + 1e-9
    assert chosen.lost * max(n, 1) == pytest.approx(lost(pairs, chosen.threshold))
    higher = [value for value in values if value > chosen.threshold]
    if higher or chosen.threshold < 1:
        above = min([*higher, 1.0])
        assert (lost(pairs, above) + 1) / (n + 1) > alpha - 1e-9, "it is the highest"


@given(PAIRS, st.floats(0.05, 0.5), st.floats(0.05, 0.5))
def test_a_stricter_bound_never_raises_the_threshold(pairs, one, other):
    values, losses = [v for v, _ in pairs], [loss for _, loss in pairs]
    strict, loose = sorted((one, other))
    for choose in (crc_threshold, lambda v, x, a: ltt_threshold(v, x, a, 0.1)):
        low, high = (choose(values, losses, alpha).threshold or 0.0 for alpha in (strict, loose))
        assert low <= high


@given(PAIRS, st.floats(0.05, 0.5))
def test_a_probability_costs_more_than_an_average(pairs, alpha):
    values, losses = [v for v, _ in pairs], [loss for _, loss in pairs]
    high = ltt_threshold(values, losses, alpha, 0.05).threshold or 0.0
    assert high <= (crc_threshold(values, losses, alpha).threshold or 0.0)


@pytest.mark.parametrize("quality", [0.9, 0.95])
@pytest.mark.parametrize("n", [60, 250])
def test_the_quality_is_kept_on_average(quality, n):
    chance = random.Random(7)
    chosen = [quality_threshold(*draw(chance, n), quality) for _ in range(800)]
    losses = [true_loss(each.threshold or 0.0) for each in chosen]
    assert sum(losses) / len(losses) <= (1 - quality) * 1.03  # 3 %: chance over 800 draws
    assert sum(losses) / len(losses) >= (1 - quality) * 0.7, "and not by giving it all away"


@pytest.mark.parametrize(("confidence", "n"), [(0.9, 150), (0.8, 400)])
def test_the_quality_is_kept_with_the_confidence_asked(confidence, n):
    chance = random.Random(11)
    chosen = [quality_threshold(*draw(chance, n), 0.9, confidence) for _ in range(500)]
    failed = sum(true_loss(each.threshold or 0.0) > 0.1 for each in chosen)
    assert failed / 500 <= 1 - confidence
    assert all(each.threshold for each in chosen), "there are enough labels for some promise"


def test_a_guess_would_not_have_kept_it():
    """The plug-in threshold, whose loss on the labels is just what is allowed, misses the target
    half of the time: the promises above are not for free."""
    chance, missed = random.Random(3), 0
    for _ in range(300):
        values, weak, strong = draw(chance, 150)
        pairs = sorted(zip(values, (s - w for s, w in zip(strong, weak, strict=True)), strict=True))
        spent, threshold = 0.0, 1.0
        for value, loss in pairs:
            spent += loss
            if spent > 0.1 * sum(strong):
                threshold = value
                break
        missed += true_loss(threshold) > 0.1
    assert missed > 90


@pytest.mark.parametrize("confidence", [None, 0.9])
def test_as_many_labels_as_are_missing_are_enough(confidence):
    missing = quality_threshold([], [], [], 0.95, confidence).missing
    enough = [0.5] * missing, [1.0] * missing, [1.0] * missing
    assert quality_threshold(*enough, 0.95, confidence).threshold == 1.0
    fewer = [each[1:] for each in enough]
    short = quality_threshold(*fewer, 0.95, confidence)
    assert (short.threshold, short.missing) == (None, 1)


def test_what_the_documentation_says_is_needed():
    assert quality_threshold([], [], [], 0.98).missing == 49
    assert quality_threshold([], [], [], 0.98, 0.9).missing == 124


def test_a_strong_tier_that_is_often_wrong_needs_more_labels():
    values, none = [0.5] * 30, [0.0] * 30
    assert quality_threshold(values, none, none, 0.98).missing > 49
    assert quality_threshold(values, none, none, 0.98, 0.9).missing > 124


def test_what_the_first_tier_does_better_is_no_loss():
    chosen = quality_threshold([0.5] * 60, [1.0] * 60, [0.5] * 60, 0.95)
    assert (chosen.threshold, chosen.lost) == (1.0, 0.0)


def test_labels_between_bad_and_good_are_tested_otherwise():
    values = [place / 200 for place in range(200)]
    half = ltt_threshold(values, [0.5] * 200, 0.2, 0.1)
    whole = ltt_threshold(values, [float(place % 2) for place in range(200)], 0.2, 0.1)
    assert 0 < half.threshold < 0.4
    assert 0 < whole.threshold < 0.4


def test_ties_stay_or_go_together():
    chosen = crc_threshold([0.2] * 50 + [0.6] * 50, [0.0] * 50 + [1.0] * 50, 0.1)
    assert (chosen.threshold, chosen.share) == (0.6, 0.5)


@pytest.mark.parametrize("losses", [[1.5], [-0.1], [float("nan")]])
def test_losses_are_from_0_to_1(losses):
    with pytest.raises(ValueError, match="from 0 to 1"):
        crc_threshold([0.5], losses, 0.5)
    with pytest.raises(ValueError, match=r"shorter|longer"):
        crc_threshold([0.5], [0.1, 0.2], 0.5)


def test_a_floor_of_the_mean_is_under_it_and_rises_with_the_number():
    floors = [mean_floor(0.8, size, 0.05) for size in (1, 10, 100, 1000)]
    assert all(low < high for low, high in pairwise(floors))
    assert 0.76 < floors[-1] < 0.8
    assert mean_floor(1.0, 0, 0.05) == 0.0
    chance = random.Random(5)
    over = 0
    for _ in range(400):
        seen = sum(chance.random() < 0.8 for _ in range(60)) / 60
        over += mean_floor(seen, 60, 0.1) > 0.8
    assert over <= 40


def test_bounds_that_cannot_or_need_not_be_met():
    assert ltt_threshold([0.5], [0.0], 0.0, 0.1).threshold is None
    assert ltt_threshold([0.5], [0.0], 1.0, 0.1).threshold == 1.0
    assert crc_threshold([], [], 0.5).threshold is None


def test_bounds_at_their_ends():
    """As many hits as there are draws are certain; what cannot be has no likeness."""
    assert tuning._at_most(5, 5, 0.1) == 1.0
    assert tuning._divergence(0.5, 0.0) == inf
    assert tuning._divergence(0.5, 1.0) == inf
    assert tuning._divergence(0.0, 0.0) == 0.0
