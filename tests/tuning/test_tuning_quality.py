"""A target of quality: nothing is promised before it can be, and no longer than it can be."""

from __future__ import annotations

import logging

import pytest
from tuning.memory import SMALL, World, quality, route, skewed

from gateway.core.plan import Tier
from gateway.core.ports import Labelled
from gateway.core.routing import Route
from gateway.tuning.fit import fit
from gateway.tuning.state import yardstick


def loses(score, chance):
    """The small tier is as good in all of the easy half, and in half of the hard one."""
    return score < 0.5 or chance.random() < 0.5


def test_without_labels_everything_goes_up_and_nothing_is_promised(caplog):
    world = World(route(quality(0.98)))
    world.ask(1000)
    world.round()
    assert world.ask(50) == 1.0
    told = world.told()
    assert (told["basis"], told["labels_missing"], told["promise"]) == ("conservative", 49, None)
    assert world.figure("tuning_labels_missing") == 49
    assert world.figure("promise", "expectation") == 0
    assert "nothing can be promised for want of labels, 49" in caplog.text


def test_until_is_the_operator_s_own_risk():
    world = World(route(quality(0.98, until=0.4)))
    assert world.ask(1000) == pytest.approx(0.6, abs=0.05)
    assert world.told()["promise"] is None


@pytest.mark.parametrize(("confidence", "kind"), [(None, "expectation"), (0.9, "probability")])
def test_with_enough_labels_the_quality_is_kept_and_promised(confidence, kind):
    world = World(route(quality(0.95, confidence)))
    world.ask(1000)
    world.label(400, good=loses)
    world.round()
    told = world.told()
    assert (told["basis"], told["labels_missing"]) == ("quality", 0)
    assert (told["promise"]["kind"], told["promise"]["void"]) == (kind, False)
    assert (told["promise"]["labels"], told["promise"]["quality"]) == (400, 0.95)
    assert world.figure("promise", kind) == 1
    assert world.figure("tuning_labels") == 400
    threshold = world.apply(0.5)[1][0]
    lost = max(threshold - 0.5, 0) / 2
    assert 0.02 < lost < 0.06
    assert world.ask(2000) == pytest.approx(1 - threshold, abs=0.05)


def test_labels_of_what_the_scorer_was_trained_on_promise_nothing():
    world = World(route(quality(0.95)))
    world.ask(1000)
    world.label(400, met=True)
    world.round()
    told = world.told()
    assert (told["basis"], told["promise"], told["labels_missing"]) == ("conservative", None, 19)
    world.label(30)
    world.round()
    assert world.told()["promise"]["labels"] == 30


def test_a_confidence_costs():
    thresholds = []
    for confidence in (None, 0.95):
        world = World(route(quality(0.95, confidence)))
        world.label(400, good=loses)
        world.round()
        thresholds.append(world.apply(0.5)[1][0])
    assert thresholds[0] > thresholds[1]


def test_the_count_of_missing_labels_falls_and_the_log_says_so(caplog):
    caplog.set_level(logging.INFO, "waterfall")
    world = World(route(quality(0.95)))
    world.label(10)
    world.round()
    assert world.told()["labels_missing"] == 9
    world.round()
    world.label(10)
    world.round()
    assert world.told()["promise"] is not None
    lines = [line for line in caplog.messages if "promise" in line]
    assert ["19 at" in lines[0], "9 at" in lines[1], "is promised" in lines[2]] == [True] * 3
    assert len(lines) == 3


def test_labels_of_one_tier_alone_are_no_use():
    world = World(route(quality(0.95)))
    rows = [Labelled(number, 0.5, {"small": 1.0}) for number in range(1, 100)]
    world.archive.labels["w", "gains@1"] = rows
    world.round()
    assert world.told()["labels"] == 0
    assert world.told()["basis"] == "conservative"


