"""A share of the traffic, and a number among the gateway's own traffic."""

from __future__ import annotations

import logging
import re
from itertools import pairwise

import pytest
from tuning.memory import Bare, Gains, World, route, share, skewed

from gateway.core.difficulty import Difficulty
from gateway.core.routing import Route


def test_before_there_is_anything_a_share_is_of_the_artefact_s_reference():
    world = World(route(share(0.3)))
    assert world.apply(0.5)[1] == (0.7,)
    assert world.told()["basis"] == "start"
    world.ask(199, skewed)
    world.round()
    assert world.told()["basis"] == "start"
    assert world.archive.rows == []


@pytest.mark.parametrize("part", [0.05, 0.2, 0.5])
def test_a_share_is_kept_of_traffic_that_no_reference_knows(part):
    world = World(route(share(part)))
    for _ in range(20):
        world.ask(100, skewed)
        world.round()
    assert world.ask(3000, skewed) == pytest.approx(part, abs=0.03)
    assert world.told()["basis"] == "share"
    assert world.figure("target_share") == part


def test_it_is_fitted_after_200_500_and_1000_scores_and_then_every_hundred():
    world, fitted = World(route(share(0.2))), []
    for seen in range(20, 1420, 20):
        world.ask(20, skewed)
        world.round()
        if len(world.archive.rows) > len(fitted):
            fitted.append(seen)
    assert fitted == [200, 500, 1000, 1100, 1200, 1300, 1400]


def test_once_there_is_a_reference_fits_are_a_second_apart():
    world = World(route(share(0.2)))
    world.ask(1000)
    world.round(seconds=0)
    rows = len(world.archive.rows)
    world.ask(500)
    world.round(seconds=0.9)
    assert len(world.archive.rows) == rows
    world.round(seconds=0.2)
    assert len(world.archive.rows) == rows + 1


def test_busy_traffic_is_sent_up_as_wanted_by_every_thousand_requests():
    """300 a second: with a fit every ten seconds one thousand in ten would miss by 3 points."""
    shares = []
    for seed in range(40):
        world = World(route(share(0.2)), seed=seed)
        for _ in range(4):
            world.ask(250)
            world.round(seconds=1)
        sent = 0.0
        for _ in range(4):
            sent += world.ask(250) / 4
            world.round(seconds=1)
        shares.append(sent)
    assert sum(abs(sent - 0.2) > 0.03 for sent in shares) <= 2


@pytest.mark.parametrize("scorer", [Gains(), Bare()], ids=["gains", "bare"])
def test_a_number_comes_to_mean_the_gateway_s_own_traffic(scorer):
    world = World(route(threshold=0.8), scorer)
    before = world.ask(199, skewed)
    world.round()
    assert before == pytest.approx(0.054, abs=0.04)
    assert world.told()["reference"] == "artefact"
    world.ask(1, skewed)
    world.round()
    assert world.told()["reference"] == "own"
    assert world.ask(800, skewed) == pytest.approx(0.2, abs=0.08)
    world.round()
    assert world.ask(3000, skewed) == pytest.approx(0.2, abs=0.03)
    assert world.apply(0.5)[1] == (0.8,), "the number itself stays"


def test_the_score_outlives_its_new_rank():
    world = World(route())
    world.ask(1000, skewed)
    world.round()
    told, _ = world.apply(0.5)
    assert told.score == 0.5
    assert 0.8 < told.value < 0.95


def test_a_young_reference_is_made_anew_until_it_is_of_a_thousand():
    world = World(route())
    values = []
    for more in (200, 300, 500, 100):
        world.ask(more, skewed)
        world.round()
        values.append(world.apply(0.3)[0].value)
    assert len(set(values[:3])) == 3
    assert values[3] == values[2]


def test_the_reference_then_stays():
    world = World(route())
    world.ask(1000, skewed)
    world.round()
    before = world.apply(0.3)[0].value
    world.ask(2000)
    world.round()
    assert world.apply(0.3)[0].value == before


def test_artefact_keeps_what_the_scorer_came_with_and_own_then_gathers_anew():
    world = World(route(reference="artefact"))
    world.ask(1000, skewed)
    world.round()
    assert world.apply(0.5)[0].value == 0.5
    world.reload(chosen=route())
    first = world.apply(0.3)[0].value
    assert first > 0.6
    world.ask(1000)
    world.reload(chosen=route(reference="artefact"))
    assert world.apply(0.3)[0].value == 0.3
    world.reload(chosen=route())
    assert world.apply(0.3)[0].value == pytest.approx(0.3, abs=0.05), "of the newest thousand"


def test_a_share_among_scores_that_tie():
    world = World(route(share(0.2)), Bare())
    levels = [1 / 7] * 6 + [2 / 7, 3 / 7, 6 / 7, 6 / 7]
    for _ in range(3):
        world.ask(1000, lambda chance: chance.choice(levels))
        world.round()
    assert world.ask(2000, lambda chance: chance.choice(levels)) == pytest.approx(0.2, abs=0.03)
    assert world.told()["alarms"] == []
    assert world.figure("score_psi") < 0.05


def test_the_window_is_what_it_says():
    world = World(route(share(0.5, window=200), reference="artefact"))
    world.ask(1000)
    world.ask(200, skewed)
    world.round()
    narrow = world.apply(0.5)[1][0]
    wide = World(route(share(0.5, window=1200), reference="artefact"))
    wide.archive.scored = world.archive.scored
    wide.round()
    assert narrow < 0.15
    assert wide.apply(0.5)[1][0] > 0.35


def test_what_another_scorer_says_is_left_alone():
    world = World(route(share(0.1)))
    world.ask(1000, skewed)
    world.round()
    strange = Difficulty(0.3, scorer="gains@1+fallback")
    assert world.tuned().apply(world.route, strange) == (strange, (0.9,))


def test_a_tier_asked_for_by_name_has_nothing_to_tune():
    world = World(route())
    alone = Route("large", (world.route.tiers[1],), thresholds=())
    told = Difficulty(0.3)
    assert world.tuned().apply(alone, told) == (told, ())
    assert world.tuned().describe("large") is None


def test_the_log_tells_of_moves_of_a_hundredth_and_no_others(caplog):
    caplog.set_level(logging.INFO, "waterfall")
    world, seen = World(route(share(0.2), reference="artefact")), []
    for steps in range(30):
        world.ask(
            1000 if not steps else 100, lambda chance, top=1 - steps / 300: chance.random() * top
        )
        world.round()
        seen.append(world.apply(0.5)[1][0])
    told = [float(n) for n in re.findall(r"threshold (\d\.\d+), from", caplog.text)]
    moves = [abs(later - first) for first, later in pairwise(told)]
    assert min(moves) >= 0.0099
    assert 3 < len(told) < len(set(seen)), "slow moves add up, small ones are not worth a line"
    assert told[-1] == pytest.approx(seen[-1], abs=0.0101)
