"""Old requests go, with all that is theirs, once their hours are rolled up."""

from __future__ import annotations

import threading
from dataclasses import replace

from sample_entries import entry, escalated, examined
from store.test_store_rollups import FAR, START, as_rolled, at, put

from gateway.store.ledgers import ledger_at
from gateway.store.prompts import Forgetting
from gateway.store.retention import Tidying, expire
from gateway.store.rollups import kept_from, roll_up

DAY = 86_400


def tidying(now, retention):
    return Tidying(Forgetting(30 * DAY, lambda: now), retention, lambda: now)


def test_old_requests_go_with_all_that_is_theirs_and_their_roll_ups_stay(home):
    old = at(0, escalated, prompt=None)
    young = at(70 * DAY, examined)
    put(home, old, young)
    for entry_id in (each["request"]["entry_id"] for each in (old, young)):
        values = (entry_id, "small", "user", 1.0, START)
        home.tell("INSERT INTO label VALUES (?, ?, ?, ?, ?)", *values)
        home.tell("INSERT INTO prompt VALUES (?, ?, ?)", entry_id, FAR, "{}")
    before = as_rolled(home)
    with home.writer() as writer:
        while tidying(START + 71 * DAY, 30 * DAY).tidy(writer):
            pass
    for table in ("request", "attempt", '"call"', "label", "prompt"):
        rows = home.ask(f"SELECT count(*) FROM {table}")[0][0]  # noqa: S608
        assert rows == {"attempt": 1, '"call"': 2}.get(table, 1), table
    assert home.ask("SELECT entry_id FROM request") == [(young["request"]["entry_id"],)]
    assert as_rolled(home) == before
    # A row that is this late is in no roll-up: its hour's requests cannot be added up any more.
    put(home, at(5))
    with home.writer() as writer:
        while tidying(START + 71 * DAY, 30 * DAY).tidy(writer):
            pass
    assert as_rolled(home) == before
    assert home.ask("SELECT count(*) FROM request") == [(1,)]


def test_nothing_goes_before_its_hour_is_rolled_up(home):
    put(home, at(0))
    with home.writer() as writer:
        assert not expire(writer, FAR)
        assert home.ask("SELECT count(*) FROM request") == [(1,)]
        assert kept_from(writer.connection) == 0
        assert roll_up(writer, FAR)
        expire(writer, FAR)
    assert home.ask("SELECT count(*) FROM request") == [(0,)]


def test_without_a_retention_nothing_goes(home):
    put(home, at(0))
    with home.writer() as writer:
        while tidying(FAR, None).tidy(writer):
            pass
    assert home.ask("SELECT count(*) FROM request") == [(1,)]


def test_it_goes_in_batches_while_rows_are_taken(opened, monkeypatch):
    monkeypatch.setattr("gateway.store.sqlite_ledger.EXPIRE_BATCH", 7)
    monkeypatch.setattr("gateway.store.drain.EVERY_SECONDS", 0.01)
    monkeypatch.setattr("gateway.store.drain.TIDY_SECONDS", 0.05)
    clock = [START + 100.0]
    store = opened(wall=lambda: clock[0], retention=10 * DAY)
    for number in range(30):
        made = entry()
        made = replace(made, origin=replace(made.origin, started_at=START + number))
        store.journal.append(made, ())
    assert store.flush()
    clock[0] += 12 * DAY
    young = entry()
    young = replace(young, origin=replace(young.origin, started_at=clock[0]))
    store.journal.append(young, ())
    assert store.flush()
    done = threading.Event()
    with ledger_at(store.place).read() as connection:
        assert connection.execute("SELECT count(*) FROM request").fetchone()[0] >= 1
    for _ in range(2000):
        with ledger_at(store.place).read() as connection:
            if connection.execute("SELECT count(*) FROM request").fetchone()[0] == 1:
                break
        done.wait(0.01)
    with ledger_at(store.place).read() as connection:
        assert connection.execute("SELECT entry_id FROM request").fetchall()[0][0] == (
            young.origin.entry_id
        )
        assert connection.execute("SELECT sum(requests) FROM rollup_hour").fetchone()[0] == 30
