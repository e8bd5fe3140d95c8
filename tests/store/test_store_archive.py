"""What tuning reads of the ledger and writes to it, over real SQLite."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from dataclasses import replace

import pytest
from sample_entries import entry

from gateway.core.difficulty import Difficulty
from gateway.core.ids import uuid7
from gateway.core.ports import Labelled, Scored, TuningRow
from gateway.store import archive as archive_module
from gateway.store.archive import Archive
from gateway.store.labels import Label, Labels
from gateway.store.ledgers import reading
from gateway.store.sqlite import connect

LINEAR = "linear@3"


@pytest.fixture
def store(home):
    """Of either database."""
    return home.open()


def scored(value=0.42, score=0.1, scorer=LINEAR, **more):
    profile, unlike = more.pop("profile", ""), more.pop("unlike", None)
    tier = more.get("start_tier", "large" if value >= 0.8 else "small")
    more["start_tier"] = tier
    return entry(
        difficulty=Difficulty(value, scorer=scorer, score=score, profile=profile, unlike=unlike),
        **more,
    )


def keep(store, *entries):
    for each in entries:
        store.journal.append(each, ())
    assert store.flush()


def timed(kept, at):
    """Give an entry an id such as the gateway draws: one that begins with its time."""
    return replace(kept, origin=replace(kept.origin, entry_id=uuid7(at, 7)))


def label(store, kept, tier, score, source="user"):
    store.labels.put(Label(kept.origin.entry_id, tier, score, source, 1_700_000_000.0))


def test_recent_scores_come_oldest_first_and_whole(store):
    keep(
        store,
        scored(0.9, 0.31, profile="0391", unlike=True, threshold=0.8),
        scored(0.2, -0.05, unlike=False, threshold=0.7),
    )
    first, second = store.archive.recent("waterfall", LINEAR, 10)
    assert first == Scored(first.number, 0.31, 0.9, True, 0.8, "0391", unlike=True)
    assert second == Scored(second.number, -0.05, 0.2, False, 0.7, "", unlike=False)
    assert first.number < second.number
    assert store.archive.recent("waterfall", LINEAR, 1) == [second]


def test_recent_scores_are_the_policy_s_own(store):
    """Not another route's or scorer's, a given tier's, one without policy or without score."""
    keep(
        store,
        scored(route="second"),
        scored(scorer="linear@4"),
        scored(start_reason="override"),
        scored(mode="off", start_reason="mode"),
        entry(difficulty=None),
        kept := scored(0.7, 0.25),
    )
    (found,) = store.archive.recent("waterfall", LINEAR, 10)
    assert found.score == kept.difficulty.ranked
    assert store.archive.recent("nowhere", LINEAR, 10) == []
    assert store.archive.has_scored("waterfall", LINEAR, 0, 1)
    assert not store.archive.has_scored("waterfall", LINEAR, 0, 2)
    assert not store.archive.has_scored("waterfall", LINEAR, found.number, 1)
    assert not store.archive.has_scored("nowhere", LINEAR, 0, 1)


def test_so_many_that_are_newer_is_as_many_as_it_says(store):
    keep(store, *(scored(0.1 * each) for each in range(5)))
    numbers = [each.number for each in store.archive.recent("waterfall", LINEAR, 10)]
    for place, number in enumerate(numbers):
        newer = len(numbers) - place - 1
        assert store.archive.has_scored("waterfall", LINEAR, number, newer)
        assert not store.archive.has_scored("waterfall", LINEAR, number, newer + 1)


ABOVE = {
    "by its score": ({"value": 0.8}, True),
    "left below by its score": ({"value": 0.79}, False),
    "observed, and hard": ({"value": 0.9, "start_reason": "mode", "start_tier": "large"}, True),
    "observed, and easy": ({"value": 0.1, "start_reason": "mode", "start_tier": "large"}, False),
    "latched": ({"value": 0.1, "start_reason": "latch", "start_tier": "large"}, True),
    "too long for the first": ({"start_reason": "context", "start_tier": "large"}, True),
    "hard, with tools": ({"value": 0.9, "start_reason": "rule", "start_tier": "small"}, False),
    "hard, for little": ({"value": 0.9, "start_reason": "budget", "start_tier": "small"}, False),
    "a threshold of 1": ({"value": 1.0, "threshold": 1.0, "start_tier": "small"}, False),
    "one tier alone": ({"value": 0.9, "threshold": None, "start_tier": "small"}, False),
}


