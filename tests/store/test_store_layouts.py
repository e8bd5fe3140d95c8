"""A ledger of an older layout is brought up where it lies, whole or not at all."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import orjson
import pytest
from sample_entries import entry
from sample_rows import older, record

from gateway.core.difficulty import Difficulty
from gateway.store import read
from gateway.store.columns import ADDED
from gateway.store.encode import encode
from gateway.store.flatten import record_of
from gateway.store.owner import claim
from gateway.store.schema import MIGRATIONS, VERSION
from gateway.store.spool import frame
from gateway.store.sqlite import connect, insert, transaction
from gateway.store.store import open_store

HERE = Path(__file__).parent
LAYOUT_1 = (HERE / "layout_1.sql").read_text()
RECORD_1 = (HERE / "record_1.json").read_bytes()
"""What version 0.1 wrote to its spool of one escalated request."""
RECORD_3 = (HERE / "record_3.json").read_bytes()
"""The same of the layout before this one."""
NEW = ("score", "profile", "unlike", "candidate", "candidate_score", "candidate_value", "met")
TABLES_1 = ("request", "attempt", "call", "check_result")


def old_ledger(path, rows=3):
    """Make a ledger of layout 1 with some requests."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(LAYOUT_1)
        columns = [name for _, name, *_ in connection.execute("PRAGMA table_info(request)")]
        named = ", ".join(f'"{name}"' for name in columns[1:])
        marks = ", ".join("?" * len(columns[1:]))
        for number in range(rows):
            record = orjson.loads(RECORD_1) | {"entry_id": f"old-{number}"}
            record |= {"request_id": f"old-{number}", "p_good": "[0.6, 0.9]", "escalations": "[]"}
            values = [record[name] for name in columns[1:]]
            connection.execute(f"INSERT INTO request ({named}) VALUES ({marks})", values)  # noqa: S608


def query(path, sql, *values):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql, values).fetchall()


def layout(path):
    """Every table's columns and every index's columns and condition, in order."""
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute(
            "SELECT type, name, tbl_name FROM sqlite_master ORDER BY type, name"
        ).fetchall()
        shapes = {
            name: connection.execute(f"PRAGMA table_info({name})").fetchall()
            for kind, name, _ in found
            if kind == "table"
        }
        indexes = {
            name: connection.execute(f"PRAGMA index_xinfo({name})").fetchall()
            for kind, name, _ in found
            if kind == "index"
        }
        conditions = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' ORDER BY name"
        ).fetchall()
        version = connection.execute("SELECT * FROM meta").fetchall()
    return found, shapes, indexes, conditions, version


def test_an_old_ledger_becomes_what_a_new_one_is(tmp_path, caplog):
    old_ledger(tmp_path / "old.db")
    connect(tmp_path / "old.db").close()
    connect(tmp_path / "new.db").close()
    assert layout(tmp_path / "old.db") == layout(tmp_path / "new.db")
    assert f"had layout 1, it has {VERSION} now" in caplog.text
    caplog.clear()
    connect(tmp_path / "old.db").close()
    assert caplog.text == ""


