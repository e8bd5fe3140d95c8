"""Allowances: pools, what holders draw from them, and that no unit is ever lost or used twice."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.allowance import (
    FOLD,
    Ask,
    Bucket,
    Drawn,
    Holding,
    Pool,
    Share,
    Terms,
    draw_pool,
    draw_rate,
)

LEASE = 10.0
RATE = Terms("rate", 600, 10.0)
BUDGET = Terms("budget", 1000)
SLOTS = Terms("slots", 3)


# ------------------------------------------------------------------ rates


@pytest.mark.parametrize(
    ("bucket", "ask", "now", "drawn", "level"),
    [
        (None, Ask("a", want=30, least=1), 5.0, Drawn(30, 570), 570.0),  # one not there is full
        (Bucket(0, 5.0), Ask("a", want=30, least=1), 5.05, Drawn(0, 0, 0.05), 0.5),
        (Bucket(0, 5.0), Ask("a", want=30, least=5), 6.0, Drawn(10, 0), 0.0),
        (Bucket(0, 5.0), Ask("a", want=30, least=25), 6.0, Drawn(0, 10, 1.5), 10.0),
        (Bucket(590, 5.0), Ask("a"), 65.0, Drawn(0, 600), 600.0),  # never over the brim
        (Bucket(590, 5.0), Ask("a", back=40), 5.0, Drawn(0, 600), 600.0),
        (Bucket(10, 5.0), Ask("a", back=-50, want=30, least=1), 5.0, Drawn(0, -40, 4.1), -40.0),
        (Bucket(7, 5.0), Ask("a", want=30, least=1), 1.0, Drawn(7, 0), 0.0),  # the clock went back
    ],
)
def test_a_rate(bucket, ask, now, drawn, level):
    after, came = draw_rate(bucket, RATE, ask, now)
    assert (came.granted, came.left) == (drawn.granted, drawn.left)
    assert came.wait == pytest.approx(drawn.wait)
    assert after.level == pytest.approx(level)
    assert after.at == now


# ------------------------------------------------------------------ budgets and slots


@pytest.mark.parametrize(
    ("pool", "terms", "ask", "drawn", "claimed"),
    [
        (Pool(), BUDGET, Ask("a", want=50, least=1), Drawn(50, 950), 50),
        (Pool(960), BUDGET, Ask("a", want=50, least=1), Drawn(40, 0), 1000),
        (Pool(960), BUDGET, Ask("a", want=50, least=41), Drawn(0, 40), 960),
        (Pool(1100), BUDGET, Ask("a", want=50, least=1), Drawn(0, -100), 1100),
        (Pool(0, {"a": Share(5, 45, 1.0)}), BUDGET, Ask("a", 30, 20), Drawn(0, 950), 50),
        # b's lease is over: of a budget what it kept counts as used, of slots as free
        (Pool(0, {"b": Share(5, 45, 99.0)}), BUDGET, Ask("a", 1), Drawn(0, 949), 51),
        (Pool(0, {"b": Share(0, 2, 99.0)}), SLOTS, Ask("a", want=1, least=1), Drawn(1, 2), 1),
        (Pool(0, {"b": Share(0, 2, 101.0)}), SLOTS, Ask("a", want=1, least=1), Drawn(1, 0), 3),
        # long gone: its name is forgotten, not what it had used
        (Pool(7, {"b": Share(5, 5, 100 - FOLD)}), BUDGET, Ask("a", 1), Drawn(0, 982), 18),
    ],
)
def test_a_pool(pool, terms, ask, drawn, claimed):
    after, came = draw_pool(pool, terms, ask, 100.0, LEASE)
    assert came == drawn
    assert after.claimed == claimed
    assert after.shares[ask.holder].until == 110.0


def test_who_comes_back_says_what_became_of_it():
    pool, _ = draw_pool(Pool(), BUDGET, Ask("b", want=100, least=100), 0.0, LEASE)
    pool, _ = draw_pool(pool, BUDGET, Ask("a", 1), 20.0, LEASE)
    assert pool.claimed == 101
    pool, _ = draw_pool(pool, BUDGET, Ask("b", used=30), 21.0, LEASE)
    assert pool.claimed == 31


# ------------------------------------------------------------------ holders


def test_a_block_is_a_part_and_never_nothing():
    assert [Terms("rate", each).block for each in (1, 19, 20, 600)] == [1, 1, 1, 30]


def test_what_is_not_in_hand_is_not_reserved():
    holding = Holding(BUDGET)
    assert not holding.reserve(1)
    ask = holding.ask("a", 20, 0.0)
    assert ask == Ask("a", want=50, least=20)
    holding.take(ask, Drawn(50, 950), 0.0)
    assert holding.reserve(20)
    assert (holding.held, holding.reserved, holding.idle) == (30, 20, False)
    holding.settle(20, 25)  # five more than was thought
    assert (holding.held, holding.reserved, holding.used) == (25, 0, 25)
    assert holding.ask("a", 0, 1.0, keep=False) == Ask("a", 25)
    assert (holding.held, holding.idle) == (0, False)
    holding.take(Ask("a", 25), Drawn(0, 975), 1.0)
    assert holding.idle


def test_slots_come_back():
    holding = Holding(SLOTS)
    holding.take(Ask("a"), Drawn(1, 2), 0.0)
    assert holding.reserve(1)
    holding.settle(1, 1)
    assert (holding.held, holding.used) == (1, 0)


def test_a_debt_is_paid_with_the_next_draw():
    holding = Holding(RATE)
    holding.force(30)
    ask = holding.ask("a", 1, 0.0)
    assert ask == Ask("a", back=-30, want=30, least=1)
    holding.unheard(ask)
    assert holding.held == -30
    ask = holding.ask("a", 1, 0.0)
    holding.take(ask, Drawn(30, 540), 0.0)
    assert (holding.held, holding.known) == (30, Bucket(540, 0.0))
    budget = Holding(BUDGET)
    budget.force(30)
    budget.settle(30, 40)
    ask = budget.ask("a", 1, 0.0)
    assert ask == Ask("a", 40, 0, want=50, least=1)
    budget.unheard(ask)
    assert budget.ask("a", 1, 0.0) == ask
    budget.take(ask, Drawn(50, 810), 0.0, heard=False)
    assert not budget.idle
    assert budget.known == Pool(100)  # of others: 1000 - 810 - 90 of its own


def test_who_was_long_away_comes_under_another_name():
    holding = Holding(BUDGET)
    holding.take(holding.ask("a", 10, 0.0), Drawn(50, 950), 0.0)
    holding.reserve(10)
    holding.settle(10, 10)
    holding.take(holding.ask("a", 0, 1.0), Drawn(0, 950), 1.0)
    holding.reserve(5)
    holding.settle(5, 5)
    assert holding.ask("a", 0, FOLD / 2).used == 15
    later = holding.ask("a", 0, FOLD / 2 + 2)
    assert (later.holder, later.used) == ("a.1", 5)  # the other ten are known, under the old name


# ------------------------------------------------------------------ nothing is lost


class World:
    """Some holders of one pool, with what really happened kept beside it."""

    def __init__(self, terms):
        self.terms, self.pool, self.now = terms, Pool(), 0.0
        self.alive = {}
        self.open = []
        self.really, self.lost, self.number = 0, 0, 0

    def holder(self, place):
        name = f"h{place}"
        if name not in self.alive:
            self.alive[name] = (f"{name}.{self.number}", Holding(self.terms))
            self.number += 1
        return self.alive[name]

    def draw(self, name, holding, need, *, keep=True, heard=True):
        ask = holding.ask(name, need, self.now, keep=keep)
        self.pool, drawn = draw_pool(self.pool, self.terms, ask, self.now, LEASE)
        if heard:
            holding.take(ask, drawn, self.now)
        else:
            holding.unheard(ask)

    def reserve(self, place, units, heard):
        name, holding = self.holder(place)
        if not holding.reserve(units):
            self.draw(name, holding, units, heard=heard)
            if not holding.reserve(units):
                return
        self.open.append((name, holding, units))

    def settle(self, which, part):
        if self.open:
            _, holding, units = self.open.pop(which % len(self.open))
            used = units * part // 4  # 0: cancelled before anything was spent
            holding.settle(units, used)
            self.really += used

    def crash(self, place):
        gone = self.alive.pop(f"h{place}", None)
        if gone is not None:
            name, holding = gone
            known = self.pool.shares.get(name, Share(0, 0, 0))
            self.lost += max(0, known.used + known.kept - holding.used)
            self.open = [each for each in self.open if each[1] is not holding]

    def sync(self, place, heard):
        name, holding = self.holder(place)
        self.draw(name, holding, 0, keep=False, heard=heard)


STEP = st.one_of(
    st.tuples(st.just("reserve"), st.integers(0, 3), st.integers(1, 90), st.booleans()),
    st.tuples(st.just("settle"), st.integers(0, 9), st.integers(0, 4)),
    st.tuples(st.just("crash"), st.integers(0, 3)),
    st.tuples(st.just("sync"), st.integers(0, 3), st.booleans()),
    st.tuples(st.just("wait"), st.sampled_from([1.0, 5.0, 11.0])),
    st.tuples(st.just("forget")),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(STEP, max_size=60))
def test_money_is_never_negative_and_never_lost(steps):
    """However reserving, settling, cancelling, crashing, lost answers and the ends of leases are
    mixed: no more is spent than there is, all that is spent is counted, and beside it only what
    crashed holders had kept."""
    world = World(BUDGET)
    for word, *given_ in steps:
        if word == "wait":
            world.now += given_[0]
        elif word == "forget":
            for place in range(4):  # whoever lives states it anew; who crashed has been counted
                world.sync(place, heard=True)
        else:
            getattr(world, word)(*given_)
        for _, holding in world.alive.values():
            assert holding.held >= 0
            assert holding.reserved >= 0
        assert world.really <= BUDGET.capacity
        assert world.pool.claimed <= BUDGET.capacity
    for _, holding, units in world.open:
        holding.settle(units, 0)
    for place in range(4):
        world.sync(place, heard=True)
    world.now += LEASE + 1
    world.sync(0, heard=True)
    assert world.really <= world.pool.claimed <= world.really + world.lost


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 40)), max_size=30))
def test_a_pool_that_forgot_everything_knows_it_again(steps):
    world = World(BUDGET)
    for place, units in steps:
        world.reserve(place, units, heard=True)
        world.settle(0, 4)
    world.pool = Pool()
    for place in range(3):
        world.sync(place, heard=True)
    assert world.pool.claimed == world.really


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 40), st.floats(0, 3)), max_size=40))
def test_a_rate_gives_no_more_than_it_holds_and_refills(steps):
    holders = [Holding(Terms("rate", 100, 5.0)) for _ in range(3)]
    bucket, now, passed = None, 0.0, 0
    for place, units, pause in steps:
        now += pause
        holding = holders[place]
        if not holding.reserve(units):
            ask = holding.ask(str(place), units, now)
            bucket, drawn = draw_rate(bucket, holding.terms, ask, now)
            holding.take(ask, drawn, now)
            if not holding.reserve(units):
                continue
        holding.settle(units, units)
        passed += units
    assert passed <= 100 + 5.0 * now + 1e-6
