"""The report over what a real gateway has served: drafts, judges, shadows, scorers, failures."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest
from api.serving import LARGE, REFUSES, SMALL, house

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
