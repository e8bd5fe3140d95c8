"""What waits is counted, and what is there, whether the ledger can be had or not."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from sample_entries import call, entry, escalated, open_call

from gateway.core.rows import row
from gateway.store.encode import encode
from gateway.store.owner import claim
from gateway.store.schema import VERSION
from gateway.store.slots import Slots
from gateway.store.spool import Spool
from gateway.store.status import status


def test_what_is_there(home):
    store = home.open()
    for each in (entry(), escalated()):
        store.journal.append(each, ())
    assert store.flush()
    seen = status(home.place, home.spool)
    assert (seen.exact, seen.why, seen.layout, seen.held.layout) == (True, "", VERSION, VERSION)
    counts = {"request": 2, "attempt": 3, "call": 3, "check_result": 1}
    assert counts.items() <= seen.held.rows.items()
    assert seen.held.bytes > 10_000
    assert seen.held.oldest < seen.held.newest
    assert [each.rows for each in seen.waiting] == [0]
    assert (seen.held.due_hours, seen.held.kept_from) == (1, 0)
    assert bool(seen.held.partitions) is not home.is_sqlite
    assert all(size > 0 for size in seen.held.partitions.values())


def test_what_waits_of_the_living_and_of_the_dead(home):
    store = home.open()
    store.journal.append(entry(), ())
    assert store.flush()
    slot = store.journal.open(open_call())
    store.journal.open(open_call())
    store.journal.settle(slot, call())
    dead = claim(home.spool)
    spool = Spool(dead)
    first, *rest = (entry() for _ in range(3))
    for each in (first, *rest):
        spool.append(encode(row(each)))
    Slots(dead.slots).open(open_call())
    spool.close()
    dead.segment(1).write_bytes(dead.segment(1).read_bytes() + b"\xffWhalf")
    os.close(dead.lock)
    seen = {each.process: each for each in status(home.place, home.spool).waiting}
    own = seen[store._owner.name]
    assert (own.alive, own.rows, own.open_calls, own.settled_calls) == (True, 0, 1, 1)
    left = seen[dead.name]
    assert (left.alive, left.rows, left.open_calls, left.torn_bytes) == (False, 3, 1, 6)
    assert left.oldest == first.origin.started_at
    assert status(home.place, home.spool).waiting == tuple(seen[name] for name in sorted(seen))


def test_without_a_ledger_what_waits_is_told_all_the_same(tmp_path):
    owner = claim(tmp_path / "spool")
    spool = Spool(owner)
    spool.append(b"no json")
    seen = status(tmp_path / "none.db", tmp_path / "spool")
    assert (seen.exact, seen.held, seen.waiting[0].rows) == (False, None, 1)
    assert seen.waiting[0].oldest is None
    assert "none.db" in seen.why
    assert not (tmp_path / "none.db").exists(), "and is not made by asking"
    assert status(tmp_path / "none.db", tmp_path / "nowhere").waiting == ()


def test_an_older_layout_is_told_and_left_as_it_is(tmp_path):
    script = (Path(__file__).parent / "layout_1.sql").read_text()
    with closing(sqlite3.connect(tmp_path / "l.db")) as connection, connection:
        connection.executescript(script)
    seen = status(tmp_path / "l.db", tmp_path / "spool")
    assert seen.held is None
    assert "no such table" in seen.why
    with closing(sqlite3.connect(tmp_path / "l.db")) as connection:
        assert connection.execute("SELECT value FROM meta").fetchall() == [("1",)]


def test_looking_locks_nobody_out(home, monkeypatch):
    """A dead process's files are taken over while somebody looks at them again and again."""
    dead = claim(home.spool)
    Slots(dead.slots).open(open_call())
    os.close(dead.lock)
    monkeypatch.setattr("gateway.store.owner.adopt", adopting_while_looking(home))
    assert home.open().recovered.unsettled == 1


def adopting_while_looking(home):
    from gateway.store import owner

    real = owner.adopt

    def adopt(folder):
        for each in real(folder):
            status(home.place, home.spool)
            yield each

    return adopt
