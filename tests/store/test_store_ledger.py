from __future__ import annotations

import sqlite3
from contextlib import closing

import orjson
import pytest
from sample_entries import (
    attempt,
    call,
    cancelled,
    entry,
    escalated,
    examined,
    failed,
    fallen_through,
    open_call,
)
from sample_rows import older, record, whole_row

from gateway.core.outcome import Outcome
from gateway.core.rows import row
from gateway.store import read
from gateway.store.columns import ADDED, OWN, TABLES, blanks
from gateway.store.drain import drain_segment, move_batch
from gateway.store.encode import encode
from gateway.store.flatten import BLANKS, record_of
from gateway.store.schema import ATTEMPT, CALL, CHECK_RESULT, REQUEST
from gateway.store.spool import Segment, frame
from gateway.store.sqlite import (
    LedgerUnusable,
    connect,
    insert,
    put_calls,
    transaction,
)
from gateway.store.sqlite_ledger import SqliteWriter
from gateway.store.store import open_store


def query(path, sql, *values):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql, values).fetchall()


def test_an_entry_is_kept_whole(store):
    kept = escalated(name="abc")
    store.journal.append(kept, ())
    assert store.flush()
    found, shape = read.request(store.path, "abc"), whole_row(kept)
    for name in REQUEST:
        assert found[name] == shape[name], name
    draft, served = found["attempts"]
    assert (draft["verdict"], draft["reason"], served["served"]) == ("defer", "low_confidence", 1)
    (check,) = draft["checks"]
    assert {name: check[name] for name in ("check", "result", "confidence", "cost")} == {
        "check": "judge",
        "result": "fail",
        "confidence": 0.31,
        "cost": 1_003,
    }
    for each, made in zip(found["calls"], kept.calls, strict=True):
        assert (each["call_id"], each["cost"]) == (made.call_id, made.cost.total)
        assert (each["prompt_tokens"], each["cached_tokens"]) == (101, 17)
        assert (each["started_at"], each["purpose"]) == (kept.origin.started_at + 0.25, "serve")
        assert (each["entry_id"], each["request"]) == (kept.origin.entry_id, found["id"])


def test_money_adds_up_from_check_to_request(store):
    asked = entry(scoring=(call(), call(status="failed")))
    for each in (entry(), escalated(), fallen_through(), cancelled(), failed(), asked):
        store.journal.append(each, ())
    store.flush()
    spent = query(store.path, "SELECT sum(cost) FROM request")
    scoring = query(store.path, "SELECT sum(cost) FROM call WHERE purpose = 'score'")[0][0]
    assert scoring == sum(each.cost.total for each in asked.scoring) > 0
    assert spent[0][0] - scoring == query(store.path, "SELECT sum(cost) FROM attempt")[0][0]
    calls = query(store.path, "SELECT sum(cost) FROM call")[0][0]
    checks = query(store.path, "SELECT sum(cost) FROM check_result")[0][0]
    assert spent[0][0] == calls + checks


def test_a_scorer_s_calls_come_before_the_attempts(store):
    kept = entry(name="asked", scoring=(call(), call()))
    store.journal.append(kept, ())
    store.flush()
    calls = read.request(store.path, "asked")["calls"]
    assert [(each["purpose"], each["attempt"], each["seq"]) for each in calls] == [
        ("score", None, 0),
        ("score", None, 1),
        ("serve", 0, 0),
    ]
    assert [each["call_id"] for each in calls] == [each.call_id for each in kept.calls]


def test_a_check_s_calls_come_behind_its_attempt_s(store):
    kept = examined(name="judged")
    store.journal.append(kept, ())
    store.flush()
    found = read.request(store.path, "judged")
    assert [(each["purpose"], each["attempt"], each["seq"]) for each in found["calls"]] == [
        ("serve", 0, 0),
        ("check", 0, 1),
    ]
    assert found["cost"] == sum(each["cost"] for each in found["calls"])
    (attempt,) = found["attempts"]
    assert [each["cost"] for each in attempt["checks"]] == [found["calls"][1]["cost"], 0]
    assert attempt["checks"][1]["reason"] == "timeout"


def test_a_record_of_the_version_before_knows_no_scoring(store):
    old = older(entry(name="old"))
    del old["scoring"]
    for each in old["attempts"]:
        del each["checking"]
    with closing(connect(store.path)) as connection, transaction(connection):
        assert insert(connection, [record_of(encode(old))]).new == 1
    assert len(read.request(store.path, "old")["calls"]) == 1


