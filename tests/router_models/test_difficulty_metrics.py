"""The figures, against the definitions worked out row by row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from router_models.difficulty.metrics import (
    Curve,
    Recorded,
    apgr,
    calibration_error,
    calibration_errors,
    figures,
    head_aurocs,
    mean_of,
    resampled,
    summary,
)

ONCE = 1


def recorded(n=200, seed=0):
    draw = np.random.default_rng(seed)
    weak = (draw.random(n) < 0.5).astype(float)
    strong = (draw.random(n) < 0.85).astype(float)
    return Recorded(weak, strong, draw.uniform(1, 2, n), draw.uniform(5, 20, n))


def by_hand(ranking, of):
    """Every cut point, one request at a time."""
    order = np.argsort(-ranking, kind="stable")
    n = len(order)
    quality = np.array(
        [(of.strong[order[:k]].sum() + of.weak[order[k:]].sum()) / n for k in range(n + 1)]
    )
    cost = np.array(
        [
            (of.strong_cost[order[:k]].sum() + of.weak_cost[order[k:]].sum()) / n
            for k in range(n + 1)
        ]
    )
    return quality, cost


@pytest.mark.parametrize("seed", range(3))
def test_a_ranking_s_figures_are_those_of_the_definitions(seed):
    of = recorded(seed=seed)
    ranking = np.random.default_rng(seed + 9).random(200) + 0.3 * (of.strong - of.weak)
    found = {name: each[0] for name, each in figures(ranking, of, np.ones((1, 200))).items()}
    quality, cost = by_hand(ranking, of)
    gap = quality[-1] - quality[0]
    pgr = (quality - quality[0]) / gap
    assert found["apgr"] == pytest.approx(np.trapezoid(pgr, np.linspace(0, 1, 201)))
    assert found["cpt50"] == np.flatnonzero(pgr >= 0.5 - 1e-9)[0] / 200
    assert found["cpt80"] == np.flatnonzero(pgr >= 0.8 - 1e-9)[0] / 200
    for level in (0.95, 0.98):
        first = np.flatnonzero(quality >= level * quality[-1] - 1e-9)[0]
        assert found[f"save{level * 100:.0f}"] == pytest.approx(1 - cost[first] / cost[-1])
    assert found["auroc"] == pytest.approx(roc_auc_score(of.weak < 0.5, ranking))


def test_aiq_is_the_area_under_the_hull():
    # Costs 1 to 3 and qualities .2, .9, .5, .6: the hull rises to .9 half-way and stays there.
    of = Recorded(
        np.array([0.1, 0.3, 0.2]), np.array([2.2, -0.9, 0.5]), np.ones(3), np.array([4.0, 2.5, 2.5])
    )
    ranking = np.array([3.0, 2.0, 1.0])
    quality, cost = by_hand(ranking, of)
    found = figures(ranking, of, np.ones((1, 3)))["aiq"][0]
    assert (cost[0], cost[1], cost[-1]) == (1.0, 2.0, 3.0)
    assert quality[1] == max(quality)
    assert found == pytest.approx(((quality[0] + quality[1]) / 2 + quality[1]) / 2)


def test_aiq_of_many_cut_points_is_that_of_all_of_them():
    of = recorded(3000)
    ranking = of.strong - of.weak + np.random.default_rng(5).normal(size=3000)
    quality, cost = by_hand(ranking, of)
    grid = np.linspace(cost[0], cost[-1], 2001)
    # The least concave function over all points, by its slopes.
    slopes = np.linspace(-1, 1, 4001)
    offsets = (quality[None, :] - slopes[:, None] * cost[None, :]).max(axis=1)
    hull = (offsets[:, None] + slopes[:, None] * grid[None, :]).min(axis=0)
    expected = np.trapezoid(np.maximum.accumulate(hull), grid) / (cost[-1] - cost[0])
    assert figures(ranking, of, np.ones((1, 3000)))["aiq"][0] == pytest.approx(expected, abs=1e-3)


def test_a_perfect_ranking_recovers_all_and_a_reversed_one_nothing():
    weak, strong = np.array([0.0] * 10 + [1.0] * 90), np.ones(100)
    of = Recorded(weak, strong, np.ones(100), np.full(100, 10.0))
    best, worst = (figures(r, of, np.ones((1, 100))) for r in (strong - weak, weak))
    assert best["apgr"][0] == pytest.approx(0.95)
    assert worst["apgr"][0] == pytest.approx(0.05)
    assert (best["cpt50"][0], best["cpt80"][0]) == (0.05, 0.08)
    assert (best["auroc"][0], worst["auroc"][0]) == (1, 0)


def test_a_ranking_that_says_nothing_is_exactly_random_routing():
    of = recorded()
    found = figures(np.zeros(200), of, resampled(np.arange(200), 50, 0))
    assert np.allclose(found["apgr"], 0.5)
    assert np.allclose(found["auroc"], 0.5)
    assert found["cpt50"][0] == 0.5
    assert np.allclose(found["cpt80"][0], 0.8)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 4))
def test_a_weight_is_as_good_as_so_many_copies(seed, most):
    draw = np.random.default_rng(seed)
    of = recorded(30, seed)
    weights = draw.integers(0, most + 1, 30)
    if not (weights * (of.strong - of.weak)).sum() > 0:
        return
    ranking = draw.permutation(30).astype(float)
    copies = np.repeat(np.arange(30), weights)
    one = figures(ranking, of, weights[None, :].astype(float))
    # Copies tie: their mean over all orders is the straight line that the weight gives.
    other = figures(ranking[copies], of.take(copies), np.ones((1, len(copies))))
    for name, values in one.items():
        np.testing.assert_allclose(values, other[name], rtol=1e-9, atol=1e-12, err_msg=name)


def test_what_there_is_no_figure_for_is_nan():
    same = Recorded(np.ones(4), np.ones(4), np.ones(4), np.zeros(4))
    found = figures(np.arange(4.0), same, np.ones((1, 4)))
    assert all(np.isnan(found[name][0]) for name in ("apgr", "cpt50", "auroc", "aiq", "save95"))
    of = recorded(4)
    unknown = Recorded(of.weak, of.strong, np.full(4, np.nan), of.strong_cost)
    assert np.isnan(figures(np.arange(4.0), unknown, np.ones((1, 4)))["save95"][0])


def test_batches_say_what_one_would():
    of, weights = recorded(50), resampled(np.arange(50), 150, 1)
    ranking = np.arange(50.0)
    whole = Curve(ranking, of, weights).apgr()
    assert np.array_equal(whole, apgr(ranking, of, weights), equal_nan=True)
    assert np.array_equal(whole, figures(ranking, of, weights)["apgr"], equal_nan=True)


# ------------------------------------------------------------------------------- probabilities


def test_probabilities_are_judged():
    outcomes = np.array([[1.0], [1.0], [1.0], [0.0]])
    once = np.ones((ONCE, 4))
    for promised, error in ((0.75, 0), (0.25, 0.5), (1.0, 0.25)):
        found = calibration_errors(np.full((4, 1), promised), outcomes, once)
        assert found[0, 0] == pytest.approx(error)
        assert calibration_error(np.full(4, promised), outcomes[:, 0]) == found[0, 0]
    chances = np.array([[0.9], [0.8], [0.7], [0.1]])
    assert head_aurocs(chances, outcomes, once)[0, 0] == 1
    assert np.isnan(head_aurocs(chances, np.ones((4, 1)), once)[0, 0])


def test_bins_are_weighed_by_their_rows():
    chances, outcomes = np.array([[0.15], [0.15], [0.95]]), np.array([[0.0], [0.0], [0.0]])
    weights = np.array([[1.0, 1.0, 1.0], [0.0, 0.0, 3.0]])
    found = calibration_errors(chances, outcomes, weights)[:, 0]
    assert found == pytest.approx([(0.15 + 0.15 + 0.95) / 3, 0.95])


# ------------------------------------------------------------------------------- intervals


def test_questions_are_drawn_and_not_rows():
    weights = resampled(np.array([7, 7, 7, 2, 5]), 40, 0)
    assert weights.shape == (41, 5)
    assert (weights[0] == 1).all()
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, [0, 3, 4]].sum(axis=1) == 3).all()
    assert len({tuple(row) for row in weights}) > 5
    assert np.array_equal(weights, resampled(np.array([7, 7, 7, 2, 5]), 40, 0))
    assert not np.array_equal(weights, resampled(np.array([7, 7, 7, 2, 5]), 40, 1))


def test_an_interval_covers_the_truth_as_often_as_it_says():
    truth, covered = 0.95, 0
    for seed in range(60):
        of = recorded(400, seed)
        ranking = np.random.default_rng(seed).normal(size=400)
        told = summary(apgr(ranking, of, resampled(np.arange(400), 200, seed)))
        covered += told["low"] <= 0.5 <= told["high"]
    assert covered / 60 >= truth - 0.1


def test_a_summary_says_what_is_undefined():
    told = summary(np.array([0.5, *np.linspace(0.4, 0.6, 101)]))
    assert told["value"] == 0.5
    assert (told["low"], told["high"]) == (pytest.approx(0.405), pytest.approx(0.595))
    assert summary(np.array([np.nan, 0.1])) == {"value": None, "low": None, "high": None}
    assert summary(np.array([0.5])) == {"value": 0.5, "low": None, "high": None}
    told = summary(np.array([0.5, 0.4, np.nan, 0.6, 0.5]))
    assert told["note"] == "undefined in 25.0% of the resamples"
    biased = np.array([0.01, *np.linspace(0.02, 0.04, 50)])
    assert summary(biased)["low"] == 0.01
    told = summary(biased, centred=True)
    assert told["low"] < 0.01 < told["high"] < 0.021
    assert summary(biased - 0.009, centred=True)["low"] >= 0


def test_runs_are_averaged_resample_by_resample():
    found = mean_of([{"a": np.array([1.0, 3.0])}, {"a": np.array([3.0, 5.0])}])
    assert found["a"].tolist() == [2.0, 4.0]
