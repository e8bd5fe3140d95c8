from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from sample_entries import cancelled, entry, escalated, failed, fallen_through, open_call

from gateway.store import read


def test_summaries_add_up_by_session(store):
    def origin(each, session):
        values = {name: getattr(each.origin, name) for name in ("entry_id", "request_id")}
        return type(each.origin)(**values, started_at=each.origin.started_at, session=session)

    runs = {
        "small": [entry(), entry(), failed()],
        "waterfall": [escalated(), fallen_through(), entry(), cancelled()],
    }
    for session, entries in runs.items():
        for each in entries:
            with_session = {"outcome": each.outcome, "origin": origin(each, session)}
            store.journal.append(entry(**with_session), ())
    store.journal.open(open_call())
    store.flush()
    found = read.summaries(store.path, "session")
    assert found["small"] == read.summary(store.path, session="small")
    assert (found["small"].requests, found["small"].ok) == (3, 2)
    assert found["small"].tiers == {"small": 2}
    assert found["waterfall"].tiers == {"large": 2, "small": 1}
    assert found["waterfall"].share("large") == 2 / 3
    assert found["waterfall"].escalated == 2
    assert found["waterfall"].estimated == 1
    assert found["waterfall"].cost == sum(each.cost for each in runs["waterfall"])
    assert found["waterfall"].discarded_cost == sum(e.discarded for e in runs["waterfall"])
    assert found["waterfall"].seconds == {50: 2.0, 95: 2.0, 99: 2.0}
    everything = read.summary(store.path)
    assert everything.requests == 7
    assert everything.calls == 9
    assert everything.saved == 1 - everything.cost / everything.baseline_cost
    dearer = replace(everything, shadow_cost=3 * everything.baseline_cost, gateway_cost=7)
    spent = everything.cost + 3 * everything.baseline_cost + 7
    assert dearer.saved == 1 - spent / everything.baseline_cost < 0
    assert read.summary(store.path, session="none").saved is None
    assert read.summaries(store.path, "route", since=0.0)["waterfall"] == everything
    assert len(read.requests(store.path, session="small", limit=2)) == 2


def test_the_page_s_queries_run_and_its_tables_are_ours(store):
    page = (Path(__file__).parents[2] / "docs" / "ledger.md").read_text(encoding="utf-8")
    store.journal.append(entry(), ())
    store.flush()
    with closing(sqlite3.connect(store.path)) as reader:
        for query in re.findall(r"```sql\n(.*?)```", page, re.DOTALL):
            reader.execute(query).fetchall()
        tables = {
            name
            for (name,) in reader.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        }
    assert tables == set(re.findall(r"\n\n`(\w+)`", page))
