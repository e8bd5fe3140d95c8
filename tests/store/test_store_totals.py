"""What a period's requests add up to, held against their own rows."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from gateway.store.blocks import Period
from gateway.store.recorded import recorded_calls
from gateway.store.totals import Totals, totals
from loadtests.made_up_ledger import DAY, START, make


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    return make(tmp_path_factory.mktemp("totals") / "waterfall.db", 600, days=3)


def ask(path, columns, place, *values):
    """One row."""
    query = f"SELECT {columns} FROM {place}"  # noqa: S608 - ours
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query, values).fetchone()


def summed(found, part, name):
    return sum(row[name] for block in found.blocks for row in getattr(block, part))


@pytest.mark.parametrize("blocks", [1, 7, 100, 10_000])
def test_however_it_is_cut_it_adds_up_to_the_rows(ledger, blocks):
    found = totals(ledger, blocks=blocks)
    assert len(found.blocks) == min(blocks, 600)
    own = ask(
        ledger,
        "count(*), sum(cost), sum(discarded_cost), sum(shadow_cost), sum(baseline_cost),"
        " sum(estimated), sum(degraded)",
        "request",
    )
    names = ("requests", "cost", "discarded_cost", "shadow_cost", "baseline_cost", "estimated")
    told = [summed(found, "requests", name) for name in (*names, "degraded")]
    assert told == list(own)
    assert own[2] > 0
    assert own[3] > 0
    served = ask(ledger, "sum(cost)", "attempt WHERE served")[0]
    assert summed(found, "requests", "served_cost") == served
    others = ask(ledger, "count(*), sum(cost)", "attempt WHERE NOT served")
    sums = (summed(found, "attempts", "attempts"), summed(found, "attempts", "cost"))
    assert sums == others
    assert (summed(found, "requests", "check_cost"),) == ask(ledger, "sum(cost)", "check_result")
    vain = "check_result JOIN attempt ON (attempt.request, attempt.seq) ="
    vain += (
        " (check_result.request, check_result.attempt) WHERE check_result.cost > 0 AND NOT served"
    )
    checks = ask(ledger, "count(*), sum(check_result.cost)", vain)
    assert (summed(found, "checks", "checks"), summed(found, "checks", "cost")) == checks
    assert checks[1] > 0


def test_what_checks_cost_is_known_of_rows_that_an_older_version_kept_too(ledger, tmp_path):
    path = make(tmp_path / "waterfall.db", 120)
    before = [dict(row) for row in totals(path, blocks=1).blocks[0].requests]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE request SET check_cost = NULL WHERE id % 2")
    assert [dict(row) for row in totals(path, blocks=1).blocks[0].requests] == before
    assert sum(row["check_cost"] for row in before) > 0


def test_calls_are_told_where_there_is_something_to_tell(ledger):
    found = totals(ledger)
    there = "cached_tokens > 0 OR estimated OR status <> 'ok'"
    own = ask(ledger, "count(*), sum(cost), sum(cached_tokens)", f'"call" WHERE {there}')
    names = ("calls", "cost", "cached_tokens")
    assert tuple(summed(found, "calls", name) for name in names) == own
    assert own[2] > 0


def test_a_period_and_a_route_bound_all_of_it(ledger):
    since, until = START + DAY, START + 2 * DAY
    found = totals(ledger, Period(since, until, "contracts"))
    place = "request WHERE started_at >= ? AND started_at < ? AND route = ?"
    asked = (since, until, "contracts")
    own = ask(ledger, "count(*), sum(cost)", place, *asked)
    assert (summed(found, "requests", "requests"), summed(found, "requests", "cost")) == own
    assert own[0] == 20
    inside = "JOIN request ON request.id = {0}.request AND started_at >= ? AND started_at < ?"
    inside += " AND route = ?"
    vain = f"attempt {inside.format('attempt')} WHERE NOT served"
    cost = ask(ledger, "sum(attempt.cost)", vain, *asked)
    assert (summed(found, "attempts", "cost"),) == cost
    checks = f"check_result {inside.format('check_result')}"
    cost = ask(ledger, "sum(check_result.cost)", checks, *asked)
    assert (summed(found, "requests", "check_cost"),) == cost
    ends = ask(ledger, "min(started_at), max(started_at)", place, *asked)
    assert (found.first, found.last) == ends


def test_labels_are_a_mean_of_their_sources_and_paired_by_request(tmp_path):
    path = make(tmp_path / "waterfall.db", 60)
    one, other = (
        ask(path, "entry_id", "request WHERE tier = 'small' ORDER BY id LIMIT 1 OFFSET ?", number)[
            0
        ]
        for number in (0, 1)
    )
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM label")
        said = [(one, "small", "a", 1.0), (one, "small", "b", 0.0), (one, "large", "a", 1.0)]
        rows = [(*each, 0) for each in (*said, (other, "small", "a", 0.25))]
        connection.executemany("INSERT INTO label VALUES (?, ?, ?, ?, ?)", rows)
    (row,) = totals(path).labels
    assert (row["route"], row["tier"], row["baseline_tier"]) == ("waterfall", "small", "large")
    assert (row["labelled"], row["judged"], row["served"]) == (2, 2, 0.75)
    assert (row["pairs"], row["gap"], row["gap_squares"]) == (1, -0.5, 0.25)


def test_nothing_is_not_an_error_but_no_ledger_is(ledger, tmp_path):
    assert totals(ledger, Period(since=START + 99 * DAY)) == Totals()
    with pytest.raises(OSError, match="not to be had"):
        totals(tmp_path / "none.db")
    with pytest.raises(OSError, match="not to be had"):
        recorded_calls(tmp_path / "none.db", 0, 1)


def test_calls_by_the_hour_add_up_to_the_calls_of_those_hours(ledger):
    first = int(START // 3600) * 3600
    rows = recorded_calls(ledger, first + 3600, first + 25 * 3600)
    sums = "count(*), sum(cost), sum(prompt_tokens), sum(completion_tokens), sum(cached_tokens)"
    there = '"call" WHERE started_at >= ? AND started_at < ?'
    own = ask(ledger, sums, there, first + 3600, first + 25 * 3600)
    names = ("calls", "cost", "prompt_tokens", "completion_tokens", "cached_tokens")
    assert tuple(sum(row[name] for row in rows) for name in names) == own
    assert own[0] > 200
    assert {row["hour"] for row in rows} <= set(range(first // 3600 + 1, first // 3600 + 25))
    assert {row["model"] for row in rows} == {"mini-1", "midi-1", "maxi-1", "judge-1"}
