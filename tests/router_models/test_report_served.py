"""The report over what a real gateway has served: drafts, judges, shadows, scorers, failures."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing

import pytest
from api.serving import LARGE, REFUSES, SMALL, ask_for, house

from gateway.cli import main

AGREES = {
    "checks": {"second": {"kind": "agreement", "tier": "small", "samples": 2}},
    "tiers__small__bar": {"checks": ["refusal", "second"]},
}


@pytest.fixture
def figures(tmp_path, capsys):
    """Report on the folder's ledger, and hold the bill against its calls, one by one."""

    def run():
        assert (
            main(["report", "--config", str(tmp_path / "waterfall.yaml"), "--format", "json"]) == 0
        )
        told = json.loads(capsys.readouterr().out)
        with closing(sqlite3.connect(tmp_path / "waterfall.db")) as connection:
            calls = connection.execute(
                'SELECT purpose, coalesce(served, 0), coalesce(shadow, 0), "call".cost FROM "call"'
                ' LEFT JOIN attempt ON (attempt.request, attempt.seq) = ("call".request, attempt)'
            ).fetchall()
        bill = told["bill"]
        assert bill["actual"] == sum(cost for *_, cost in calls)
        drafts = [c for purpose, served, shadow, c in calls if purpose == "serve" and not served]
        checks = [c for purpose, _, shadow, c in calls if purpose == "check" and not shadow]
        shadows = [c for purpose, _, shadow, c in calls if shadow]
        assert (bill["discarded"], bill["checks"], bill["shadow"]) == (
            *(sum(drafts), sum(checks), sum(shadows)),
        )
        assert bill["scoring"] == sum(c for purpose, *_, c in calls if purpose == "score")
        return told

    return run


async def some_traffic(it):
    for body in (
        *(
            {},
            REFUSES,
            {"simulate": {SMALL: "500"}},
            {"simulate": {LARGE: "500"}},
            {"stream": True},
        ),
        *({"model": "large"}, {"simulate": {SMALL: "refusal", LARGE: "500"}}),
    ):
        await it.chat(**body)


async def test_drafts_failures_and_what_was_pinned(tmp_path, figures):
    async with house(tmp_path) as it:
        await some_traffic(it)
        it.entries()
    told = figures()
    assert told["requests"] == 7
    assert told["bill"]["discarded"] > 0
    assert {row["reason"] for row in told["losses"]} >= {"refusal"}
    (start,) = told["starts"]
    assert (start["tier"], start["saved"]) == ("small", start["baseline"] - start["first"]
                                               - start["later"])  # fmt: skip
    assert told["what_if"]["rows"]


async def test_checks_that_cost(tmp_path, figures):
    async with house(tmp_path, **AGREES) as it:
        await some_traffic(it)
        it.entries()
    told = figures()
    assert told["bill"]["checks"] > 0


async def test_shadows_of_what_is_observed(tmp_path, figures):
    observe = {"routes__waterfall__mode": "observe", "routes__waterfall__shadow": 1.0}
    async with house(tmp_path, **observe) as it:
        await some_traffic(it)
        await it.gateway.switch.service.in_flight.idle()
        it.entries()
    told = figures()
    assert told["bill"]["shadow"] > 0
    assert told["certainty"]["modes"] == {"observe": 7}
    assert told["bill"]["saved"] < 0  # all at the baseline, and shadows on top


async def test_replies_that_are_kept_and_budgets(tmp_path, figures, capsys):
    keys = [
        {
            "name": "app",
            "hash": "sha256:" + hashlib.sha256(b"app").hexdigest(),
            "limits": {"budget_usd": {"day": {"usd": 0.0007, "action": "downgrade"}}},
        }
    ]
    async with house(tmp_path, keys=keys, routes__waterfall__cache={}) as it:
        asked = [
            await it.post(ask_for(**more), authorization="Bearer app")
            for more in (
                *({"stream": n % 2 == 1} for n in range(4)),
                *({"seed": n} for n in range(9)),
            )
        ]
        rows = [it.entry(each) for each in asked]
    told = figures()
    again = [row for row in rows if row["reason"] == "cached"]
    poor = [row for row in rows if row["start_reason"] == "budget"]
    assert (told["kept"], told["by_budget"]) == (len(again), len(poor))
    assert (len(again), len(poor) > 0) == (3, True)
    assert told["bill"]["kept"] == sum(row["baseline_cost"] for row in again) > 0
    assert main(["report", "--config", str(tmp_path / "waterfall.yaml")]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "3 requests (23.1%) were answered by a kept reply" in text
    assert f"{len(poor)} requests started lower, for a budget" in text
    assert "replies said again" in text
