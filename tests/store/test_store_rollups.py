"""Roll-ups are the requests' own sums, whatever comes late, and whoever rolls up when."""

from __future__ import annotations

import random
import sqlite3
import threading
from contextlib import closing
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_entries import (
    DEFER,
    SMALL,
    attempt,
    call,
    cancelled,
    entry,
    escalated,
    examined,
    failed,
    open_call,
)
from sample_rows import record

from gateway.core.blank_rows import REQUEST
from gateway.core.shadow import Shadow, shadow_row
from gateway.store import rollups
from gateway.store.ledgers import ledger_at
from gateway.store.recover import _call_record, _request_record
from gateway.store.rollup_tables import COUNTS, HOUR, KEYS, SECONDS, SUMS, SUMS_7
from gateway.store.rollups import hours, roll_up
from gateway.store.slots import Mark

START = 1_700_000_000 // HOUR * HOUR
KINDS = (entry, escalated, cancelled, failed, examined)
FAR = START * 2.0


def at(seconds, kind=entry, **more):
    """A record of a request that began so many seconds after START."""
    made = kind(**more)
    return record(replace(made, origin=replace(made.origin, started_at=START + seconds)))


def put(home, *records):
    with home.writer() as writer, writer.transaction():
        return writer.insert(list(records))


def roll_all(home, until=FAR):
    with home.writer() as writer:
        rounds = 0
        while roll_up(writer, until):
            rounds += 1
    return rounds


def summed(home, name):
    return sum(each[name] for each in hours(home.place, 0, FAR))


