"""A ledger to which nothing is written is left alone after a while, and no sooner."""

from __future__ import annotations

import pytest
from tuning.memory import World, route, share


@pytest.fixture
def world():
    return World(route(share(0.2)))


def looks(world, seconds, stamp):
    """Does the round after so many seconds look into the ledger?"""
    world.now += seconds
    world.archive.stamped = stamp
    before = world.archive.reads
    world.keepers[0].round()
    return world.archive.reads > before


def test_it_is_looked_at_for_as_long_as_something_may_have_been_put_off(world):
    told = [(1, "a"), (10, "a"), (10, "a"), (3600, "a"), (1, "b"), (1, "b"), (20, "b")]
    found = [looks(world, *each) for each in told]
    assert found == [True, True, False, False, True, True, False]


def test_it_is_tried_again_until_it_can_be_had(world):
    world.archive.broken = True
    assert [looks(world, 100, "a") for _ in range(3)] == [True, True, True]
    world.archive.broken = False
    assert [looks(world, 100, "a") for _ in range(3)] == [True, False, False]


def test_a_new_configuration_is_looked_at(world):
    assert [looks(world, 100, "a") for _ in range(2)] == [True, False]
    world.keepers[0].watch(world.tuned())
    assert [looks(world, 100, "a") for _ in range(2)] == [True, False]


def test_where_it_cannot_be_told_every_round_looks(world):
    assert [looks(world, 100, None) for _ in range(3)] == [True, True, True]
