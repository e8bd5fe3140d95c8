"""Several keepers of one ledger: one value, restarts, reloads, and a ledger that is not there."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest
from tuning.memory import Gains, Memory, World, quality, route, share, skewed

from gateway.core.difficulty import Difficulty
from gateway.core.ports import TuningRow
from gateway.tuning import Keeper
from gateway.tuning.state import read_state, write_state


def in_force(world):
    return [world.tuned(place).apply(world.route, told(world))[1] for place in (0, 1)]


def told(world):
    return world.apply(0.5)[0]


def test_two_keepers_come_to_one_value_and_one_row():
    world = World(route(share(0.2)), keepers=2)
    world.ask(1000, skewed)
    world.round()
    first, second = in_force(world)
    assert first == second != (0.8,)
    assert len(world.archive.rows) == 1
    assert world.told(0) == world.told(1)


def test_who_is_slower_takes_what_the_faster_one_made():
    world = World(route(share(0.2)), keepers=2)
    world.ask(1000, skewed)
    slow, fast = world.keepers

    def overtake():
        world.archive.before_put = lambda: None
        fast.round()

    world.archive.before_put = overtake
    slow.round()
    assert len(world.archive.rows) == 1
    first, second = in_force(world)
    assert first == second != (0.8,)


def test_a_restart_begins_with_what_was_in_force():
    world = World(route(share(0.2)))
    world.ask(1000, skewed)
    world.round()
    before = world.apply(0.3)
    world.keepers.clear()
    world.archive.scored.clear()
    world.open()
    assert world.apply(0.3) == before, "before the first round"


def test_a_reload_of_the_same_forgets_nothing_even_without_the_ledger():
    world = World(route(share(0.2)))
    world.ask(1000, skewed)
    world.round()
    before = world.apply(0.3)
    world.archive.broken = True
    world.reload(chosen=replace(world.route, deadline=5.0))
    assert world.apply(0.3) == before


def test_a_reload_with_another_share_has_it_at_once():
    world = World(route(share(0.2)))
    world.ask(1000, skewed)
    world.round()
    value = world.apply(0.3)[0].value
    world.reload(chosen=route(share(0.5)))
    assert world.apply(0.3)[0].value == value, "the reference stays"
    assert world.ask(2000, skewed) == pytest.approx(0.5, abs=0.04)


def test_a_reload_with_another_share_and_no_ledger_starts_with_its_first_guess():
    world = World(route(share(0.2)))
    world.ask(1000, skewed)
    world.round()
    world.archive.broken = True
    world.reload(chosen=route(share(0.3)))
    assert world.apply(0.3)[1] == (0.7,)
    assert world.told()["basis"] == "start"


def test_another_version_of_the_scorer_starts_anew():
    world = World(route(share(0.2)))
    world.ask(1000, skewed)
    world.round()
    world.reload(scorer=Gains("gains@2"))
    told, thresholds = world.apply(0.3)
    assert (told.value, thresholds) == (0.3, (0.8,))
    world.ask(1000)
    world.round()
    assert world.ask(2000) == pytest.approx(0.2, abs=0.03)


def test_processes_that_want_different_things_do_not_fight_over_the_row():
    world = World(route(share(0.2)), keepers=2)
    world.ask(1000, skewed)
    world.round()
    first = world.keepers[0]
    first.watch(first.prepare({"w": route(share(0.4))}, {"w": world.scorer}))
    rows = len(world.archive.rows)
    for _ in range(20):
        world.now += 0.01
        for keeper in world.keepers:
            keeper.round()
    assert len(world.archive.rows) <= rows + 1
    assert in_force(world)[0] != in_force(world)[1]


def test_a_number_set_by_hand_holds_until_the_next_reload():
    world = World(route(share(0.2)))
    world.ask(1000, skewed)
    world.round()
    live = world.apply(0.3)
    by_hand = replace(world.route, thresholds=(0.6,), target=None)
    keeper = world.keepers[0]
    keeper.watch(world.tuned().fixed(by_hand))
    told, thresholds = world.tuned().apply(by_hand, world.apply(0.3)[0])
    assert (told.value, thresholds) == (live[0].value, (0.6,))
    world.round()
    assert world.figure("threshold") == 0.6
    world.reload()
    assert world.apply(0.3) == live


def test_no_ledger_changes_nothing_and_is_told_of_once(caplog):
    world = World(route(share(0.2)))
    world.ask(1000, skewed)
    world.archive.broken = True
    world.round()
    assert world.apply(0.3)[1] == (0.8,)
    assert [line for line in caplog.messages if "ledger is locked" in line] == [caplog.messages[0]]
    world.archive.broken = False
    world.round()
    assert world.told()["basis"] == "share"


def test_a_fault_of_ours_stops_nothing(caplog, monkeypatch):
    world = World(route(share(0.2)))
    world.ask(1000, skewed)
    monkeypatch.setattr(world.archive, "recent", None)
    world.round()
    assert sum("tuning failed" in line for line in caplog.messages) == 1
    assert world.apply(0.3)[1] == (0.8,)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda state: "no json",
        lambda state: "[]",
        lambda state: json.dumps({**json.loads(state), "schema": 2}),
        lambda state: json.dumps({**json.loads(state), "thresholds": [7]}),
        lambda state: json.dumps({**json.loads(state), "reference": [2, 1]}),
        lambda state: json.dumps({**json.loads(state), "more": 1}),
        lambda state: json.dumps({"schema": 1}),
    ],
)
def test_a_row_that_is_no_state_is_not_adopted_and_made_anew(spoil):
    world = World(route(share(0.2)))
    world.ask(1000, skewed)
    world.round()
    (row,) = world.archive.rows
    assert read_state(spoil(row.state)) is None
    world.archive.rows = [replace(row, state=spoil(row.state))]
    world.keepers.clear()
    world.open()
    assert world.told()["basis"] == "share"
    assert len(world.archive.rows) == 2


def test_a_state_is_the_same_after_the_ledger():
    world = World(route(quality(0.9, 0.8)), Gains(watched={"chars": (0.1,) * 10}))
    world.ask(1000, profile="3")
    world.label(200)
    world.round()
    (row, *_) = world.archive.rows
    state = read_state(row.state)
    assert write_state(state) == row.state
    assert state.promise is not None
    assert state.features
    assert state.drift.feature_psi


def test_rows_of_routes_that_are_gone_are_left_alone():
    world = World(route(share(0.2)))
    world.archive.rows.append(TuningRow(1, "gone", "gains@1", 0.0, "{}"))
    world.ask(1000)
    world.round()
    assert world.told()["basis"] == "share"


def test_idle_rounds_read_no_scores(monkeypatch):
    """They are many, and each is an object of the interpreter that serves."""
    world = World(route(share(0.2, window=100_000)))
    world.ask(1000)
    world.round()
    asked, real = [], world.archive.has_scored
    monkeypatch.setattr(world.archive, "recent", None)
    monkeypatch.setattr(
        world.archive, "has_scored", lambda *args: asked.append(args[3]) or real(*args)
    )
    world.round()
    world.round()
    assert set(asked) == {100}


@pytest.mark.parametrize(("chosen", "after"), [(route(), 10.0), (route(share(0.2)), 1.0)])
def test_busy_traffic_is_fitted_anew_every_second_for_a_target_and_seldom_for_drift_alone(
    chosen, after
):
    world = World(chosen)
    world.ask(1000)
    world.round(1.0)
    (made,) = world.archive.rows
    for seconds, rows in ((after - 0.1, 1), (after + 0.1, 2)):
        world.ask(200)
        world.now = made.made_at + seconds
        world.keepers[0].round()
        assert len(world.archive.rows) == rows


def test_a_young_route_is_looked_at_between_rounds_while_it_is_asked_for():
    world = World(route(share(0.2)), keepers=2)
    first, second = world.keepers
    world.ask(500, skewed)
    first.look()
    assert world.tuned().held("w").state.seen == 500
    reads = world.archive.reads
    first.look()
    second.look()
    assert world.archive.reads == reads, "of an idle one nothing is read"
    world.ask(500, skewed)
    first.look()
    state = world.tuned().held("w").state
    assert (state.seen, state.basis) == (1000, "share")
    assert world.ask(2000, skewed) == pytest.approx(0.2, abs=0.03)
    reads = world.archive.reads
    first.look()
    assert world.archive.reads == reads, "one that knows its traffic waits for the round"
    second.watch(second.prepare({"w": route(share(0.4))}, {"w": world.scorer}))
    second._tuned.apply(route(share(0.4)), told(world))
    assert not second._tuned.stirred


@pytest.mark.parametrize(
    ("chosen", "looks"),
    [
        (route(), True),
        (route(reference="artefact"), False),
        (route(share(0.2), reference="artefact"), True),
        (route(quality(0.9), reference="artefact"), False),
    ],
)
def test_only_what_scores_will_change_is_looked_at_between_rounds(chosen, looks):
    world = World(chosen)
    world.ask(300)
    reads = world.archive.reads
    world.keepers[0].look()
    assert (world.archive.reads > reads) is looks


def test_the_thread_looks_between_its_rounds():
    archive, looked = Memory(), threading.Event()
    keeper = Keeper(archive, lambda: 0.0, every=1000.0, quick=0.001)
    tuned = keeper.prepare({"w": route()}, {"w": Gains()})
    keeper.watch(tuned)
    archive.tunings = lambda: looked.set() or {}
    keeper.start()
    tuned.apply(route(), Difficulty(0.5, scorer="gains@1", score=0.5))
    assert looked.wait(10)
    keeper.close()


def test_the_thread_goes_round_and_ends():
    archive, went = Memory(), threading.Event()
    keeper = Keeper(archive, lambda: 0.0, every=0.001)
    keeper.watch(keeper.prepare({"w": route()}, {"w": Gains()}))
    real = archive.tunings

    def tunings():
        went.set()
        return real()

    archive.tunings = tunings
    keeper.start()
    assert went.wait(10)
    keeper.close()
    assert not keeper._thread.is_alive()


def test_with_nothing_to_keep_there_is_nothing_to_do():
    keeper = Keeper(Memory(), lambda: 0.0)
    assert keeper.figures() == {}
    keeper.round()
    keeper.close()