def as_records(records):
    """What the hours of some records come to, added up here."""
    found = {}
    for each in records:
        own = REQUEST | each["request"]
        key = (int(own["started_at"] // HOUR) * HOUR, *(own[name] for name in KEYS[1:]))
        sums = found.setdefault(key, dict.fromkeys(("requests", "cost", "calls", "serve_cost"), 0))
        serving = [c for a in each["attempts"] for c in a["calls"]]
        sums["requests"] += 1
        sums["cost"] += own["cost"]
        sums["serve_cost"] += sum(c["cost"] for c in serving)
        sums["calls"] += len(serving) + len(checking(each))
    return found


def as_rolled(home):
    names = ("requests", "cost", "calls", "serve_cost")
    return {
        tuple(each[key] for key in KEYS): {name: each[name] for name in names}
        for each in hours(home.place, 0, FAR)
    }


def test_an_hour_that_is_over_is_added_up_and_one_that_is_not_is_read_as_it_is(home):
    records = [at(n * 700, kind) for n, kind in enumerate(KINDS * 4)]
    put(home, *records)
    assert as_rolled(home) == as_records(records)
    assert roll_all(home, START + 2 * HOUR + 1) == 2
    kept = home.ask("SELECT DISTINCT hour FROM rollup_hour ORDER BY hour")
    assert kept == [(START,), (START + HOUR,)]
    assert as_rolled(home) == as_records(records)
    assert roll_all(home) > 0
    assert as_rolled(home) == as_records(records)
    assert home.ask("SELECT count(*) FROM rollup_due") == [(0,)]
    assert summed(home, "check_cost") == sum(c["cost"] for r in records for c in checking(r)) > 0


def checking(made):
    return [call for attempt in made["attempts"] for call in attempt.get("checking", ())]


def test_every_sum_is_the_tables_own(home):
    put(home, *(at(n, kind, gateway_cost=n) for n, kind in enumerate(KINDS * 3)))
    roll_all(home)
    sums = ("prompt_tokens", "completion_tokens", "baseline_cost", "discarded_cost")
    for name in (*sums, "gateway_cost"):
        assert [(summed(home, name),)] == home.ask(f"SELECT sum({name}) FROM request")  # noqa: S608
    for name, column in (("timed", "seconds"), ("first_tokens", "first_token")):
        query = f"SELECT count({column}), sum({column}) FROM request"  # noqa: S608
        sums = (
            summed(home, name),
            summed(home, {"timed": "seconds"}.get(name, f"{column}_seconds")),
        )
        assert [sums] == home.ask(query)
    drafts = """SELECT sum("call".cost) FROM "call" JOIN attempt
        ON attempt.request = "call".request AND attempt.seq = "call".attempt
        WHERE purpose = 'serve' AND served = 0"""
    assert [(summed(home, "draft_cost"),)] == home.ask(drafts)
    assert 0 < summed(home, "draft_cost") < summed(home, "serve_cost")
    assert set(hours(home.place, 0, FAR)[0]) == {*KEYS, *SUMS, *COUNTS, *SECONDS, *SUMS_7}


def test_what_comes_late_makes_its_hour_due_again(home):
    """Replayed rows, a shadow's attempt, and what a killed process left."""
    first = entry(name="r")
    first = replace(first, origin=replace(first.origin, started_at=START + 5.0))
    put(home, record(first))
    roll_all(home)
    shadow = Shadow(
        first.origin.entry_id, "waterfall", START + 9.0, attempt(SMALL, DEFER, calls=(call(SMALL),))
    )
    put(home, record(first), shadow_row(shadow, shadow.attempt))
    assert summed(home, "shadow_cost") == shadow.attempt.spent
    mark = Mark(open_call(entry_id="late", opened_at=START + 11.0), None)
    with home.writer() as writer, writer.transaction():
        calls = [_call_record(mark, 0)]
        writer.put_calls(_request_record([mark], calls), calls)
    assert (summed(home, "requests"), summed(home, "unsettled_calls")) == (2, 1)
    assert roll_all(home) == 1
    assert (summed(home, "requests"), summed(home, "shadow_cost")) == (2, shadow.attempt.spent)
    assert home.ask("SELECT sum(unsettled_calls), sum(calls) FROM rollup_hour") == [(1, 3)]
    put(home, record(first), shadow_row(shadow, shadow.attempt))
    assert roll_all(home) == 0


def patiently(home, work):
    """Do it, however often the ledger is locked."""
    while True:
        try:
            return work()
        except ledger_at(home.place).errors:
            continue


def test_rolling_up_beside_those_who_write(home):
    """A batch that is written while its hour is rolled up is in the sums at the end."""
    chance = random.Random(1)
    made = [[at(chance.uniform(0, HOUR)) for _ in range(5)] for _ in range(40)]
    with home.writer():
        pass
    written = threading.Event()

    def write(batches):
        for batch in batches:
            patiently(home, lambda b=batch: put(home, *b))

    def roll():
        while not written.is_set():
            patiently(home, lambda: roll_all(home))

    writers = [threading.Thread(target=write, args=(made[n::2],)) for n in range(2)]
    rollers = [threading.Thread(target=roll) for _ in range(2)]
    for each in (*rollers, *writers):
        each.start()
    for each in writers:
        each.join()
    written.set()
    for each in rollers:
        each.join()
    roll_all(home, FAR + 61)
    assert home.ask("SELECT sum(requests) FROM rollup_hour") == [(200,)]
    assert as_rolled(home) == as_records([each for batch in made for each in batch])


@given(st.lists(st.tuples(st.integers(0, 4 * HOUR), st.sampled_from(KINDS), st.integers(0, 9))))
def test_in_any_order_it_is_the_same(tmp_path_factory, steps):
    from store.conftest import Home

    folder = tmp_path_factory.mktemp("rollups")
    home = Home(folder / "l.db", folder / "spool")
    with home.writer():
        pass
    records = []
    for seconds, kind, turn in steps:
        records.append(at(seconds, kind))
        put(home, records[-1])
        if turn < 4:
            roll_all(home, START + turn * HOUR)
    assert as_rolled(home) == as_records(records)


def test_of_two_that_roll_one_hour_up_the_later_counts(home, monkeypatch):
    """The one has added up, and has not written yet, when a row comes and the other does it all."""
    put(home, at(0))
    real, inner = rollups._added_up, []

    def slowly(connection, hour):
        rows = real(connection, hour)
        if not inner:
            inner.append(True)
            put(home, at(1, escalated))
            assert roll_all(home) == 0, "it is taken up"
            assert roll_all(home, FAR + 61) == 1
            put(home, at(2, examined))
        return rows

    monkeypatch.setattr(rollups, "_added_up", slowly)
    with home.writer() as writer:
        assert roll_up(writer, FAR)
    assert home.ask("SELECT sum(requests) FROM rollup_hour") == [(2,)]
    assert summed(home, "requests") == 3
    assert roll_all(home) == 1
    assert home.ask("SELECT sum(requests) FROM rollup_hour") == [(3,)]


def test_a_kill_while_it_adds_up_leaves_the_hour_due(home, monkeypatch):
    put(home, at(0))

    def dies(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(rollups, "_added_up", dies)
    with home.writer() as writer, pytest.raises(KeyboardInterrupt):
        roll_up(writer, FAR)
    monkeypatch.undo()
    assert summed(home, "requests") == 1
    assert roll_all(home) == 0, "it is left to whoever has taken it up"
    assert roll_all(home, FAR + 61) == 1
    assert home.ask("SELECT sum(requests) FROM rollup_hour") == [(1,)]


@pytest.mark.parametrize("hour", [0.0, 3599.999, 3600.0])
def test_an_hour_begins_where_it_does(home, hour):
    put(home, at(hour))
    (found,) = hours(home.place, 0, FAR)
    assert found["hour"] == START + int(hour // HOUR) * HOUR
    assert hours(home.place, found["hour"] + 1, FAR) == []
    assert hours(home.place, 0, found["hour"]) == []


def test_an_hour_is_marked_once_however_many_slices_bring_its_rows(store):
    for _ in range(100):
        store.journal.append(entry(), ())
        store.journal.append(escalated(), ())
    store.flush()
    due = "SELECT hour FROM rollup_due ORDER BY hour"
    known = "SELECT DISTINCT CAST(started_at / 3600 AS INTEGER) * 3600 FROM request ORDER BY 1"
    with closing(sqlite3.connect(store.path)) as ledger:
        assert ledger.execute(due).fetchall() == ledger.execute(known).fetchall()
