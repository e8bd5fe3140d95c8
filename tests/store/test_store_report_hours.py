"""Reports of hours that were added up say what reports of their rows say, whatever happens."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from gateway.store import totals as reading
from gateway.store.blocks import EVER, Period, pack, unpack
from gateway.store.ledgers import ledger_at
from gateway.store.retention import expire
from gateway.store.rollup_tables import HOUR, hour_of, mark
from gateway.store.rollups import roll_up
from gateway.store.totals import totals
from loadtests.made_up_ledger import DAY, START, make
from router_models.report.figures import Asked, figures

LATE = 1e11
_CUT = ("saved_share", "over_time", "blocks", "starts")
"""What depends on where the blocks are cut: intervals."""


def add_up(path):
    with closing(ledger_at(path).write()) as writer:
        while roll_up(writer, LATE):
            pass


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """A ledger of which no hour was added up."""
    return make(tmp_path_factory.mktemp("rows") / "waterfall.db", 600, days=3)


@pytest.fixture
def ledger(tmp_path):
    """The same with every hour added up."""
    path = make(tmp_path / "waterfall.db", 600, days=3)
    add_up(path)
    return path


def told(path, period=EVER, blocks=20):
    whole = figures(totals(path, period, blocks), Asked(period))
    return {name: value for name, value in whole.items() if name not in _CUT}


def tell(path, sql, *values):
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(sql, values).fetchall()


def from_hours(path, monkeypatch):
    """See to it that rows are read only of what no hour has: return the periods that are."""
    read, block_of_time = [], reading.block_of_time

    def noted(connection, period):
        read.append((period.since, period.until))
        return block_of_time(connection, period)

    with monkeypatch.context() as patch:
        patch.setattr(reading, "block_of_time", noted)
        patch.setattr(reading, "_edges", lambda *_: pytest.fail("it was read by numbers"))
        totals(path, blocks=20)
    return read


@pytest.mark.parametrize(
    "period",
    [
        Period(),
        Period(route="contracts"),
        Period(START + 100.5, START + 2 * DAY + 17.25),
        Period(since=START + DAY / 2),
        Period(START + 100.5, START + 2 * DAY, "waterfall"),
    ],
)
def test_hours_say_what_rows_say(rows, ledger, period):
    by_hours = told(ledger, period)
    assert by_hours == told(rows, period)
    assert by_hours["requests"] > 30


def test_all_of_it_comes_from_hours_and_in_blocks_of_one_size(ledger, monkeypatch):
    assert from_hours(ledger, monkeypatch) == []
    found = totals(ledger, blocks=20)
    assert len(found.blocks) == 20
    assert {each.count for each in found.blocks} <= set(range(16, 47))
    ends = [max(row["last"] for row in each.requests) for each in found.blocks]
    assert ends == sorted(ends)


def test_what_comes_late_is_in_it_before_its_hour_is_added_up_again(rows, ledger, monkeypatch):
    with closing(sqlite3.connect(ledger)) as connection, connection:
        connection.execute("UPDATE request SET cost = cost + 7, shadow_cost = 5 WHERE id = 300")
        (began,) = connection.execute("SELECT started_at FROM request WHERE id = 300").fetchone()
        mark(connection, [began])
    assert told(ledger)["bill"]["actual"] == told(rows)["bill"]["actual"] + 12
    hour = float(hour_of(began))
    assert from_hours(ledger, monkeypatch) == [(hour, hour + HOUR)]
    add_up(ledger)
    assert from_hours(ledger, monkeypatch) == []
    assert told(ledger)["bill"]["actual"] == told(rows)["bill"]["actual"] + 12


def test_an_hour_that_an_older_version_added_up_anew_is_read_by_rows(rows, ledger, monkeypatch):
    tell(ledger, "UPDATE request SET cost = cost + 7 WHERE id = 300")
    hour = tell(ledger, "SELECT CAST(started_at / 3600 AS INTEGER) * 3600 FROM request LIMIT 1")
    (row,) = tell(ledger, "SELECT hour FROM rollup_hour WHERE hour > ? LIMIT 1", hour[0][0])
    tell(ledger, "UPDATE rollup_hour SET cost = cost + 7 WHERE hour = ?", row[0])
    assert [float(row[0])] == [since for since, _ in from_hours(ledger, monkeypatch)]


def test_requests_that_are_deleted_stay_in_the_report(rows, ledger):
    delete(ledger, START + 2 * DAY)
    assert 0 < tell(ledger, "SELECT count(*) FROM request")[0][0] < 300
    gone = told(ledger)
    kept = told(rows)
    for part in ("requests", "bill", "cost", "losses", "certainty", "served"):
        assert gone[part] == kept[part]


def delete(path, before):
    with closing(ledger_at(path).write()) as writer:
        while expire(writer, before):
            pass


FIRST_DAY = (START // DAY + 1) * DAY
"""The first whole day (UTC): it is deleted with what was before it."""
GONE = Period(FIRST_DAY, FIRST_DAY + DAY)


@pytest.mark.parametrize("route", [None, "contracts"])
def test_few_hours_that_are_deleted_are_not_reported_as_nothing(rows, ledger, route):
    """So few are read by their rows elsewhere; here there are none."""
    day = replace(GONE, route=route)
    delete(ledger, START + 2 * DAY)
    found, kept = totals(ledger, day), totals(rows, day)
    assert kept.blocks
    for part in ("requests", "bill", "cost", "losses", "certainty", "served"):
        gone = figures(found, Asked(day))[part]
        assert gone == figures(kept, Asked(day))[part], part
    assert (found.deleted_before, found.missing) == (GONE.until, 0)
    assert (kept.deleted_before, kept.missing) == (None, 0)


def test_what_is_in_no_figure_since_it_was_deleted_is_counted(rows, ledger):
    def count(since, until):
        return sum(each.count for each in totals(rows, Period(since, until)).blocks)

    delete(ledger, START + 2 * DAY)
    cut = totals(ledger, Period(FIRST_DAY + HOUR / 2, FIRST_DAY + 5 * HOUR))
    assert cut.missing == count(FIRST_DAY, FIRST_DAY + HOUR) > 0
    hour = hour_of(FIRST_DAY - 1)
    tell(ledger, "DELETE FROM report_hour WHERE hour = ?", hour)  # an older version keeps none
    found = totals(ledger)
    assert found.missing == count(hour, hour + HOUR) > 0
    everything = figures(found, Asked())["requests"]
    assert everything + found.missing == figures(totals(rows), Asked())["requests"]
    after = totals(ledger, Period(GONE.until))
    assert (after.deleted_before, after.missing) == (None, 0)
    tell(ledger, "DELETE FROM report_hour")
    nothing = totals(ledger, GONE)
    assert (nothing.blocks, nothing.missing) == ((), count(GONE.since, GONE.until))


def test_few_hours_are_read_by_their_rows(ledger):
    found = totals(ledger, Period(START, START + 6 * 3600), blocks=20)
    assert 18 <= len(found.blocks) <= 20
    assert sum(each.count for each in found.blocks) == 50


def test_a_block_is_the_same_when_it_comes_back(ledger):
    (block,) = totals(ledger, blocks=1).blocks
    assert unpack(pack(block)) == block