def test_one_request_id_twice_is_two_requests(store):
    store.journal.append(entry(name="mine"), ())
    store.journal.append(second := entry(name="mine"), ())
    store.flush()
    assert len(read.requests(store.path, request_id="mine")) == 2
    assert read.request(store.path, "mine")["entry_id"] == second.origin.entry_id
    assert read.request(store.path, "nobody's") is None


def test_the_row_is_in_the_spool_before_the_slots_are_free(opened, monkeypatch):
    store = opened()
    slot = store.journal.open(open_call())
    order = []
    monkeypatch.setattr(store._spool, "append", lambda _: not order.append("row"))
    monkeypatch.setattr(store._slots, "free", order.append)
    store.journal.append(entry(), (slot,))
    assert order == ["row", slot]


def test_a_replay_adds_nothing(tmp_path):
    """The offset is lost, the rows are not: each is known by its id."""
    records = [row(each) for each in (entry(), escalated(), failed())]
    path = tmp_path / "x.spool"
    path.write_bytes(b"".join(frame(orjson.dumps(record)) for record in records))
    segment = Segment(path, path.stat().st_size, finished=True)
    with closing(connect(tmp_path / "l.db")) as connection:
        writer = SqliteWriter(connection)
        rows, torn = drain_segment(writer, segment)
        assert (rows.new, rows.known, torn) == (3, 0, 0)
        tables = ("request", "attempt", "call", "check_result")
        before = [connection.execute(f"SELECT * FROM {t}").fetchall() for t in tables]  # noqa: S608
        assert drain_segment(writer, segment)[0].new == 0
        connection.execute("DELETE FROM segment")
        rows, _ = drain_segment(writer, segment)
        assert (rows.new, rows.known) == (0, 3)
        assert before == [connection.execute(f"SELECT * FROM {t}").fetchall() for t in tables]  # noqa: S608


def test_a_batch_and_its_offset_are_one_transaction(tmp_path, monkeypatch):
    path = tmp_path / "x.spool"
    path.write_bytes(frame(orjson.dumps(row(entry()))))
    segment = Segment(path, path.stat().st_size, finished=True)

    def dies(*_):
        raise KeyboardInterrupt

    with closing(connect(tmp_path / "l.db")) as connection:
        monkeypatch.setattr(SqliteWriter, "write_offset", dies)
        with pytest.raises(KeyboardInterrupt):
            move_batch(SqliteWriter(connection), segment, 0)
        assert connection.execute("SELECT count(*) FROM request").fetchone() == (0,)


def test_batches_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("gateway.store.drain.BATCH_ROWS", 3)
    path = tmp_path / "x.spool"
    path.write_bytes(b"".join(frame(orjson.dumps(row(entry()))) for _ in range(7)))
    segment = Segment(path, path.stat().st_size, finished=True)
    offset, moved = 0, []
    with closing(connect(tmp_path / "l.db")) as connection:
        while offset < segment.size:
            offset, done, _ = move_batch(SqliteWriter(connection), segment, offset)
            moved.append(done.new)
    assert moved == [3, 3, 1]


def spoilt(**changes):
    """A record of this version that has something else in its request's row."""
    made = row(entry())
    return orjson.dumps(made | {"request": made["request"] | changes})


BROKEN = [
    b"no json",
    b"[1,2]",
    b"{}",
    b'{"request":7}',
    b'{"request":{}}',
    spoilt(cost=2**63),
    spoilt(route=None),
    spoilt(route=["a", "list"]),
    orjson.dumps(row(entry()) | {"attempts": 7}),
    orjson.dumps(row(entry()) | {"attempts": [{}]}),
    orjson.dumps(older(entry()) | {"cost": 2**63}),
    orjson.dumps(older(entry()) | {"route": None}),
    orjson.dumps(older(entry()) | {"route": ["a", "list"]}),
    orjson.dumps(older(entry()) | {"attempts": 7}),
    orjson.dumps(older(entry()) | {"attempts": [{}]}),
]


