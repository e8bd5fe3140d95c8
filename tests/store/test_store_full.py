"""A full disk: under the database, under the spool beside it, and at the start."""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from contextlib import closing

import pytest
from sample_entries import entry, open_call

from gateway.store import journal, read, slots, sqlite_ledger


@pytest.fixture
def full(monkeypatch):
    """The spool's files take nothing, until `full.clear()`; a list, so that it can be told."""
    refused, write, allocate = ["full"], os.write, os.pwrite

    def to_spool(fd, data):
        if refused and bytes(data[:2]) == b"\xffW":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, data)

    def to_marks(fd, data, at):
        if refused:
            raise OSError(errno.ENOSPC, "No space left on device")
        return allocate(fd, data, at)

    monkeypatch.setattr(os, "write", to_spool)
    monkeypatch.setattr(os, "pwrite", to_marks)
    refused.clear()
    return refused


def served(store):
    """One request: marked, settled, its record appended; returns the id of its call."""
    made = entry()
    (record,) = made.outcome.attempts[0].calls
    slot = store.journal.open(open_call(entry_id=made.origin.entry_id, call_id=record.call_id))
    store.journal.settle(slot, record)
    store.journal.append(made, (slot,))
    return record.call_id


def ledger(store, sql="SELECT call_id FROM call"):
    with closing(sqlite3.connect(store.path)) as connection:
        return [first for (first,) in connection.execute(sql)]


def test_a_full_disk_under_the_database_only_delays(opened, monkeypatch):
    """As SQLite has it: no page more than so many, until there is room again."""
    room = ["PRAGMA max_page_count = 1"]
    real = sqlite_ledger.sqlite.connect

    def connect(path):
        connection = real(path)
        connection.execute(room[0])
        return connection

    opened().close()
    monkeypatch.setattr(sqlite_ledger.sqlite, "connect", connect)
    store = opened()
    made = [entry() for _ in range(200)]
    for each in made:
        store.journal.append(each, ())
    assert not store.flush(0.5)
    end = time.monotonic() + 20
    while not store.state().write_failures and time.monotonic() < end:
        time.sleep(0.01)
    assert store.state().write_failures
    room[0] = "PRAGMA max_page_count = 1000000"
    assert store.flush(30)
    assert (store.state().malformed, store.state().dropped_disk) == (0, 0)
    rows = read.requests(store.path)
    assert [row["entry_id"] for row in rows] == [each.origin.entry_id for each in made]


def test_a_full_disk_under_the_spool_leaves_every_call_to_be_found(opened, full, caplog):
    store = opened()
    before = [served(store) for _ in range(5)]
    full.append("full")
    lost = [served(store) for _ in range(40)]
    assert store.state().dropped_disk == 40
    assert store.state().open_calls == 0, "they are over"
    assert not store.close()
    assert "next start" in caplog.text
    full.clear()
    again = opened()
    assert sorted(ledger(again)) == sorted(before + lost), "40 of 40"
    assert again.state().recovered_settled == 40
    assert set(ledger(again, "SELECT status FROM call")) == {"ok"}, "with what they cost"
    assert len(set(ledger(again, "SELECT cost FROM call"))) == 1


def test_what_was_refused_is_whole_once_there_is_room(opened, full):
    store = opened()
    full.append("full")
    lost = [served(store) for _ in range(20)]
    full.clear()
    later = [served(store)]
    assert store.flush(20)
    assert len(ledger(store)) == 1 + journal.AT_ONCE, "a few at a time"
    later += [served(store) for _ in range(2)]
    assert store.flush(20)
    assert sorted(ledger(store)) == sorted(lost + later)
    assert set(ledger(store, "SELECT outcome FROM request")) == {"ok"}, "as if nothing had been"
    state = store.state()
    assert (state.dropped_disk, state.open_calls, store.journal.kept_marks) == (20, 0, 0)
    assert store.close()
    assert not store._owner.slots.exists()


def test_at_the_end_they_are_offered_once_more(opened, full):
    store = opened()
    full.append("full")
    lost = [served(store) for _ in range(20)]
    full.clear()
    assert store.close()
    assert sorted(ledger(store)) == sorted(lost)


def test_of_more_than_fits_in_memory_the_marks_alone_stay(opened, full, monkeypatch):
    monkeypatch.setattr(journal, "MOST_BYTES", 4_000)
    store = opened()
    full.append("full")
    lost = [served(store) for _ in range(20)]
    full.clear()
    for _ in range(5):
        lost.append(served(store))
    assert store.flush(20)
    assert 5 < len(ledger(store)) < 25
    assert store.journal.kept_marks == 25 - len(ledger(store))
    assert not store.close()
    assert sorted(ledger(opened())) == sorted(lost)


@pytest.mark.parametrize("memory", [1 << 20, 0])
def test_a_call_under_way_goes_before_the_mark_of_one_that_is_over(
    opened, full, monkeypatch, memory
):
    monkeypatch.setattr(slots, "MAX_SLOTS", slots.CHUNK_SLOTS)
    monkeypatch.setattr(journal, "MOST_BYTES", memory)
    store = opened()
    full.append("full")
    store.journal.append(entry(), ())  # of no call: it keeps no mark
    lost = [served(store) for _ in range(slots.CHUNK_SLOTS)]
    marked = store.journal.open(open_call(1, call_id="under way"))
    assert marked != slots.UNMARKED
    assert store.state().unmarked_calls == 0
    store.close()
    full.clear()
    found = set(ledger(opened()))
    assert found < {*lost, "under way"}
    assert (len(found), "under way" in found) == (len(lost), True), "but for one"


def test_it_starts_on_a_full_disk_and_marks_again_once_there_is_room(opened, full):
    opened().close()
    full.append("full")
    store = opened()
    served(store)
    assert store.state().unmarked_calls == 1
    assert store.journal.kept_marks == 0, "what has no mark keeps none"
    full.clear()
    served(store)
    assert store.flush(20)
    assert (len(ledger(store)), store.state().unmarked_calls) == (2, 1)
