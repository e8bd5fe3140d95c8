"""Accounts: what a worker draws, when it does, and what it goes on by while nobody answers."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from gateway.core.allowance import Terms
from gateway.core.errors import LimitsUnknown
from gateway.limits.accounts import MOST, Accounts
from gateway.limits.periods import window
from gateway.shared import MemoryShared, SharedDown

BUDGET = Terms("budget", 1_000)


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


class Flaky:
    """A shared state in memory, that can be down or slow."""

    def __init__(self, clock):
        self.real, self.down, self.slow, self.trips = MemoryShared(clock), False, 0.0, 0

    async def draw(self, draws):
        self.trips += 1
        if self.slow:
            await asyncio.sleep(self.slow)
        if self.down:
            raise SharedDown
        return await self.real.draw(draws)

    async def get(self, name):
        if self.down:
            raise SharedDown
        return await self.real.get(name)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def shared(clock):
    return Flaky(clock)


def worker(shared, name, clock, timeout=0.05):
    return Accounts(shared, name, clock, timeout)


async def close(*workers):
    for each in workers:
        await each.aclose()


async def spend(account, units):
    got = await account.take(units, units)
    if got:
        account.settle(got, got)
    return got


async def test_most_requests_make_no_trip(shared, clock):
    one = worker(shared, "a", clock)
    account = one.get("x", Terms("rate", 600, 10.0), "open", 60)
    assert [await spend(account, 1) for _ in range(30)] == [1] * 30
    assert shared.trips == 1
    assert await spend(account, 1) == 1
    assert shared.trips == 2
    await close(one)


async def test_what_is_owed_of_a_rate_is_in_the_time_to_its_reset(shared, clock):
    """A minute's worth is 60 and 600 more were used: full again in eleven minutes, not in one."""
    one = worker(shared, "a", clock)
    account = one.get("r", Terms("rate", 60, 1.0), "open", 60)
    got = await account.take(60, 60)
    account.settle(got, got + 600)
    assert account.remaining() == 0
    assert account.reset() == pytest.approx(660, abs=1)
    await close(one)


async def test_many_at_once_draw_once(shared, clock):
    shared.slow = 0.01
    one = worker(shared, "a", clock)
    account = one.get("x", BUDGET, "open", 60)
    assert sum(await asyncio.gather(*(spend(account, 1) for _ in range(50)))) == 50
    assert shared.trips == 1
    await close(one)


async def test_a_pool_that_is_empty_is_not_asked_by_everybody(shared, clock):
    one = worker(shared, "a", clock)
    account = one.get("x", Terms("budget", 5), "open", 60)
    found = await asyncio.gather(*(spend(account, 1) for _ in range(100)))
    assert sum(found) == 5
    assert shared.trips <= 8
    await close(one)


async def test_three_workers_use_no_more_than_there_is_and_no_less_than_a_block_each(shared, clock):
    workers = [worker(shared, name, clock) for name in "abc"]
    accounts = [each.get("x", BUDGET, "open", 60) for each in workers]
    passed = 0
    for turn in range(2_000):
        passed += await spend(accounts[turn % 3], 1)
    assert 1_000 - 3 * BUDGET.block <= passed <= 1_000
    await close(*workers)


async def test_what_is_idle_is_given_back(shared, clock):
    one, other = worker(shared, "a", clock), worker(shared, "b", clock)
    first = one.get("x", Terms("budget", 20), "open", 60)
    await first.take(1, 20)
    first.settle(20, 1)
    second = other.get("x", Terms("budget", 20), "open", 60)
    assert await second.take(19, 19) == 0
    clock.now += 5
    await one.report()
    assert await second.take(19, 19) == 19
    assert len(one) == 1
    clock.now += 61  # what the account is kept for
    await one.report()  # tells it once more
    await one.report()
    assert len(one) == 0
    one.get("x", Terms("budget", 20), "open", 600)
    second.settle(19, 0)
    await one.report()
    await other.report(keep_all=False)
    assert second.remaining() == 19, "what the one had used is not forgotten"
    await close(one, other)


async def test_closing_gives_everything_back(shared, clock):
    one = worker(shared, "a", clock)
    await spend(one.get("x", BUDGET, "open", 60), 3)
    await close(one)
    other = worker(shared, "b", clock)
    assert await other.get("x", BUDGET, "open", 60).take(997, 997) == 997
    await close(other)


async def test_while_it_is_down_each_goes_on_by_what_it_knew(shared, clock):
    one, other = worker(shared, "a", clock), worker(shared, "b", clock)
    mine, yours = (each.get("x", BUDGET, "open", 60) for each in (one, other))
    assert await spend(yours, 400) == 400
    assert await spend(mine, 100) == 100
    shared.down = True
    passed = sum([await spend(mine, 50) for _ in range(40)])
    assert passed == 500, "1,000 less the other's 400 and its own 100"
    assert not one.line.up
    shared.down = False
    clock.now += 2
    await one.report()
    assert one.line.up
    await other.report()
    assert mine.remaining() == 0
    assert await spend(mine, 1) == 0
    await close(one, other)


async def test_that_it_is_there_again_is_seen_though_nobody_comes(shared, clock):
    one = worker(shared, "a", clock)
    account = one.get("x", Terms("rate", 20, 1.0), "open", 60)
    shared.down = True
    assert await spend(account, 1) == 1
    assert account.holding.idle
    for down, up in ((True, False), (False, True)):
        shared.down = down
        clock.now += 2
        await one.report()
        assert one.line.up == up
    await close(one)


