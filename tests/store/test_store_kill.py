"""kill -9, again and again on one ledger: all that was said to be done is found, once."""

from __future__ import annotations

import fcntl
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from sample_entries import entry, open_call

from gateway.store.owner import claim
from gateway.store.recover import recover
from gateway.store.slots import Slots, read_marks
from gateway.store.spool import frame
from gateway.store.sqlite import connect
from gateway.store.sqlite_ledger import SqliteWriter
from gateway.store.store import open_store

HERE = Path(__file__).parent
CHILD = HERE / "killed_child.py"


def run_and_kill(path, name, seed, seconds):
    """Start a child, kill it some time after its first word (or before), return its words."""
    paths = os.pathsep.join([str(HERE.parent.parent), str(HERE.parent)])
    command = [sys.executable, str(CHILD), str(path), f"{path}.spool", name, str(seed)]
    environment = os.environ | {"PYTHONPATH": paths}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as child:
        first = child.stdout.readline() if seconds >= 0 else b""
        time.sleep(abs(seconds))
        os.kill(child.pid, signal.SIGKILL)
        said = first + child.stdout.read()
    assert child.returncode == -signal.SIGKILL
    return [line.split() for line in said.decode().splitlines(keepends=True) if line[-1] == "\n"]


def calls_of(path):
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT call_id, status, cost, estimated FROM call").fetchall()
    return {call_id: (status, cost, estimated) for call_id, status, cost, estimated in found}


def requests_of(path):
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT entry_id, outcome FROM request").fetchall()
    assert len(found) == len(dict(found))
    return dict(found)


def reconcile(path, said):
    calls, requests = calls_of(path), requests_of(path)
    opened = {words[1] for words in said if words[0] == "open"}
    settled = {words[1]: int(words[2]) for words in said if words[0] == "settled"}
    kept = {words[1] for words in said if words[0] == "kept"}
    assert opened <= set(calls)
    assert {name: ("ok", cost, 0) for name, cost in settled.items()}.items() <= calls.items()
    assert {name for name, outcome in requests.items() if outcome == "ok"} >= kept
    unsettled = {name for name, (status, _, _) in calls.items() if status == "unsettled"}
    assert {calls[name] for name in unsettled} <= {("unsettled", 777_001, 1)}
    return set(calls) - opened, unsettled


def rounds(path, count, seed):
    chance = random.Random(seed)
    said = []
    for number in range(count):
        # Now and then before it speaks: then it is its recovery of the last one that is cut short.
        seconds = chance.choice((chance.uniform(0, 0.15), chance.uniform(0, 0.15), -0.6))
        said += run_and_kill(path, f"life{number}", number, seconds)
    return said


@pytest.mark.parametrize("count", [5, pytest.param(60, marks=pytest.mark.slow)])
@pytest.mark.timeout(300)
def test_nothing_said_is_missing_after_kills(tmp_path, count):
    path = tmp_path / "ledger.db"
    said = rounds(path, count, seed=count)
    with closing(open_store(path, wait=60)) as store:
        store.flush()
        assert not any(store.path.with_name("ledger.db.spool").glob("*-*.0*"))
    unsaid, _ = reconcile(path, said)
    # Of each life at most one call was marked that it had no more time to speak of.
    assert len(unsaid) <= count
    assert len(said) > 100
    before = calls_of(path), requests_of(path)
    open_store(path).close()
    assert (calls_of(path), requests_of(path)) == before


def test_each_open_call_is_listed_once_with_its_estimate(tmp_path):
    folder, path = tmp_path / "spool", tmp_path / "l.db"
    owner = claim(folder)
    slots = Slots(owner.slots)
    asked = [open_call(entry_id=entry_id) for entry_id in ("a", "a", "b")]
    for each in asked:
        slots.open(each)
    os.close(owner.lock)  # as the kernel does for the dead
    with closing(connect(path)) as connection:
        found = recover(folder, SqliteWriter(connection))
        assert (found.unsettled, found.settled) == (3, 0)
        assert recover(folder, SqliteWriter(connection)).unsettled == 0
        rows = connection.execute(
            "SELECT entry_id, outcome, tier, cost, estimated, prompt_tokens, completion_tokens, "
            "(SELECT count(*) FROM call WHERE call.request = request.id) FROM request ORDER BY 1"
        ).fetchall()
    assert rows == [
        ("a", "unsettled", "none", 2 * 777_001, 1, 198, 512, 2),
        ("b", "unsettled", "none", 777_001, 1, 99, 256, 1),
    ]
    assert list(folder.iterdir()) == []


