"""Closed days as files: whole or not at all, and deleted only once they are read back."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date

import duckdb
import pyarrow.parquet as pq
import pytest
from sample_entries import cancelled, entry, escalated, examined, failed
from sample_rows import record

from gateway.store import parquet
from gateway.store.days import EXPORTED, day_of, days_before, rows, start_of, totals
from gateway.store.deletion import delete_exported
from gateway.store.duck import ask, open_days
from gateway.store.ledgers import ledger_at, reading
from gateway.store.parquet import ExportError, export, files, read_manifest
from gateway.store.rollups import hours

FIRST = date(2026, 9, 29)
DAYS = [date(2026, 9, 29), date(2026, 9, 30), date(2026, 10, 1)]
BEFORE = date(2026, 10, 2)
KINDS = (entry, escalated, cancelled, failed, examined)


def on(day, kind=entry, seconds=0.0):
    made = kind()
    return record(replace(made, origin=replace(made.origin, started_at=start_of(day) + seconds)))


def put(home, *records):
    with home.writer() as writer, writer.transaction():
        return writer.insert(list(records))


@pytest.fixture
def full(home):
    """Three days with some of everything, and a fourth that is not over."""
    for day in (*DAYS, BEFORE):
        put(home, *(on(day, kind, n * 86_399 / 9) for n, kind in enumerate(KINDS * 2)))
    (entry_id, *_) = home.ask("SELECT min(entry_id) FROM request")[0]
    home.tell("INSERT INTO label VALUES (?, 'small', 'user', 0.5, 1.0)", entry_id)
    return home


def held(folder, table):
    """A table's exported rows, in no order."""
    found = [
        tuple(each.values())
        for path in files(folder, table)
        for each in pq.read_table(path).to_pylist()
    ]
    return sorted(found, key=repr)


def in_ledger(home, table, days=DAYS):
    with reading(home.place) as connection:
        found = [each for day in days for each in rows(connection, table, day)]
    return sorted(found, key=repr)


def test_the_files_hold_what_the_ledger_does(full, tmp_path):
    told = []
    assert export(full.place, tmp_path / "out", BEFORE, lambda *said: told.append(said)) == DAYS
    assert told == [(day, "written") for day in DAYS]
    for table in EXPORTED:
        assert held(tmp_path / "out", table) == in_ledger(full, table) != [], table
    manifest = read_manifest(tmp_path / "out", FIRST)
    with reading(full.place) as connection:
        sums = {table: totals(connection, table, FIRST) for table in EXPORTED}
    assert manifest["totals"] == sums
    assert sums["request"]["rows"] == len(KINDS) * 2
    assert sums["call"]["cost"] > 0 < sums["call"]["prompt_tokens"]


def test_again_it_writes_only_what_has_changed(full, tmp_path):
    folder = tmp_path / "out"
    export(full.place, folder, BEFORE)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert export(full.place, folder, BEFORE) == []
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()} == before
    put(full, on(DAYS[1], escalated, 5.0))
    assert export(full.place, folder, BEFORE) == [DAYS[1]]
    assert held(folder, "call") == in_ledger(full, "call")
    assert len(list((folder / "call" / f"day={DAYS[1]}").iterdir())) == 1


def test_one_that_was_cut_short_is_none(full, tmp_path, monkeypatch):
    folder = tmp_path / "out"
    real, calls = parquet._put, []

    def dies(*known):
        calls.append(known)
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(*known)

    monkeypatch.setattr(parquet, "_put", dies)
    with pytest.raises(KeyboardInterrupt):
        export(full.place, folder, BEFORE)
    assert [day for day in DAYS if read_manifest(folder, day)] == DAYS[:1]
    assert held(folder, "request") == in_ledger(full, "request", DAYS[:1])
    monkeypatch.undo()
    assert export(full.place, folder, BEFORE) == DAYS[1:]
    assert held(folder, "request") == in_ledger(full, "request")
    assert len(list(folder.rglob("request/day=*/*"))) == len(DAYS)


