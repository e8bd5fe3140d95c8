"""Which free checks a combiner heeds, and that its curves are what they are said to be."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from gateway.core.signals import Signals
from router_models.cascade.fit import STRENGTH, _logistic, fit_combiner, no_priors
from router_models.cascade.pairs import Pairs

ROWS = 400


def pairs(*, telling, seed=0):
    """Two free checks: `telling` says whether the reply is good, mostly; `noise` says nothing."""
    random = np.random.default_rng(seed)
    good = (random.random(ROWS) < 0.6).astype(float)
    said = np.where(random.random(ROWS) < telling, good, 1 - good)
    noise = random.random(ROWS)
    return Pairs(
        signals=tuple(Signals(text=str(row), turns=1) for row in range(ROWS)),
        source="made up",
        weak=good,
        strong=np.ones(ROWS),
        weak_cost=np.full(ROWS, 0.01),
        strong_cost=np.ones(ROWS),
        said={"telling": said, "noise": noise, "paid": said},
        prices={"paid": np.full(ROWS, 0.01)},
        free=("telling", "noise"),
        paid=("paid",),
    )


@pytest.mark.parametrize("seed", range(5))
def test_a_free_check_that_says_nothing_has_no_weight_at_any_stage(seed):
    combiner = fit_combiner(pairs(telling=0.9, seed=seed), no_priors(ROWS), "a@1")
    for stage in combiner.stages:
        assert stage.own.said["noise"] == stage.own.silent["noise"] == 0
        assert stage.next.said["noise"] == 0
        assert stage.own.said["telling"] > 0


def test_a_check_that_could_as_well_be_chance_has_none_either():
    combiner = fit_combiner(pairs(telling=0.5), no_priors(ROWS), "a@1")
    assert combiner.stages[0].own.said == {"telling": 0.0, "noise": 0.0}


def test_a_paid_check_is_heeded_whatever_it_says():
    assert fit_combiner(pairs(telling=0.5), no_priors(ROWS), "a@1").stages[1].own.said["paid"] != 0


def test_a_curve_is_the_ridge_penalised_logistic_one():
    random = np.random.default_rng(3)
    columns = random.normal(size=(300, 4)) * 3
    outcomes = (random.random(300) < 1 / (1 + np.exp(-columns[:, 0]))).astype(float)
    offset, weights = _logistic(columns, outcomes)
    held = np.clip(outcomes, 1 / 302, 1 - 1 / 302)
    other = LogisticRegression(C=STRENGTH, tol=1e-10, max_iter=5000).fit(
        np.concatenate([columns, columns]),
        np.repeat([1, 0], 300),
        sample_weight=np.concatenate([held, 1 - held]),
    )
    assert offset == pytest.approx(other.intercept_[0], abs=1e-5)
    assert weights == pytest.approx(other.coef_[0], abs=1e-5)
