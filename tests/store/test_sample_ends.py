"""The first and the last number of a period, told from a ledger's ends where they are near."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.store import sample
from gateway.store.blocks import Period

TIMES = st.lists(st.integers(0, 9), max_size=30)
BOUND = st.none() | st.integers(-1, 11)


@pytest.mark.parametrize("near", [0, 3, 100])
def test_they_are_those_of_all_the_period_s_requests(near, monkeypatch):
    monkeypatch.setattr(sample, "NEAR", near)

    @settings(max_examples=60, deadline=None)
    @given(TIMES, BOUND, BOUND)
    def holds(times, since, until):
        """Numbers follow time for the most part: who comes late has a greater one."""
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.execute("CREATE TABLE request (id INTEGER PRIMARY KEY, started_at REAL)")
            connection.execute("CREATE INDEX by_time ON request (started_at)")
            rows = [(number * 2, at) for number, at in enumerate(times)]
            connection.executemany("INSERT INTO request VALUES (?, ?)", rows)
            found = sample._first_and_last(connection, Period(since, until))
        there = [
            number
            for number, at in rows
            if (since is None or at >= since) and (until is None or at < until)
        ]
        assert found == ((min(there), max(there)) if there else (None, None))

    holds()