@pytest.mark.parametrize("broken", BROKEN, ids=range(len(BROKEN)))
def test_a_row_that_cannot_be_written_costs_only_itself(store, broken):
    store.journal.append(entry(), ())
    store._spool.append(broken)
    store.journal.append(entry(), ())
    assert store.flush()
    assert (store.state().written, store.state().malformed) == (2, 1)
    assert len(read.requests(store.path)) == 2


def test_a_string_that_utf8_cannot_hold_is_kept_marked(store):
    odd = entry(start_reason="\ud800!")
    store.journal.append(odd, ())
    store.flush()
    assert read.requests(store.path)[0]["start_reason"] == "?!"


def test_a_newer_ledger_is_refused_by_name(tmp_path):
    connect(tmp_path / "l.db").close()
    with closing(sqlite3.connect(tmp_path / "l.db")) as connection, connection:
        connection.execute("UPDATE meta SET value = '99' WHERE name = 'schema'")
    with pytest.raises(LedgerUnusable, match=r"l\.db was written by a newer version.*99.*Upgrade"):
        open_store(tmp_path / "l.db")


@pytest.mark.parametrize("content", [b"not a database, " * 100, None], ids=["text", "another"])
def test_what_is_no_ledger_is_refused_and_left_alone(tmp_path, content):
    path = tmp_path / "l.db"
    if content is None:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("CREATE TABLE theirs (x)")
    else:
        path.write_bytes(content)
    with pytest.raises(LedgerUnusable, match="not a ledger"):
        open_store(path)
    assert content is None or path.read_bytes() == content


def test_a_place_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        open_store(tmp_path / "file" / "l.db")


def test_every_column_of_the_row_has_a_home(tmp_path):
    """A field that core adds to a row must be given a column, or be left out on purpose."""
    shape = whole_row(escalated())
    assert set(shape) - set(REQUEST) == {"attempts", "prompt", "scoring"}
    assert set(shape["attempts"][0]["calls"][0]) <= set(CALL)
    assert set(shape["attempts"][0]) - set(ATTEMPT) == {"calls", "checking", "checks"}
    assert set(shape["attempts"][0]["checks"][0]) <= set(CHECK_RESULT)


def test_every_column_of_a_table_is_in_each_row_or_has_a_blank():
    """What a row leaves out has a value: the one that it always had, or its table's default."""
    shape = whole_row(examined())
    first = shape["attempts"][0]
    parts = (shape, first, (*first["calls"], *first["checking"])[0], first["checks"][0])
    for table, part in zip(TABLES, parts, strict=True):
        assert set(OWN[table]) <= set(part), table
    for layout, tables in ADDED.items():
        for table in tables if layout > 8 else ():
            given = {name: blanks(table)[name] for name in tables[table] if name in BLANKS[table]}
            assert given == {name: BLANKS[table][name] for name in given}


def test_what_a_newer_version_has_added_is_left_out(store):
    """One that went back to this version finds records of its own spool with columns too many."""
    newer = row(entry(name="newer", scoring=(call(),)))
    (one,) = newer["attempts"]
    for part in (newer["request"], newer["scoring"][0], one["attempt"], one["calls"][0]):
        part["of_tomorrow"] = 7
    one["checks"] = [{"check": "c", "result": "pass", "seconds": 0.5, "of_tomorrow": 7}]
    store._spool.append(orjson.dumps(newer))
    assert store.flush()
    found = read.request(store.path, "newer")
    assert (len(found["calls"]), len(found["attempts"][0]["checks"])) == (2, 1)
    assert store.state().malformed == 0


def insert_then_fail(connection):
    with transaction(connection):
        insert(connection, [record(entry())])
        put_calls(connection, {}, [])


def test_a_failed_batch_leaves_the_connection_usable(tmp_path):
    with closing(connect(tmp_path / "l.db")) as connection:
        with transaction(connection):
            done = insert(connection, [record(entry()), {"bad": 1}, record(entry())])
        assert (done.new, done.malformed) == (2, 1)
        with pytest.raises(sqlite3.IntegrityError):
            insert_then_fail(connection)
        assert connection.execute("SELECT count(*) FROM request").fetchone() == (2,)


def test_a_request_without_a_call_is_kept(store):
    store.journal.append(entry(Outcome()), ())
    store.journal.append(entry(Outcome(attempts=(attempt(calls=()),))), ())
    store.flush()
    assert [found["tier"] for found in read.requests(store.path)] == ["none", "none"]