@pytest.mark.parametrize(("how", "above"), ABOVE.values(), ids=ABOVE)
def test_whether_a_request_started_over_the_first_tier(store, how, above):
    keep(store, scored(0.1), scored(**how))
    assert [each.above for each in store.archive.recent("waterfall", LINEAR, 10)] == [False, above]


def test_labels_of_several_sources_are_one_mean(store):
    one, two = timed(scored(score=0.1), 1), timed(scored(score=0.2), 2)
    keep(store, one, two, scored(score=0.3))
    label(store, one, "small", 0.0)
    label(store, one, "small", 1.0, "judge")
    label(store, one, "large", 1.0)
    label(store, two, "small", 0.75)
    first, second = store.archive.labelled("waterfall", LINEAR, 10)
    assert first == Labelled(first.number, 0.1, {"small": 0.5, "large": 1.0})
    assert second == Labelled(second.number, 0.2, {"small": 0.75})
    assert store.archive.labelled("waterfall", LINEAR, 1) == [second]
    assert store.archive.labelled("second", LINEAR, 10) == []
    assert store.archive.labelled("waterfall", "linear@9", 10) == []


def test_a_label_counts_for_a_scorer_that_was_only_being_tried(store):
    tried = Difficulty(0.9, scorer="linear@4", score=0.6)
    keep(store, both := scored(score=0.1, candidate=tried), alone := scored(score=0.2))
    label(store, both, "small", 0.0)
    label(store, alone, "small", 1.0)
    (found,) = store.archive.labelled("waterfall", "linear@4", 10)
    assert (found.score, found.good) == (0.6, {"small": 0.0})
    assert [each.score for each in store.archive.labelled("waterfall", LINEAR, 10)] == [0.1, 0.2]


def test_a_label_says_whether_its_scorer_has_met_the_question(store):
    tried = Difficulty(0.9, scorer="linear@4", score=0.6, met=True)
    known = replace(scored(candidate=tried), difficulty=Difficulty(0.4, scorer=LINEAR, met=True))
    fresh = scored(candidate=tried)
    keep(store, known, fresh)
    label(store, known, "small", 0.0)
    label(store, fresh, "small", 1.0)
    met = {each.good["small"]: each.met for each in store.archive.labelled("waterfall", LINEAR, 9)}
    assert met == {0.0: True, 1.0: False}
    assert [each.met for each in store.archive.labelled("waterfall", "linear@4", 9)] == [True] * 2


def test_a_label_without_its_request_is_no_label(store):
    keep(store, scored())
    label(store, scored(), "small", 1.0)
    assert store.archive.labelled("waterfall", LINEAR, 10) == []


# ------------------------------------------------------------------ tunings


def state(text="{}", route="waterfall", made_at=7.5):
    return TuningRow(0, route, LINEAR, made_at, text)


def test_the_newest_state_of_each_route(store):
    archive = store.archive
    assert archive.tunings() == {}
    assert archive.put_tuning(state("a"), 0)
    assert archive.put_tuning(state("b", "second"), 0)
    first = archive.tunings()["waterfall"]
    assert first == TuningRow(first.number, "waterfall", LINEAR, 7.5, "a")
    assert archive.put_tuning(state("c"), first.number)
    found = archive.tunings()
    assert {name: row.state for name, row in found.items()} == {"waterfall": "c", "second": "b"}
    assert found["waterfall"].number > found["second"].number > first.number


def test_whoever_is_late_is_told_so(store):
    archive = store.archive
    assert archive.put_tuning(state("a"), 0)
    number = archive.tunings()["waterfall"].number
    for after in (0, number - 1, number + 1):
        assert not archive.put_tuning(state("late"), after)
    assert archive.tunings()["waterfall"].state == "a"


