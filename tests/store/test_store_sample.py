"""Whole requests drawn by chance, held against all of them."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing

import pytest

from gateway.store.blocks import Period
from gateway.store.histories import histories
from gateway.store.sample import sample
from loadtests.made_up_ledger import DAY, START, make


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    return make(tmp_path_factory.mktemp("sample") / "waterfall.db", 800, days=4)


WATERFALL = Period(route="waterfall")


def test_a_sample_of_all_is_all_of_them_in_order(ledger):
    assert sample(ledger, WATERFALL, 800, random.Random(0)) == list(histories(ledger, "waterfall"))


def test_the_same_seed_draws_the_same_and_another_another(ledger):
    def drawn(seed):
        return [h.row["id"] for h in sample(ledger, WATERFALL, 40, random.Random(seed))]

    assert drawn(1) == drawn(1) == sorted(drawn(1))
    assert len(drawn(1)) == 40
    assert drawn(1) != drawn(2)


def test_every_request_is_as_likely_as_any_other(ledger):
    counts = [0] * 4
    for seed in range(60):
        for history in sample(ledger, WATERFALL, 40, random.Random(seed)):
            counts[int((history.row["started_at"] - START) // DAY)] += 1
    expected = 60 * 40 / 4
    assert sum((count - expected) ** 2 / expected for count in counts) < 21  # chi², 3: p = 0.0001


def test_a_period_bounds_it_and_so_does_what_was_decided(ledger, tmp_path):
    period = Period(START + DAY, START + 2 * DAY)
    found = sample(ledger, period, 500, random.Random(0))
    assert len(found) == 200
    assert all(START + DAY <= each.row["started_at"] < START + 2 * DAY for each in found)
    older = make(tmp_path / "waterfall.db", 50)
    with closing(sqlite3.connect(older)) as connection, connection:
        connection.execute("UPDATE request SET decided = NULL WHERE id > 10")
    assert len(sample(older, Period(), 50, random.Random(0))) == 10
    assert sample(older, Period(since=START + 90 * DAY), 50, random.Random(0)) == []


def test_among_the_labelled_only_those_are_drawn(ledger):
    found = sample(ledger, WATERFALL, 10, random.Random(0), labelled=True)
    assert len(found) == 10
    assert all(each.good for each in found)
    everything = sample(ledger, WATERFALL, 800, random.Random(0), labelled=True)
    assert len(everything) == sum(bool(each.good) for each in histories(ledger, "waterfall"))
