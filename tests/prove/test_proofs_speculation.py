"""The proof of speculation notices what it must."""

from __future__ import annotations

import pytest

from loadtests.harness import Answer
from loadtests.speculation import BOTH, GUESSES, WAITS, judge

WHOLE = Answer(200, {}, b"", whole=True)


def rows(first, cost, *, escalated=True):
    row = {"first_token": first, "cost": cost, "discarded_cost": 1, "escalated": escalated}
    return [row] * 20


def judged(waits=(2.0, 100), guesses=(1.5, 150), both=(1.2, 150), answers=(WHOLE,), **more):
    told = {WAITS: rows(*waits, **more), GUESSES: rows(*guesses, **more), BOTH: rows(*both, **more)}
    return judge(dict.fromkeys(told, answers), told, strict=True)


def test_a_good_one_holds():
    proof = judged()
    assert proof.holds
    assert proof.figures[f"{BOTH}: p95 falls by; at an extra cost of"] == "40.0%; +50.0%"


@pytest.mark.parametrize(
    "spoilt",
    [
        {"both": (1.21, 150)},
        {"guesses": (2.0, 150)},
        {"guesses": (1.5, 100)},
        {"answers": (WHOLE, Answer(200, {}, b"", whole=False))},
        {"answers": (Answer(502, {}, b"", whole=True),)},
    ],
)
def test_a_spoilt_one_does_not(spoilt):
    assert not judged(**spoilt).holds
