"""What alarms, and what does not."""

from __future__ import annotations

import pytest
from tuning.memory import STEADY, Gains, World, route, share, skewed

WATCHED = Gains(watched={"chars": STEADY, "code": STEADY})


def digits(chars, code):
    """Draw a profile of two characters from two texts of digits."""
    return lambda chance: chance.choice(chars) + chance.choice(code)


EVEN = "0123456789"


def alarms(world):
    return world.told()["alarms"]


@pytest.mark.parametrize("target", [None, share(0.2)])
def test_steady_traffic_raises_no_alarm(target):
    world = World(route(target), WATCHED)
    for _ in range(40):
        world.ask(100, skewed, digits(EVEN, "0001"), lambda chance: chance.random() < 0.01)
        world.round()
        assert alarms(world) == []
    assert world.figure("score_psi") < 0.1
    assert world.figure("feature_psi", "code") < 0.1
    assert world.figure("unlike_share") < 0.05
    assert world.figure("routed_share") == pytest.approx(0.2, abs=0.04)
    assert world.figure("target_share") == pytest.approx(0.2)
    assert world.figure("tuning_scores") == 4000


def test_a_feature_of_the_traffic_that_changes():
    world = World(route(), WATCHED)
    world.ask(1000, profile=digits(EVEN, EVEN))
    world.round()
    world.ask(1000, profile=digits(EVEN, "789"))
    world.round()
    assert alarms(world) == ["feature"]
    assert world.figure("feature_psi", "chars") < 0.1
    assert world.figure("feature_psi", "code") > 0.2
    world.ask(1000, profile=digits(EVEN, EVEN))
    world.round()
    assert alarms(world) == []


def test_what_is_unlike_the_training_data_from_the_first_is_told_too():
    world = World(route())
    world.ask(500, unlike=lambda chance: chance.random() < 0.3)
    world.round()
    assert alarms(world) == ["unlike"]
    assert world.figure("unlike_share") == pytest.approx(0.3, abs=0.06)
    assert world.figure("drift_alarm", "unlike") == 1
    assert world.figure("drift_alarm", "score") == 0


@pytest.mark.parametrize(("expected", "seen"), [(0.01, 0.09), (0.06, 0.25)])
def test_a_few_strange_prompts_are_to_be_expected(expected, seen):
    world = World(route(), Gains(unlike_share=expected))
    world.ask(1000, unlike=lambda chance: chance.random() < seen)
    world.round()
    assert alarms(world) == []


def test_a_share_that_is_not_realised():
    world = World(route())
    world.ask(1000)
    world.round()
    world.ask(100)
    world.round()
    world.ask(400, lambda chance: chance.random() * 0.9)
    world.round()
    assert alarms(world) == ["share"]
    assert world.figure("routed_share") < 0.16


def test_the_traffic_from_before_there_was_a_reference_is_not_held_against_it():
    world = World(route())
    world.ask(1000, skewed)
    world.round()
    for _ in range(15):
        world.ask(100, skewed)
        world.round()
        assert alarms(world) == []
    assert world.figure("routed_share") == pytest.approx(0.2, abs=0.04)


def test_an_artefact_s_reference_binds_only_whoever_asks_for_it():
    own = World(route())
    own.ask(600, skewed)
    own.round()
    assert (alarms(own), own.figure("score_psi") < 0.1) == ([], True)
    artefact = World(route(reference="artefact"))
    artefact.ask(600, skewed)
    artefact.round()
    assert alarms(artefact) == ["score"]


def test_no_alarm_before_there_are_300_requests():
    world = World(route(reference="artefact"))
    world.ask(250, skewed, unlike=lambda chance: True)
    world.round()
    assert alarms(world) == []
    world.ask(250, skewed, unlike=lambda chance: True)
    world.round()
    assert alarms(world) == ["score", "unlike"]


def test_an_alarm_stays_on_until_it_is_well_over():
    world = World(route())
    world.ask(1000)
    world.round()
    world.ask(1000, lambda chance: chance.random() ** 1.45)
    world.round()
    assert 0.1 < world.figure("score_psi") < 0.2
    assert "score" not in alarms(world)
    world.ask(1000, skewed)
    world.round()
    world.ask(1000, lambda chance: chance.random() ** 1.45)
    world.round()
    assert 0.1 < world.figure("score_psi") < 0.2
    assert "score" in alarms(world)


def test_profiles_of_another_length_are_passed_over():
    world = World(route(reference="artefact"), WATCHED)
    world.ask(600, profile="999")
    world.round()
    assert alarms(world) == []
    assert world.figure("feature_psi", "chars") is None