def test_recovering_twice_from_the_same_marks_adds_nothing(tmp_path):
    """As after a kill between the ledger's commit and the removal of the marks."""
    folder = tmp_path / "spool"
    owner = claim(folder)
    Slots(owner.slots).open(open_call())
    copy = owner.slots.read_bytes()
    os.close(owner.lock)
    with closing(connect(tmp_path / "l.db")) as connection:
        assert recover(folder, SqliteWriter(connection)).unsettled == 1
        owner.slots.write_bytes(copy)
        assert recover(folder, SqliteWriter(connection)).unsettled == 0
        assert connection.execute("SELECT count(*), sum(cost) FROM call").fetchall() == [
            (1, 777_001)
        ]
        assert connection.execute("SELECT count(*) FROM request").fetchall() == [(1,)]


def test_the_living_are_left_alone(tmp_path):
    folder = tmp_path / "spool"
    living = claim(folder)
    slots = Slots(living.slots)
    slots.open(open_call())
    living.segment(1).write_bytes(b"half")
    with closing(connect(tmp_path / "l.db")) as connection:
        found = recover(folder, SqliteWriter(connection))
    assert (found.unsettled, found.torn_bytes) == (0, 0)
    assert len(read_marks(living.slots).marks) == 1
    assert living.segment(1).exists()


def test_a_torn_tail_is_told(tmp_path, caplog):
    folder = tmp_path / "spool"
    dead = claim(folder)
    dead.segment(1).write_bytes(b"\xffW\x10\x00\x00\x00half")
    os.close(dead.lock)
    with closing(open_store(tmp_path / "l.db", spool_folder=folder)) as store:
        assert store.state().torn_bytes == 10
    assert "torn" in caplog.text


def test_a_dead_process_s_row_that_cannot_be_read_is_counted(tmp_path):
    folder = tmp_path / "spool"
    dead = claim(folder)
    dead.segment(1).write_bytes(frame(b"no record"))
    os.close(dead.lock)
    with closing(open_store(tmp_path / "l.db", spool_folder=folder)) as store:
        assert (store.state().malformed, store.state().torn_bytes) == (1, 0)


def test_files_whose_lock_is_lost_are_taken_over(tmp_path):
    folder = tmp_path / "spool"
    dead = claim(folder)
    Slots(dead.slots).open(open_call())
    (folder / f"{dead.name}.lock").unlink()
    with closing(connect(tmp_path / "l.db")) as connection:
        assert recover(folder, SqliteWriter(connection)).unsettled == 1
    assert list(folder.iterdir()) == []


def test_what_an_older_version_has_left_is_taken_over_and_what_is_ours_it_does_not_see(tmp_path):
    folder = tmp_path / "spool"
    dead = claim(folder)
    Slots(dead.slots).open(open_call())
    known_to_it = {".lock", ".slots", ".spool"}
    ours = {path.suffix for path in (dead.slots, dead.segment(1))}
    assert not ours & known_to_it
    dead.slots.rename(folder / f"{dead.name}.slots")
    os.close(dead.lock)
    with closing(connect(tmp_path / "l.db")) as connection:
        assert recover(folder, SqliteWriter(connection)).unsettled == 1
    assert list(folder.iterdir()) == []


def test_a_marked_call_that_its_entry_does_not_know_joins_it(tmp_path):
    with closing(open_store(tmp_path / "l.db")) as store:
        store.journal.append(known := entry(), ())
        store.flush()
        kept = known.origin.entry_id
    dead = claim(folder := tmp_path / "l.db.spool")
    Slots(dead.slots).open(asked := open_call(entry_id=kept))
    os.close(dead.lock)
    with closing(connect(tmp_path / "l.db")) as connection:
        assert recover(folder, SqliteWriter(connection)).unsettled == 1
        query = "SELECT entry_id FROM request JOIN call USING (entry_id) WHERE call_id = ?"
        assert connection.execute(query, (asked.call_id,)).fetchall() == [(kept,)]


def test_a_lock_on_a_file_that_another_has_removed_is_no_lock(tmp_path, monkeypatch):
    flock, seen = fcntl.flock, []

    def slow(lock, how):
        if not seen:  # meanwhile another process adopts the name and tidies up
            seen.extend(tmp_path.iterdir())
            seen[0].unlink()
        flock(lock, how)

    monkeypatch.setattr(fcntl, "flock", slow)
    owner = claim(tmp_path)
    assert [path.stem for path in tmp_path.iterdir()] == [owner.name] != [seen[0].stem]
    owner.release()
    assert list(tmp_path.iterdir()) == []
