"""What a user's checks ask of models, and what a request is expected to pay for them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.core.asking import Asks
from gateway.core.check_spec import (
    AgreementCheck,
    CommandCheck,
    JudgeCheck,
    PythonCheck,
    asks_of,
)
from gateway.core.difficulty import Difficulty
from gateway.core.money import Price
from gateway.core.plan import Tier
from gateway.core.recipes import Recipe
from gateway.core.routing import Route, make_plan
from gateway.core.signals import Signals
from gateway.core.verdict import Bar, CheckSpec

OWN = Price(1_000_000, 2_000_000)  # 1 and 2 nano-dollars a token
DEAR = Price(3_000_000, 7_000_000)
COOKED = Tier("asked", "far", "m", DEAR, recipe=Recipe("r", 1, before="x" * 40))


@pytest.mark.parametrize(
    ("asks", "choices", "cost"),
    [
        (Asks(), 1, 100 + 2 * 50),
        (Asks(times=3), 1, 3 * 200),
        (Asks(DEAR), 1, 3 * 100 + 7 * 50),
        (Asks(DEAR, prompt=10, answer=12), 1, 3 * 110 + 7 * 12),
        (Asks(DEAR, reads_reply=True, answer=12), 2, 3 * (100 + 2 * 50) + 7 * 12),
    ],
)
def test_a_check_s_price(asks, choices, cost):
    assert asks.cost(OWN, 100, 50, choices) == cost


def test_what_each_kind_asks():
    assert asks_of(AgreementCheck(samples=2)) == Asks(times=2)
    assert asks_of(AgreementCheck(COOKED)) == Asks(DEAR, 1, prompt=10)
    judge = asks_of(JudgeCheck(COOKED, prompt="x" * 400))
    assert (judge.price, judge.reads_reply, judge.answer) == (DEAR, True, 12)
    assert judge.prompt == asks_of(JudgeCheck(COOKED)).prompt + 100
    assert asks_of(PythonCheck("a:b")) is None
    assert asks_of(CommandCheck(("true",))) is None


def test_a_plan_prices_the_checks_of_each_tier():
    specs = (CheckSpec("shape"), CheckSpec("second", waits=True, asks=Asks()))
    small = Tier("small", "near", "s", OWN, bar=Bar(checks=specs))
    large = replace(small, name="large", price=DEAR)
    signals = Signals(prompt_tokens=100, max_tokens=50, choices=2)
    plan = make_plan(Route("r", (small, large)), signals, Difficulty(0.0))
    assert plan.check_costs == {("small", "second"): 200, ("large", "second"): 650}
    assert [plan.check_cost(small, spec) for spec in specs] == [0, 200]
    assert [spec.free for spec in specs] == [True, False]
