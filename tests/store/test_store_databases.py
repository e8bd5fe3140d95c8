"""What holds of the ledger whichever database it is in."""

from __future__ import annotations

import os
import threading

import orjson
import pytest
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
    fallen_through,
    open_call,
)
from sample_rows import older, record, whole_row

from gateway.core.shadow import Shadow
from gateway.store import read
from gateway.store.columns import TABLES
from gateway.store.connection import LedgerUnusable
from gateway.store.flatten import record_of
from gateway.store.histories import histories, routes
from gateway.store.ledgers import ledger_at
from gateway.store.owner import claim
from gateway.store.schema import VERSION
from gateway.store.slots import Slots

KINDS = (entry, escalated, fallen_through, cancelled, failed, examined)
COUNTS = 'SELECT (SELECT count(*) FROM request), (SELECT count(*) FROM "call")'


def kept(home, *records):
    with home.writer() as writer, writer.transaction():
        return writer.insert(list(records))


def everything(home):
    return {name: sorted(home.ask(f'SELECT * FROM "{name}"'), key=repr) for name in TABLES}  # noqa: S608


def test_a_record_reads_back_as_it_was(home):
    store = home.open()
    made = [kind() for kind in KINDS]
    for each in made:
        store.journal.append(each, ())
    assert store.flush()
    assert (store.state().written, store.state().malformed) == (len(KINDS), 0)
    for each in made:
        shape = whole_row(each)
        found = read.request(home.place, each.origin.request_id)
        for name in ("cost", "outcome", "stream", "escalations", "p_good", "started_at", "seconds"):
            assert found[name] == shape[name], name
        assert found["unlike"] is shape["unlike"]
        own = [c for a in shape["attempts"] for c in (*a["calls"], *a["checking"])]
        assert sorted(c["call_id"] for c in found["calls"]) == sorted(c["call_id"] for c in own)
        assert sum(c["cost"] for c in found["calls"]) == sum(c["cost"] for c in own)
        assert [a["tier"] for a in found["attempts"]] == [a["tier"] for a in shape["attempts"]]
        checks = [len(a["checks"]) for a in shape["attempts"]]
        assert [len(a["checks"]) for a in found["attempts"]] == checks
    total = read.summary(home.place)
    assert (total.requests, total.cost) == (len(made), sum(each.cost for each in made))
    assert len(list(histories(home.place, "waterfall"))) == 0
    assert routes(home.place) == {"waterfall": (len(made), len(made))}


def test_what_is_written_again_adds_nothing(home):
    records = [record(kind()) for kind in KINDS]
    assert kept(home, *records, records[0]).new == len(KINDS)
    before = everything(home)
    assert (kept(home, *records).known, kept(home, *records[::-1]).new) == (len(KINDS), 0)
    assert everything(home) == before
    assert before["call"]


BROKEN = (
    {},
    {"cost": 2**63},
    {"route": None},
    {"route": ["a", "list"]},
    {"route": {"a": "mapping"}},
    {"started_at": "yesterday"},
    {"started_at": 1e300},
    {"attempts": 7},
    {"attempts": [{}]},
)


@pytest.mark.parametrize("broken", BROKEN, ids=range(len(BROKEN)))
def test_a_record_that_cannot_be_written_costs_only_itself(home, broken):
    good = [record(kind()) for kind in KINDS]
    whole = record(entry())
    own = {"request": whole["request"] | broken}
    bad = whole | (broken if "attempts" in broken else own) if broken else {}
    done = kept(home, *good[:3], bad, *good[3:])
    assert (done.new, done.malformed) == (len(KINDS), 1)
    assert home.ask("SELECT count(*) FROM request") == [(len(KINDS),)]


def test_text_that_no_database_likes(home):
    store = home.open()
    store.journal.append(entry(start_reason="a\0b", name="\ud800\u2028'\\\t\n"), ())
    assert store.flush()
    (found,) = read.requests(home.place)
    assert found["start_reason"] == ("a\0b" if home.is_sqlite else "a\ufffdb")
    assert found["request_id"] == "?\u2028'\\\t\n"


