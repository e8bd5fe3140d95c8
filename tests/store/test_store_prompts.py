"""Prompts that are kept to learn from: what of them, for how long, and how they are read back."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
from sample_entries import attempt, call, entry, escalated
from store.test_store_drain import eventually

from gateway.core.money import Usage
from gateway.core.outcome import Outcome
from gateway.core.signals import Signals
from gateway.store import prompts
from gateway.store.labels import Label
from gateway.store.ledgers import reading
from gateway.store.prompts import read_signals
from gateway.store.store import open_store
from gateway.store.training import NothingToLearn, labelled_prompts, tier_costs

DAY = 86_400.0


@pytest.fixture
def store(home):
    """Of either database."""
    return home.open()


@pytest.fixture
def opened(home):
    return home.open


NOW = 1_700_000_000.0
ASKED = Signals("Why is the sky “blue”?", 22, 9, 2, tools=1, wants_json=True, max_tokens=64)


def aged(days, **more):
    kept = entry(prompt=Signals(f"asked {days} days ago"), **more)
    return replace(kept, origin=replace(kept.origin, started_at=NOW - days * DAY))


def kept_texts(path):
    with reading(path) as reader:
        found = reader.execute("SELECT signals FROM prompt ORDER BY at DESC").fetchall()
    return [json.loads(signals)["text"] for (signals,) in found]


def keep(store, *entries):
    for each in entries:
        store.journal.append(each, ())
    assert store.flush()


def label(store, kept, tier="small", score=1.0, source="user"):
    store.labels.put(Label(kept.origin.entry_id, tier, score, source, NOW))


def test_a_prompt_is_kept_beside_its_request_where_it_is_asked_for(store):
    keep(store, kept := entry(prompt=ASKED), entry())
    with reading(store.place) as reader:
        ((entry_id, at, signals),) = reader.execute("SELECT * FROM prompt").fetchall()
    assert (entry_id, at) == (kept.origin.entry_id, kept.origin.started_at)
    assert read_signals(signals) == ASKED


def test_prompts_go_when_their_time_is_over(opened):
    with closing(opened(wall=lambda: NOW)) as store:
        keep(store, aged(0), aged(29.9), aged(30.1), aged(400))
    store = opened(wall=lambda: NOW)
    assert eventually(lambda: len(kept_texts(store.place)) == 2)
    assert kept_texts(store.place) == ["asked 0 days ago", "asked 29.9 days ago"]
    store.close()
    store = opened(wall=lambda: NOW, prompt_retention=DAY)
    assert eventually(lambda: kept_texts(store.place) == ["asked 0 days ago"])


def test_many_go_batch_by_batch_while_rows_are_taken(opened, monkeypatch):
    monkeypatch.setattr(prompts, "BATCH", 10)
    monkeypatch.setattr("gateway.store.drain.EVERY_SECONDS", 0.01)
    with closing(opened(wall=lambda: NOW)) as store:
        keep(store, *(aged(31) for _ in range(45)))
    store = opened(wall=lambda: NOW)
    keep(store, aged(0))
    assert eventually(lambda: len(kept_texts(store.place)) == 1)


def test_it_is_looked_at_again_and_again(opened, monkeypatch):
    monkeypatch.setattr("gateway.store.drain.TIDY_SECONDS", 0.05)
    clock = [NOW]
    store = opened(wall=lambda: clock[0])
    keep(store, aged(0))
    assert kept_texts(store.place)
    clock[0] += 31 * DAY
    assert eventually(lambda: not kept_texts(store.place))


def test_a_deleted_prompt_is_gone_from_the_file(tmp_path):
    with closing(open_store(tmp_path / "ledger.db", wall=lambda: NOW)) as store:
        keep(store, aged(31.5), aged(0))
    assert b"asked 31.5 days ago" in (tmp_path / "ledger.db").read_bytes()
    with closing(open_store(tmp_path / "ledger.db", wall=lambda: NOW)) as store:
        assert eventually(lambda: len(kept_texts(store.place)) == 1)
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or b"asked 31.5 days ago" not in path.read_bytes(), path


@pytest.mark.parametrize(
    ("text", "signals"),
    [
        ('{"text": "a"}', Signals("a")),
        ('{"text": "a", "turns": 3, "of_later": [1]}', Signals("a", turns=3)),
        ('{"text": "a", "turns": [1, [2]]}', Signals("a", turns=(1, (2,)))),
        ("{}", None),
        ("[]", None),
        ('{"text": 1}', None),
        ("no json", None),
    ],
)
def test_signals_of_another_version_are_read_as_far_as_they_go(text, signals):
    assert read_signals(text) == signals


# ------------------------------------------------------------------ to learn from


def test_labelled_prompts_are_rows_to_train_on(store):
    one, two = entry(prompt=ASKED), entry(prompt=Signals("two"), route="second")
    keep(store, one, two, entry(prompt=Signals("not labelled")), bare := entry())
    label(store, one, "small", 0.0)
    label(store, one, "small", 0.5, "judge")
    label(store, one, "large", 1.0)
    label(store, two, "small", 0.75)
    label(store, bare)
    first, second = labelled_prompts(store.place)
    assert first == (ASKED, {"small": 0.25, "large": 1.0}, "waterfall", one.origin.started_at)
    assert second == (Signals("two"), {"small": 0.75}, "second", two.origin.started_at)
    assert labelled_prompts(store.place, "second") == [second]
    with pytest.raises(NothingToLearn, match="none of the route 'third'"):
        labelled_prompts(store.place, "third")


def test_a_ledger_that_teaches_nothing_says_what_it_lacks(store, tmp_path):
    with pytest.raises(NothingToLearn, match=r"keeps no prompts.*content: prompts.*/v1/feedback"):
        labelled_prompts(store.place)
    keep(store, entry(prompt=ASKED), bare := entry())
    with pytest.raises(NothingToLearn, match=r"1 prompts, but no labels.*POST /v1/feedback"):
        labelled_prompts(store.place)
    label(store, bare)
    with pytest.raises(NothingToLearn, match="1 prompts and 1 labels, but none is of a request"):
        labelled_prompts(store.place)
    for ask in (labelled_prompts, lambda path: tier_costs(path, "waterfall")):
        with pytest.raises(NothingToLearn, match=r"There is no ledger at .*none\.db"):
            ask(tmp_path / "none.db")
        (tmp_path / "text.db").write_text("no ledger " * 200)
        with pytest.raises(NothingToLearn, match=r"text\.db cannot be read as a ledger"):
            ask(tmp_path / "text.db")


def test_what_a_reply_costs_at_each_tier(store):
    dear = attempt(calls=(call(usage=Usage(1_010, 310)),))
    kept = [entry(), entry(Outcome((dear,), dear)), escalated(), entry(route="second")]
    keep(store, *kept)
    served = [each.outcome.served.spent for each in kept]
    assert tier_costs(store.place, "waterfall") == {
        "small": (served[0] + served[1]) / 2,
        "large": served[2],
    }
    assert tier_costs(store.place, "third") == {}


def test_a_killed_process_s_prompts_are_taken_over(tmp_path):
    """They lie in its spool, as the rest of its record does."""
    store = open_store(tmp_path / "l.db")
    with closing(sqlite3.connect(store.place, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        store.journal.append(aged(0), ())
        assert not store.close(0.2)
        other.execute("ROLLBACK")
    eventually(lambda: not store._drain._thread.is_alive())
    with closing(open_store(tmp_path / "l.db", wall=lambda: NOW)) as again:
        assert kept_texts(again.path) == ["asked 0 days ago"]