def test_of_many_at_once_one_is_first(store):
    for _ in range(5):
        newest = store.archive.tunings().get("waterfall")
        after = newest.number if newest else 0
        won = []
        ready = threading.Barrier(8)

        def put(name, after=after, ready=ready, won=won):
            ready.wait()
            if Archive(store.place).put_tuning(state(name), after):
                won.append(name)

        threads = [threading.Thread(target=put, args=(str(each),)) for each in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [store.archive.tunings()["waterfall"].state] == won


def test_old_states_go(store, monkeypatch):
    monkeypatch.setattr(archive_module, "STATES_KEPT", 3)
    assert store.archive.put_tuning(state("other", "second"), 0)
    after = 0
    for number in range(6):
        assert store.archive.put_tuning(state(str(number)), after)
        after = store.archive.tunings()["waterfall"].number
    with reading(store.place) as reader:
        kept = reader.execute("SELECT state FROM tuning ORDER BY number").fetchall()
    assert [row["state"] for row in kept] == ["other", "3", "4", "5"]


# ------------------------------------------------------------------ a ledger that is not to be had


def asks(path):
    archive, labels = Archive(path), Labels(path, lambda _: True)
    yield lambda: archive.recent("waterfall", LINEAR, 1)
    yield lambda: archive.labelled("waterfall", LINEAR, 1)
    yield archive.tunings
    yield lambda: archive.put_tuning(state(), 0)
    yield lambda: labels.find("x", None, 1.0)
    yield lambda: labels.put(Label("x", "small", 1.0, "user", 0.0))
    yield lambda: archive.has_scored("waterfall", LINEAR, 0, 1)


@pytest.mark.parametrize("which", range(7))
def test_a_ledger_that_is_not_there_is_an_os_error(tmp_path, which):
    with pytest.raises(OSError, match=r"l\.db is not to be had"):
        list(asks(tmp_path / "l.db"))[which]()
    assert list(tmp_path.iterdir()) == [], "and is not made by asking"


@pytest.mark.parametrize("which", [3, 5])
def test_a_locked_ledger_is_an_os_error_where_it_writes(tmp_path, which):
    connect(tmp_path / "l.db").close()
    with closing(sqlite3.connect(tmp_path / "l.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OSError, match="locked"):
            list(asks(tmp_path / "l.db"))[which]()
        for place in (0, 1, 2, 4, 6):
            list(asks(tmp_path / "l.db"))[place]()


def test_rows_that_do_not_come_in_time_are_an_os_error(store):
    with pytest.raises(OSError, match="takes no rows"):
        Labels(store.place, lambda _: False).find("x", None, 0.1)


# ------------------------------------------------------------------ finding what is labelled


def test_a_request_is_found_by_either_id_and_by_its_key(store):
    keep(
        store,
        *(own(entry(name="mine"), key) for key in ("a", "a", "b")),
    )
    rows = {key: store.labels.find("mine", key, 1.0) for key in ("a", "b", None)}
    assert rows["a"] != rows["b"] == rows[None], "the newest of each"
    assert store.labels.find(rows["a"].entry_id, "a", 1.0) == rows["a"]
    assert store.labels.find(rows["a"].entry_id, "b", 1.0) is None
    assert store.labels.find("nobody-s", None, 1.0) is None
    assert (rows["a"].tier, rows["a"].route, rows["a"].request_id) == ("small", "waterfall", "mine")


def own(kept, key):
    return replace(kept, origin=replace(kept.origin, key=key))


def test_a_find_sees_what_was_kept_a_moment_ago(store):
    for number in range(50):
        store.journal.append(entry(name=f"r-{number}"), ())
        assert store.labels.find(f"r-{number}", None, 10.0)


def test_a_stamp_changes_with_what_is_written_and_with_nothing_else(tmp_path):
    place = tmp_path / "w.db"
    with closing(connect(place)) as drain:
        archive = Archive(place)
        stamps = [archive.stamp()]
        assert archive.tunings() == {}
        assert archive.stamp() == stamps[0] is not None
        assert archive.put_tuning(TuningRow(0, "w", LINEAR, 1.0, "{}"), 0)
        stamps.append(archive.stamp())
        drain.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        stamps.append(archive.stamp())
    stamps.append(archive.stamp())  # the log is gone with its last user
    assert [stamps.count(each) for each in stamps] == [1, 1, 1, 1]
