from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing

from held_open import held_open
from sample_entries import cancelled, entry, open_call

from gateway.store import drain, read, sqlite_ledger
from gateway.store.sqlite import connect
from gateway.store.store import open_store


def eventually(true, seconds=20.0):
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.01)
    return true()


def test_a_locked_ledger_only_delays(opened, caplog):
    store = opened()
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for _ in range(20):
            store.journal.append(entry(), ())
        assert not store.flush(0.5)
        assert eventually(lambda: store.state().write_failures > 0)
        assert store.state().oldest_unflushed_seconds > 0
        other.execute("ROLLBACK")
    assert store.flush(30)
    assert len(read.requests(store.path)) == 20
    assert eventually(lambda: store.state().oldest_unflushed_seconds == 0)
    alarms = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(alarms) == 1


def test_a_ledger_locked_at_the_start_does_not_keep_it_from_serving(opened, tmp_path):
    connect(tmp_path / "ledger.db").close()
    with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        store = opened(wait=0.1)
        store.journal.append(entry(), ())
        assert not store.flush(0.2)
        other.execute("ROLLBACK")
    assert store.flush(30)
    assert len(read.requests(store.path)) == 1


def test_rows_that_cannot_be_written_by_the_end_wait_for_the_next_start(opened, caplog):
    store = opened()
    kept = entry()
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        store.journal.append(kept, ())
        began = time.monotonic()
        assert not store.close(0.8)
        assert time.monotonic() - began < 1.4, "one time limit, not one for each part"
        assert "next start" in caplog.text
    eventually(lambda: not store._drain._thread.is_alive())
    again = opened()
    assert [found["entry_id"] for found in read.requests(again.path)] == [kept.origin.entry_id]


def test_a_vanished_segment_does_not_stop_the_rest(opened):
    store = opened(segment_bytes=100)
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for _ in range(3):
            store.journal.append(entry(), ())
        store._owner.segment(2).unlink()
        other.execute("ROLLBACK")
    assert store.flush(30)
    assert len(read.requests(store.path)) == 2
    assert store.state().torn_bytes > 0


def test_over_the_cap_serving_goes_on_and_what_fitted_is_kept(opened):
    store = opened(spool_cap=8_000)
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for _ in range(50):
            store.journal.append(entry(), ())
        other.execute("ROLLBACK")
    assert store.flush(30)
    dropped = store.state().dropped_cap
    assert 0 < dropped < 50
    assert len(read.requests(store.path)) == 50 - dropped
    store.journal.append(entry(), ())
    store.flush()
    assert store.state().dropped_cap == dropped


def test_the_writer_gives_way_between_slices_unless_somebody_waits_or_rows_pile_up(
    opened, monkeypatch
):
    store = opened()
    waits, real = [], store._drain._wake.wait
    monkeypatch.setattr(store._drain._wake, "wait", lambda time: waits.append(time) or real(time))
    for much in (drain.BATCH_BYTES, 1):
        monkeypatch.setattr(drain, "BATCH_BYTES", much)
        waits.clear()
        with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            for _ in range(100):
                store.journal.append(entry(), ())
            other.execute("ROLLBACK")
        assert store.flush(30)
        slices = len([each for each in waits if 0 < each < drain.EVERY_SECONDS])
        assert (slices > 0) == (much > 1)


def test_a_pause_is_as_long_as_the_slice_before_it_took(opened):
    store = opened()
    for _ in range(50):
        store.journal.append(entry(), ())
    assert store.flush(30)
    segment, pauses = store._spool.segments()[-1], []
    with closing(sqlite_ledger.SqliteLedger(store.path).write()) as writer:
        began = time.monotonic()
        end, done, _ = drain.move_batch(writer, segment, 0, pauses.append)
        assert (end, done.known) == (segment.size, 50)
        assert len(pauses) == -(-50 // writer.at_once)
        assert min(pauses) > 0
        assert sum(pauses) < time.monotonic() - began


def test_closing_leaves_one_private_file(opened, tmp_path):
    store = opened()
    slot = store.journal.open(open_call())
    store.journal.append(entry(), (slot,))
    assert store.close()
    assert list((tmp_path / "ledger.db.spool").iterdir()) == []
    assert (tmp_path / "ledger.db.spool").stat().st_mode & 0o777 == 0o700
    assert store.path.stat().st_mode & 0o777 == 0o600
    assert store.close()


def test_appending_while_it_drains_loses_nothing(opened):
    store = opened(segment_bytes=5_000)
    flushes = []
    watcher = threading.Thread(target=lambda: flushes.extend(store.flush() for _ in range(20)))
    watcher.start()
    for _ in range(500):
        store.journal.append(entry(), ())
    watcher.join()
    assert store.flush()
    assert flushes == [True] * 20
    with closing(sqlite3.connect(store.path)) as reader:
        counts = reader.execute("SELECT count(*), count(DISTINCT entry_id) FROM request")
        assert counts.fetchone() == (500, 500)
        assert reader.execute("SELECT count(*) FROM segment").fetchone()[0] <= 1


def test_files_and_threads_go_back_to_what_they_were(tmp_path):
    open_store(tmp_path / "l.db").close()
    threads = set(threading.enumerate())
    for _ in range(20):
        store = open_store(tmp_path / "l.db", segment_bytes=500)
        for _ in range(20):
            slot = store.journal.open(open_call())
            store.journal.append(cancelled(), (slot,))
        store.close()
    assert held_open(tmp_path) == set()
    assert set(threading.enumerate()) <= threads


def test_several_processes_worth_of_stores_share_one_ledger(opened):
    stores = [opened() for _ in range(3)]
    for number in range(300):
        stores[number % 3].journal.append(entry(), ())
    assert [store.flush(30) for store in stores] == [True] * 3
    assert len(read.requests(stores[0].path)) == 300
    assert sum(store.state().written for store in stores) == 300


def test_a_fault_of_our_own_does_not_end_the_thread(opened, monkeypatch, caplog):
    real = drain.move_batch

    def move(*_):
        raise KeyError("no such column")

    store = opened()
    monkeypatch.setattr(drain, "move_batch", move)
    store.journal.append(entry(), ())
    assert eventually(lambda: store.state().write_failures > 1)
    monkeypatch.setattr(drain, "move_batch", real)
    assert store.flush(30)
    assert len(read.requests(store.path)) == 1
    alarms = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(alarms) == 1
    assert "KeyError: 'no such column'" in alarms[0].message
    assert alarms[0].exc_info