async def test_a_limit_that_is_to_be_closed_then_is(shared, clock):
    one = worker(shared, "a", clock)
    account = one.get("x", BUDGET, "closed", 60)
    shared.down = True
    with pytest.raises(LimitsUnknown):
        await account.take(1, 1)
    shared.down = False
    clock.now += 2
    assert await account.take(1, 1) == 1
    await close(one)


async def test_a_slow_one_is_waited_for_twice_and_then_left_alone(shared, clock):
    one = worker(shared, "a", clock, timeout=0.03)
    account = one.get("x", BUDGET, "open", 60)
    assert await spend(account, 50) == 50
    shared.slow = 5.0
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert sum(await asyncio.gather(*(spend(account, 60) for _ in range(10)))) == 600
    assert loop.time() - began < 0.5
    assert shared.trips == 1 + 2
    shared.slow = 0
    await close(one)


async def test_one_late_answer_lets_in_no_more_than_a_block(shared, clock):
    workers = [worker(shared, name, clock, timeout=0.02) for name in "abc"]
    accounts = [each.get("x", Terms("rate", 60, 1.0), "open", 60) for each in workers]
    assert [await spend(each, 1) for each in accounts] == [1, 1, 1]
    assert [await spend(accounts[0], 1) for _ in range(2)] == [1, 1], "what it has in hand"
    shared.slow = 5.0
    assert await spend(accounts[0], 1) == 1
    shared.slow = 0
    passed = 6 + sum([await spend(accounts[n % 3], 1) for n in range(150)])
    assert workers[0].line.failures == 1
    assert workers[0].line.up
    assert 60 - 3 <= passed <= 60 + 3
    await close(*workers)


async def test_an_answer_is_waited_for_as_much_longer_as_this_loop_was_busy(shared, clock):
    one = worker(shared, "a", clock, timeout=0.05)
    account = one.get("x", BUDGET, "open", 60)
    assert await spend(account, 50) == 50
    shared.slow = 0.12
    asyncio.get_running_loop().call_later(0.005, time.sleep, 0.1)
    assert await spend(account, 50) == 50
    assert (one.line.failures, one.line.up) == (0, True)
    await close(one)


async def test_one_that_was_emptied_is_told_everything_anew(shared, clock):
    one, other = worker(shared, "a", clock), worker(shared, "b", clock)
    mine, yours = (each.get("x", BUDGET, "open", 60) for each in (one, other))
    await spend(mine, 300)
    await spend(yours, 500)
    shared.real.forget_pools()
    for each in (one, other):
        await each.report()
    clock.now += 31
    for each in (one, other):
        await each.report()
    assert await mine.take(201, 201) == 0
    assert await mine.take(200, 200) == 200
    await close(one, other)


async def test_a_worker_that_is_gone_has_used_what_it_had_drawn(shared, clock):
    one, other = worker(shared, "a", clock), worker(shared, "b", clock)
    await one.get("x", BUDGET, "open", 60).take(10, 10)  # 50 are drawn
    slots = one.get("s", Terms("slots", 1), "open", 60)
    await slots.take(1, 1)
    one._task.cancel()
    account = other.get("x", BUDGET, "open", 60)
    assert await other.get("s", Terms("slots", 1), "open", 60).take(1, 1) == 0
    clock.now += 11
    assert await account.take(951, 951) == 0
    assert await account.take(950, 950) == 950
    assert await other.get("s", Terms("slots", 1), "open", 60).take(1, 1) == 1
    await close(other)


async def test_accounts_are_bounded_and_none_that_holds_something_goes(shared, clock):
    one = worker(shared, "a", clock)
    kept = one.get("kept", BUDGET, "open", 60)
    await kept.take(1, 1)
    for number in range(MOST + 5):
        one.get(f"s{number}", BUDGET, "open", 60)
    assert len(one) == MOST
    assert one.get("kept", BUDGET, "open", 60) is kept
    await close(one)


# ------------------------------------------------------------------ periods


def at(text, zone):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize(
    ("period", "moment", "zone", "name", "end"),
    [
        ("day", "2026-11-26T23:59:59", "UTC", "2026-11-26", "2026-11-27T00:00:00"),
        ("day", "2026-11-27T00:00:00", "Asia/Tokyo", "2026-11-27", "2026-11-28T00:00:00"),
        ("day", "2026-10-25T12:00:00", "Europe/Berlin", "2026-10-25", "2026-10-26T00:00:00"),
        ("month", "2026-12-31T23:00:00", "UTC", "2026-12", "2027-01-01T00:00:00"),
        ("month", "2026-01-31T12:00:00", "America/Lima", "2026-01", "2026-02-01T00:00:00"),
    ],
)
def test_days_and_months(period, moment, zone, name, end):
    assert window(period, at(moment, zone), zone) == (name, at(end, zone))


def test_the_day_that_the_clocks_change_on_is_longer():
    start = at("2026-10-25T00:00:00", "Europe/Berlin")
    assert window("day", start, "Europe/Berlin")[1] - start == 25 * 3600


def test_what_has_no_end():
    assert window("total", 1.0, "UTC") == ("total", None)
