"""`waterfall payback` over a ledger: between which months it is paid back, as days differ."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import yaml

from gateway.cli import main
from gateway.core.economics import Plan, Tokens, pay_back
from gateway.core.money import Price
from loadtests.made_up_ledger import make
from router_models.payback.band import DRAWS, bands, drawn
from router_models.payback.plan import Weighed

DAY = {"prompt": 1_000, "cached": 100, "output": 200, "requests": 10, "escalated": 3}
PLAN = {
    "models": {
        "prompted": "gpt-4o-mini",
        "tuned": {"input": 0.30, "cached_input": 0.15, "output": 1.20},
        "large": "gpt-4o",
    },
    "tokens": {"instructions": 300, "user": 300, "output": 200, "tuned_instructions": 150},
    "volume": 100_000,
    "once": {"training": 30},
}
MEASURED = {"calls": 60, "first": 0.0, "last": 600_000.0}
ALIKE = Weighed(
    names={},
    prices={"tuned": Price(100, 100), "prompted": Price(1_000, 1_000)},
    tokens=Tokens(1_000, 500, 100),
    short=Tokens(0, 500, 100),
    volume=1_000_000,
    plan=Plan(once=4_000_000, monthly=0),
)


def test_days_that_are_alike_leave_nothing_open():
    days = [{**DAY, "calls": 10} for _ in range(6)]
    found = list(drawn(days, MEASURED))
    assert len(found) == DRAWS
    assert {each["calls"] for each in found} == {60}
    assert {(each["prompt"], each["output"], each["last"]) for each in found} == {
        (100.0, 20.0, 600_000.0)
    }


def test_days_that_differ_are_drawn_around_what_was_measured():
    days = [{**DAY, "calls": calls} for calls in (2, 4, 8, 16, 30, 0)]
    calls = [each["calls"] for each in drawn(days, MEASURED)]
    assert (min(calls) < 30, max(calls) > 90) == (True, True)
    assert sum(calls) / len(calls) == pytest.approx(60, rel=0.1)


def test_a_band_has_ninety_five_of_a_hundred_and_may_end_in_never():
    volumes = [1_000_000 + 1_000 * n for n in range(100)]
    found = bands([replace(ALIKE, volume=each) for each in volumes])["prompted"]
    saving = found["saving"]["low"]
    assert found["saving"]["high"] == saving  # a request's is the same at any volume
    ends = [pay_back(saving, volume, ALIKE.plan).months for volume in (volumes[97], volumes[2])]
    assert [found["months"]["low"], found["months"]["high"]] == pytest.approx(ends)
    assert found["within"] == 1
    assert found["curve"]["low"][0] == found["curve"]["high"][0] == -4_000_000
    low, high = found["curve"]["low"][1:], found["curve"]["high"][1:]
    assert all(least < most for least, most in zip(low, high, strict=True))
    dear = {**ALIKE.prices, "tuned": Price(90_000, 90_000)}
    some = [replace(ALIKE, prices=dear) for _ in range(10)]
    found = bands([*some, *[ALIKE] * 90])["prompted"]
    assert found["months"]["high"] is None
    assert found["within"] == pytest.approx(0.9)


def test_a_ledger_of_days_enough_draws_one(tmp_path, capsys):
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(PLAN))
    asked = ["--tier", "small", "--days", "100000"]
    for days, drawings in ((8, DRAWS), (2, 0)):
        ledger = make(tmp_path / f"{days}.db", 400, days=days)
        how = ["payback", str(path), "--ledger", str(ledger), *asked]
        assert main([*how, "--format", "json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["band"]["draws"], told["band"]["days"] >= days) == (drawings, True)
        large = told["against"]["large"]
        assert ("band" in large) == bool(drawings)
        assert main(how) == 0
        text = capsys.readouterr().out
        if not drawings:
            assert "No band: the ledger has calls of" in text
            assert "95 of 100" not in text
            continue
        low, high = large["band"]["months"]["low"], large["band"]["months"]["high"]
        assert low < large["months"] < high
        assert f"{low:,.1f} to {high:,.1f}" in text
        assert f"drawn anew {DRAWS} times" in text
