"""A reference says where a new question of the same traffic stands."""

from __future__ import annotations

import pytest
from sample_outcomes import coins, rows_of, sums

from gateway.core.ranks import rank
from loadtests import made_up
from router_models.difficulty.evaluate import table_of
from router_models.difficulty.model import Settings, fit, gain
from router_models.difficulty.reference import of_traffic

QUICK = Settings(folds=3)
TALE = (
    "crow fox cheese feather cunning flattery branch vanity beak song proud listen dropped thief "
    "hungry black glossy voice praise sly master fable moral trick morsel hearer lesson worth"
).split()


def windows(count, seed):
    """Pieces of one tale, each of them nearly the one before."""
    rows = coins(count, seed)
    for n, row in enumerate(rows):
        words = [TALE[(n + place) % len(TALE)] for place in range(14)]
        row |= {"prompt": " ".join(words), "weak_score": 0, "strong_score": 1}
    return rows


def test_questions_that_are_alike_are_in_the_reference_as_traffic_meets_them():
    """A twentieth of the traffic is of one tale, and it is the hardest of all."""
    rows = (*made_up.rows(500, 1), *rows_of(windows(26, 1), "made up"))
    table = table_of(rows)
    assert len(set(table.groups)) == 501, "all of the tale is one question"
    model = fit(table, QUICK)
    moved = of_traffic(model, table, QUICK)
    new = table_of(rows_of([coins(1)[0] | {"prompt": " ".join(TALE[3:17][::-1])}]))
    found = 0.9 * float(gain(moved.p_good(new.readings))[0])
    assert moved.calibration == model.calibration
    assert rank(found, moved.reference) == pytest.approx(0.95, abs=0.03)
    assert rank(found, model.reference) > 0.99, "all of it having been held out, none stood there"


def test_where_no_two_are_alike_nothing_changes():
    table = table_of(rows_of(sums(60)))
    model = fit(table, QUICK)
    assert of_traffic(model, table, QUICK) is model