def test_a_shadow_joins_its_request_once(home):
    store = home.open()
    first = entry(name="r")
    shadow = Shadow(
        first.origin.entry_id, "waterfall", 1.0, attempt(SMALL, DEFER, calls=(call(SMALL),))
    )
    store.journal.append(first, ())
    for _ in range(2):
        store.journal.append_shadow(shadow, ())
    assert store.flush()
    found = read.request(home.place, "r")
    assert [each["shadow"] for each in found["attempts"]] == [0, 1]
    assert (found["shadow_cost"], found["cost"]) == (shadow.attempt.spent, first.cost)
    assert store.state().duplicates == 1
    lost = {"shadow": {"entry_id": "nobody's", "started_at": 1.0}, "attempts": []}
    assert kept(home, lost).malformed == 1


def test_a_dead_process_s_marks_become_calls_once(home):
    with home.writer():
        pass
    store = home.open()
    store.journal.append(known := entry(), ())
    store.close()
    dead = claim(home.spool)
    slots = Slots(dead.slots)
    slots.open(open_call(entry_id="a"))
    slots.open(lost := open_call(entry_id=known.origin.entry_id, purpose="shadow"))
    settled = open_call(entry_id="a")
    slots.settle(slots.open(settled), call())
    copy = dead.slots.read_bytes()
    os.close(dead.lock)
    store = home.open()
    assert (store.recovered.unsettled, store.recovered.settled) == (2, 1)
    query = "SELECT entry_id, outcome, shadow_cost FROM request ORDER BY entry_id"
    assert home.ask(query) == sorted(
        [("a", "unsettled", 0), (known.origin.entry_id, "ok", lost.cost_estimate)]
    )
    before = everything(home)
    again = claim(home.spool)
    again.slots.write_bytes(copy)
    os.close(again.lock)
    assert home.open().recovered.unsettled == 0
    assert everything(home) == before


def test_several_processes_share_it(home):
    stores = [home.open() for _ in range(3)]
    made = [kind() for _ in range(30) for kind in KINDS]
    for number, each in enumerate(made):
        stores[number % 3].journal.append(each, ())
    assert [store.flush(60) for store in stores] == [True] * 3
    assert home.ask("SELECT count(*), count(DISTINCT entry_id), sum(cost) FROM request") == [
        (len(made), len(made), sum(each.cost for each in made))
    ]
    calls = [
        c for each in made for a in whole_row(each)["attempts"] for c in a["calls"] + a["checking"]
    ]
    costs = sum(c["cost"] for c in calls)
    assert home.ask('SELECT count(*), sum(cost) FROM "call"') == [(len(calls), costs)]


def test_a_batch_and_its_offset_are_one_transaction(home):
    class DiesError(Exception):
        pass

    def dies(writer):
        with writer.transaction():
            assert writer.insert([record(entry())]).new == 1
            writer.write_offset("s", 7)
            raise DiesError

    with home.writer() as writer:
        with pytest.raises(DiesError):
            dies(writer)
        assert writer.read_offset("s") == 0
        for offset in (7, 9):
            with writer.transaction():
                writer.write_offset("s", offset)
        assert writer.read_offset("s") == 9
        writer.forget_offset("s")
        assert writer.read_offset("s") == 0
        assert home.ask(COUNTS) == [(0, 0)]


def test_what_is_missing_or_newer_is_told(home):
    with pytest.raises(ledger_at(home.place).errors), ledger_at(home.place).read() as connection:
        connection.execute("SELECT * FROM request").fetchall()
    home.open().close()
    home.tell("UPDATE meta SET value = '99' WHERE name = 'schema'")
    with pytest.raises(LedgerUnusable, match=r"newer version.*99.*Upgrade"):
        home.open()
    home.tell("UPDATE meta SET value = '-1' WHERE name = 'schema'")
    with pytest.raises(LedgerUnusable, match="an unknown version"):
        home.open()


def test_several_at_once_make_it_once(home):
    failures = []

    def make():
        for _ in range(50):
            try:
                ledger_at(home.place).prepare()
                break
            except ledger_at(home.place).errors as error:
                failures.append(error)

    threads = [threading.Thread(target=make) for _ in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert home.ask("SELECT name, value FROM meta") == [("schema", str(VERSION))]
    assert home.is_sqlite or failures == []


def test_a_record_of_an_older_version_is_taken(home):
    """What it lacks has the default that its column has."""
    old = older(entry(name="old"))
    for name in ("score", "decided", "met", "policy_start"):
        del old[name]
    assert kept(home, record_of(orjson.dumps(old))).new == 1
    assert read.request(home.place, "old")["policy_start"] == ""