@pytest.mark.parametrize("version", [2, 3, 4, 5, 6, 7])
def test_so_does_one_of_a_later_layout(tmp_path, caplog, version):
    path = tmp_path / "old.db"
    old_ledger(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        for step in range(1, version):
            for statement in MIGRATIONS[step]:
                connection.execute(statement)
        connection.execute("UPDATE meta SET value = ?", (str(version),))
    connect(path).close()
    connect(tmp_path / "new.db").close()
    assert layout(path) == layout(tmp_path / "new.db")
    assert f"had layout {version}, it has {VERSION} now" in caplog.text
    (found, *_) = read.requests(path)
    told = [found[name] for name in ("policy_start", "policy_reason", "decided", "shadow_cost")]
    assert told == ["", "", None, 0]
    later = {**ADDED[4]["request"], **ADDED[8]["request"]}
    added = {name: found[name] for name in later}
    assert added == {name: "" if "TEXT" in kind else None for name, kind in later.items()}


def test_its_rows_stay_as_they_were_and_new_ones_join_them(tmp_path):
    path = tmp_path / "ledger.db"
    old_ledger(path)
    before = query(path, "SELECT * FROM request")
    with closing(open_store(path)) as store:
        store.journal.append(
            entry(difficulty=Difficulty(0.4, score=0.1, profile="07", met=True)), ()
        )
        assert store.flush()
        found = {row["request_id"].startswith("old-"): row for row in read.requests(path)}
        old, new = found[True], found[False]
    after = query(path, "SELECT * FROM request")
    assert [kept[: len(before[0])] for kept in after[:3]] == before
    assert [old[name] for name in NEW] == [None, "", None, "", None, None, None]
    assert [new[name] for name in NEW] == [0.1, "07", None, "", None, None, True]


def test_what_an_older_version_left_in_its_spool_is_taken_over(tmp_path):
    """An upgrade after a kill: the dead process's records lack what this version's have."""
    path = tmp_path / "ledger.db"
    old_ledger(path)
    owner = claim(tmp_path / "ledger.db.spool")
    (owner.folder / f"{owner.name}.000000.spool").write_bytes(frame(RECORD_1))
    os.close(owner.lock)
    with closing(open_store(path)) as store:
        assert (store.recovered.rows, store.state().malformed) == (1, 0)
        found = read.request(path, "of-old")
    record = orjson.loads(RECORD_1)
    del record["attempts"]
    assert {name: found[name] for name in record} == record
    assert [found[name] for name in NEW] == [None, "", None, "", None, None, None]
    assert [each["tier"] for each in found["attempts"]] == ["small", "large"]
    assert query(path, "SELECT * FROM prompt") == []


def test_a_record_of_layout_3_is_taken_over_with_nothing_made_up(tmp_path):
    path = tmp_path / "ledger.db"
    owner = claim(tmp_path / "ledger.db.spool")
    (owner.folder / f"{owner.name}.000000.spool").write_bytes(frame(RECORD_3))
    os.close(owner.lock)
    with closing(open_store(path)) as store:
        assert (store.recovered.rows, store.state().malformed) == (1, 0)
        found = read.request(path, "of-layout-3")
    record = orjson.loads(RECORD_3)
    assert (found["cost"], found["baseline_cost"]) == (record["cost"], record["baseline_cost"])
    assert (found["baseline_basis"], found["check_cost"]) == ("", None)
    for each in found["calls"]:
        assert each["cost"] > 0
        assert [each[name] for name in ADDED[4]["call"] if "cost" in name] == [None] * 8
        assert each["price_version"] == ""


def test_a_process_of_the_older_version_still_writes_beside_us(tmp_path):
    """A rolling upgrade: its statements name their columns, and the new ones have defaults."""
    path = tmp_path / "ledger.db"
    old_ledger(path)
    connect(path).close()
    columns = [c for c in orjson.loads(RECORD_1) if c != "attempts"]
    values = orjson.loads(RECORD_1) | {"p_good": "[]", "escalations": "[]"}
    names, marks = ", ".join(f'"{c}"' for c in columns), ", ".join("?" * len(columns))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            f"INSERT INTO request ({names}) VALUES ({marks})",  # noqa: S608
            [values[column] for column in columns],
        )
    assert [found["profile"] for found in read.requests(path)] == [""] * 4


DIES_MIDWAY = """
import os, signal, sys
from pathlib import Path
from gateway.store import sqlite
class Deadly(tuple):
    def __iter__(self):
        yield from list(super().__iter__())[:5]
        os.kill(os.getpid(), signal.SIGKILL)
sqlite.MIGRATIONS[1] = Deadly(sqlite.MIGRATIONS[1])
sqlite.connect(Path(sys.argv[1]))
"""


def python(code, path):
    environment = os.environ | {"PYTHONPATH": str(HERE.parents[1])}
    return subprocess.Popen([sys.executable, "-c", code, str(path)], env=environment)


def test_a_kill_midway_leaves_the_old_layout_whole(tmp_path):
    path = tmp_path / "ledger.db"
    old_ledger(path)
    before = layout(path), query(path, "SELECT * FROM request")
    assert python(DIES_MIDWAY, path).wait(60) == -signal.SIGKILL
    assert (layout(path), query(path, "SELECT * FROM request")) == before
    connect(path).close()
    assert query(path, "SELECT value FROM meta") == [(str(VERSION),)]


def test_a_statement_that_fails_leaves_the_old_layout_whole(tmp_path):
    path = tmp_path / "ledger.db"
    old_ledger(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE tuning (somebody TEXT)")
    before = layout(path)
    with pytest.raises(sqlite3.OperationalError, match="tuning"):
        connect(path)
    assert layout(path) == before


OPENS = """
import sys, time
from contextlib import closing
from pathlib import Path
from sqlite3 import OperationalError
from gateway.store.sqlite import connect
for _ in range(100):
    try:
        connect(Path(sys.argv[1])).close()
        break
    except OperationalError:
        time.sleep(0.05)
else:
    sys.exit(3)
"""


def test_several_processes_at_once_bring_it_up_once(tmp_path):
    path = tmp_path / "ledger.db"
    old_ledger(path, rows=2_000)
    processes = [python(OPENS, path) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    connect(tmp_path / "new.db").close()
    assert layout(path) == layout(tmp_path / "new.db")
    assert query(path, "SELECT count(*) FROM request") == [(2_000,)]


def test_a_layout_that_nobody_made_is_refused(tmp_path):
    path = tmp_path / "ledger.db"
    old_ledger(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE meta SET value = '0'")
    with pytest.raises(Exception, match="an unknown version: its layout is 0"):
        connect(path)


def test_a_new_record_needs_all_that_is_old(tmp_path):
    """Only what later layouts have added may be missing."""
    lacking = older(entry())
    assert record_of(encode(lacking)) is not None
    del lacking["threshold"]
    assert record_of(encode(lacking)) is None
    lacking = record(entry())
    del lacking["request"]["mode"]
    with closing(connect(tmp_path / "l.db")) as connection, transaction(connection):
        assert insert(connection, [lacking]).malformed == 1