def test_a_label_that_changes_changes_the_threshold():
    world = World(route(quality(0.95)))
    world.label(100)
    world.round()
    assert world.apply(0.5)[1] == (1.0,)
    rows = world.archive.labels["w", "gains@1"]
    rows[:] = [Labelled(row.number, row.score, {"small": 0.0, "large": 1.0}) for row in rows]
    world.round()
    assert world.apply(0.5)[1][0] < 0.1


def test_a_promise_keeps_its_date_until_it_is_made_of_other_labels():
    world = World(route(quality(0.95)))
    world.label(100)
    world.round()
    made_at = world.told()["promise"]["made_at"]
    world.ask(1000)
    world.round()
    assert world.told()["promise"]["made_at"] == made_at
    world.label(1)
    world.round()
    assert world.told()["promise"]["made_at"] > made_at


# ------------------------------------------------------------------ drift


def drifted(world):
    """Let the traffic become another one, after there has been a reference and a promise."""
    world.ask(1000)
    world.label(300, good=loses)
    world.round()
    assert world.told()["promise"]["void"] is False
    world.ask(1000, skewed)
    world.round()


def test_drift_voids_a_promise_and_leaves_the_threshold(caplog):
    caplog.set_level(logging.INFO, "waterfall")
    world = World(route(quality(0.95)))
    drifted(world)
    told = world.told()
    assert told["alarms"] == ["score"]
    assert told["promise"]["void"] is True
    assert told["basis"] == "quality"
    assert world.figure("promise", "expectation") == 0
    assert world.figure("drift_alarm", "score") == 1
    assert world.figure("score_psi") > 0.2
    assert "is void" in caplog.text
    assert "alarm score:" in caplog.text
    lines = len(caplog.messages)
    world.ask(100, skewed)
    world.round()
    assert len(caplog.messages) == lines, "once at each change"


def test_labels_from_before_an_alarm_do_not_count_and_newer_ones_do():
    world = World(route(quality(0.95)))
    drifted(world)
    assert (world.told()["labels"], world.told()["labels_missing"]) == (0, 19)
    world.label(18, skewed, good=loses)
    world.round()
    assert world.told()["promise"]["void"] is True
    world.label(30, skewed, good=loses)
    world.round()
    told = world.told()
    assert told["alarms"] == ["score"]
    assert (told["promise"]["void"], told["promise"]["labels"]) == (False, 48)


def test_a_promise_comes_back_when_drift_ends(caplog):
    caplog.set_level(logging.INFO, "waterfall")
    world = World(route(quality(0.95)))
    drifted(world)
    world.ask(1000)
    world.round()
    assert world.told()["alarms"] == []
    assert (world.told()["promise"]["void"], world.told()["promise"]["labels"]) == (False, 300)
    assert "alarm score is over" in caplog.text


def test_a_restart_does_not_forget_that_a_promise_is_void():
    world = World(route(quality(0.95)))
    drifted(world)
    world.keepers.clear()
    world.open()
    assert world.told()["promise"]["void"] is True


def test_whatever_the_labels_no_basis_but_quality_has_a_promise():
    """A guess is never presented as a promise."""
    for count in range(0, 40, 3):
        for target in (quality(0.95), quality(0.95, 0.9, until=0.3)):
            world = World(route(target))
            world.label(count, good=loses)
            world.round()
            told = world.told()
            assert (told["promise"] is not None) == (told["basis"] == "quality")
            assert (told["labels_missing"] == 0) == (told["basis"] == "quality")


def test_a_fit_is_about_the_tiers_of_its_route():
    other = Route("w", (SMALL, Tier("huge", "far", "x")), thresholds=(0.0,), target=quality(0.9))
    rows = [Labelled(n, 0.5, {"small": 1.0, "large": 1.0}) for n in range(100)]
    state = fit(other, yardstick(World(other).scorer), [], rows, None, 0.0)
    assert (state.basis, state.labels) == ("conservative", 0)