def test_duckdb_reads_them(full, tmp_path):
    export(full.place, tmp_path / "out", BEFORE)
    query = "SELECT sum(cost), count(*) FROM call JOIN request USING (entry_id)"
    with open_days(tmp_path / "out") as days:
        found = days.execute("SELECT sum(cost), count(*) FROM call").fetchone()
        assert days.execute("SELECT count(DISTINCT day) FROM request").fetchone() == (3,)
    start, end = start_of(FIRST), start_of(BEFORE)
    whole = 'SELECT sum(c.cost), count(*) FROM "call" AS c JOIN request AS r ON r.id = c.request '
    assert [found] == full.ask(f"{whole} WHERE r.started_at >= ? AND r.started_at < ?", start, end)
    assert str(found[1]) in ask(tmp_path / "out", "SELECT count(*) FROM call")
    with pytest.raises(ValueError, match=r"Ambiguous|Binder"):
        ask(tmp_path / "out", query)
    with pytest.raises(FileNotFoundError, match="No day"):
        ask(tmp_path, "SELECT 1")
    assert duckdb.__version__


def test_days_go_once_their_files_are_read_back_and_their_roll_ups_stay(full, tmp_path):
    folder = tmp_path / "out"
    export(full.place, folder, BEFORE)
    kept, before = held(folder, "request"), hours(full.place, 0, 2e9)
    gone = DAYS if full.is_sqlite else DAYS[:2]
    told = []
    assert delete_exported(full.place, folder, BEFORE, told.append) == gone == told
    with reading(full.place) as connection:
        assert list(days_before(connection, date(2027, 1, 1))) == sorted({*DAYS, BEFORE} - {*gone})
    assert hours(full.place, 0, 2e9) == before
    assert held(folder, "request") == kept
    for table in ("attempt", '"call"'):
        lost = "WHERE request NOT IN (SELECT id FROM request)"
        assert full.ask(f"SELECT count(*) FROM {table} {lost}") == [(0,)]  # noqa: S608
    # A late row of a day that is gone does not take the place of what was exported.
    put(full, on(FIRST))
    assert export(full.place, folder, BEFORE) == []
    assert held(folder, "request") == kept
    assert delete_exported(full.place, folder, BEFORE) == []
    assert full.ask("SELECT count(*) FROM request WHERE started_at = ?", start_of(FIRST)) == [(1,)]


def spoil(home, folder, how):
    path = files(folder, "call")[0]
    if how == "a file is gone":
        path.unlink()
    elif how == "a file lacks rows":
        pq.write_table(pq.read_table(path).slice(1), path)
    elif how == "a file has other money":
        table = pq.read_table(path)
        at = table.schema.get_field_index("cost")
        pq.write_table(table.set_column(at, "cost", table["prompt_tokens"]), path)
    elif how == "it was never exported":
        (folder / "manifest" / f"{FIRST}.json").unlink()
    else:
        put(home, on(FIRST, escalated, 77.0))


@pytest.mark.parametrize(
    "how",
    [
        "a file is gone",
        "a file lacks rows",
        "a file has other money",
        "it was never exported",
        "a row came late",
    ],
)
def test_nothing_goes_that_is_not_whole_in_its_files(full, tmp_path, how):
    folder = tmp_path / "out"
    export(full.place, folder, BEFORE)
    spoil(full, folder, how)
    before = full.ask("SELECT count(*), sum(cost) FROM request")
    with pytest.raises((ExportError, OSError)):
        delete_exported(full.place, folder, BEFORE)
    assert full.ask("SELECT count(*), sum(cost) FROM request") == before
    with ledger_at(full.place).read() as connection:
        assert connection.execute("SELECT count(*) FROM meta").fetchone()[0] == 1


def test_a_file_that_does_not_read_back_is_no_export(full, tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "_read_totals", lambda *_: {"rows": 0})
    with pytest.raises(ExportError, match="holds"):
        export(full.place, tmp_path / "out", BEFORE)
    assert list((tmp_path / "out").glob("manifest/*")) == []


def test_a_day_is_utc_s():
    assert day_of(start_of(FIRST)) == FIRST
    assert day_of(start_of(FIRST) - 0.001) == date(2026, 9, 28)


def test_the_manifest_says_which_layout(full, tmp_path):
    export(full.place, tmp_path / "out", BEFORE)
    found = json.loads((tmp_path / "out" / "manifest" / f"{FIRST}.json").read_text())
    assert set(found) == {"day", "layout", "files", "totals"}
    assert all((tmp_path / "out" / name).is_file() for name in found["files"].values())
