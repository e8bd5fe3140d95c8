"""An attempt made in the shadow joins its request, once, whatever is killed in between."""

from __future__ import annotations

import os
from contextlib import closing

from sample_entries import DEFER, SMALL, attempt, call, entry, open_call
from sample_rows import record

from gateway.core.shadow import Shadow, drawn, shadow_row
from gateway.store import read
from gateway.store.owner import claim
from gateway.store.slots import Slots
from gateway.store.sqlite import connect, insert, transaction
from gateway.store.store import open_store


def shadow_of(kept, **more):
    made = attempt(SMALL, DEFER, calls=(call(SMALL),))
    return Shadow(kept.origin.entry_id, "waterfall", 1_700_000_009.0, made, **more)


def test_it_joins_its_request(store):
    kept = entry(name="r")
    shadow = shadow_of(kept)
    store.journal.append(kept, ())
    store.journal.append_shadow(shadow, ())
    assert store.flush()
    found = read.request(store.path, "r")
    assert [each["shadow"] for each in found["attempts"]] == [0, 1]
    second = found["calls"][1]
    assert (second["purpose"], second["attempt"], second["recipe"]) == ("shadow", 1, "")
    assert second["started_at"] == 1_700_000_009.25
    assert found["shadow_cost"] == shadow.attempt.spent == second["cost"] > 0
    assert found["cost"] == kept.cost
    assert store.state().malformed == 0


def test_what_never_left_owes_nothing_and_leaves_no_row(store):
    kept = entry(name="r")
    store.journal.append(kept, ())
    unsent = Shadow(kept.origin.entry_id, "waterfall", 1.0, attempt(SMALL, None, calls=()))
    store.journal.append_shadow(unsent, ())
    store.journal.append_shadow(Shadow(kept.origin.entry_id, "waterfall"), ())
    assert store.flush()
    assert len(read.request(store.path, "r")["attempts"]) == 1


def test_twice_is_once_and_without_its_request_it_is_nothing(tmp_path):
    kept = entry()
    flat = shadow_row(shadow := shadow_of(kept), shadow.attempt)
    lost = {**flat, "shadow": {**flat["shadow"], "entry_id": "nobody's"}}
    with closing(connect(tmp_path / "l.db")) as connection, transaction(connection):
        done = insert(connection, [lost, record(kept), flat, flat])
        assert (done.new, done.known, done.malformed) == (2, 1, 1)
        again = insert(connection, [record(kept), flat])
        assert (again.new, again.known) == (0, 2)
    with closing(connect(tmp_path / "l.db")) as connection:
        costs = connection.execute("SELECT shadow_cost FROM request").fetchall()
    assert costs == [(shadow.attempt.spent,)]


def test_a_kill_while_it_was_under_way_books_its_estimate(tmp_path):
    path = tmp_path / "ledger.db"
    kept = entry(name="r")
    with closing(open_store(path)) as store:
        store.journal.append(kept, ())
        assert store.flush()
    owner = claim(tmp_path / "ledger.db.spool")
    slots = Slots(owner.slots)
    slots.open(open_call(entry_id=kept.origin.entry_id, purpose="shadow"))
    slots.close()
    os.close(owner.lock)
    with closing(open_store(path)) as store:
        assert store.recovered.unsettled == 1
        found = read.request(path, "r")
    assert (found["shadow_cost"], found["cost"]) == (777_001, kept.cost)
    assert [each["purpose"] for each in found["calls"]] == ["shadow", "serve"]


def test_its_draw_is_the_id_s_own_and_as_wide_as_its_share():
    ids = [f"entry-{number}" for number in range(4_000)]
    assert not any(drawn(each, 0.0) for each in ids)
    assert all(drawn(each, 1.0) for each in ids)
    half = [each for each in ids if drawn(each, 0.5)]
    assert 1_800 < len(half) < 2_200
    assert set(half) <= {each for each in ids if drawn(each, 0.6)}
