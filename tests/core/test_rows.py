from __future__ import annotations

import json
from dataclasses import replace

import pytest
from sample_entries import (
    SMALL,
    attempt,
    call,
    cancelled,
    entry,
    escalated,
    examined,
    failed,
    fallen_through,
)
from sample_rows import whole_row as row

from gateway.core.blank_rows import ATTEMPT, CALL, CHECK, REQUEST
from gateway.core.chat import Choice, Reply
from gateway.core.difficulty import Difficulty
from gateway.core.ledger import Timing
from gateway.core.money import Cost, Price, Usage
from gateway.core.outcome import Outcome
from gateway.core.recipes import Recipe
from gateway.core.rows import COST_COLUMNS, call_row, rounded
from gateway.core.rows import row as kept_row
from gateway.core.signals import Signals
from gateway.core.verdict import Evidence, Finding, Verdict

MARKS = ("left", "bare", "released", "altered", "fallen", "rival", "degraded")


@pytest.mark.parametrize("make", [entry, escalated, examined, fallen_through, cancelled, failed])
def test_a_row_is_plain_json_and_its_money_adds_up(make):
    made = make()
    assert json.loads(json.dumps(kept_row(made))) == kept_row(made)
    flat = row(made)
    tries = flat["attempts"]
    calls = sum(each["cost"] for one in tries for each in one["calls"])
    checks = sum(each["cost"] for one in tries for each in one["checks"])
    assert flat["cost"] == calls + checks == sum(one["cost"] for one in tries)
    assert flat["discarded_cost"] == sum(one["cost"] for one in tries if not one["served"])
    made = [each for one in tries for each in (*one["calls"], *one["checking"])]
    assert flat["prompt_tokens"] == sum(each["prompt_tokens"] for each in made)
    assert flat["cost"] >= sum(each["cost"] for each in made)


def test_a_row_tells_of_each_attempt_and_check():
    first, second = row(escalated())["attempts"]
    assert (first["verdict"], first["reason"], first["confidence"]) == (
        "defer",
        "low_confidence",
        0.31,
    )
    (check,) = first["checks"]
    assert check == {
        "check": "judge",
        "result": "fail",
        "reason": "low_confidence",
        "confidence": 0.31,
        "broken": False,
        "seconds": 0.02,
        "cost": 1_003,
    }
    assert (second["verdict"], second["served"], first["served"]) == ("accept", True, False)
    assert first["price_version"] == "book-1"


def test_a_row_tells_a_broken_reply_from_one_that_is_not_good_enough():
    found = Evidence("shape", Finding("fail", "empty", broken=True))
    broken = attempt(SMALL, Verdict(False, "empty", 0.0, broken=True), evidence=(found,))
    served = attempt(altered=True, fallen=True)
    first, second = row(entry(Outcome((broken, served), served)))["attempts"]
    assert (first["broken"], first["checks"][0]["broken"], second["broken"]) == (True, True, False)
    assert [(each["altered"], each["fallen"]) for each in (first, second)] == [
        (False, False),
        (True, True),
    ]


def test_a_row_of_a_failure_has_no_verdict():
    first, _ = row(fallen_through())["attempts"]
    assert (first["verdict"], first["reason"], first["confidence"]) == ("", "", None)
    assert (first["failure"], first["calls"][0]["error"]) == ("timeout", "timeout")


@pytest.mark.parametrize(("accepted", "word"), [(True, "accept"), (False, "defer")])
def test_a_late_verdict_stands_beside_the_first(accepted, word):
    late = Verdict(accepted, "refusal" if not accepted else "passed")
    cooked = replace(SMALL, recipe=Recipe("r", 1, before="x" * 40))
    one = attempt(cooked, Verdict(True, "prefix_passed"), late=late, released=True)
    (flat,) = row(entry(Outcome((one,), one)))["attempts"]
    assert (flat["verdict"], flat["late_verdict"], flat["released"]) == ("accept", word, True)
    assert flat["recipe"] == "r@1"


def test_a_row_without_a_score():
    flat = row(entry(difficulty=None))
    assert (flat["difficulty"], flat["gain"], flat["p_good"], flat["scorer"]) == (
        None,
        None,
        [],
        "",
    )


def test_a_row_holds_what_tuning_reads():
    scored = Difficulty(0.42, 0.1, (0.6, 0.9), "linear@3", 0.17, "0391", unlike=True)
    tried = Difficulty(0.83, 0.3, (), "linear@4")
    flat = row(entry(difficulty=scored, candidate=tried))
    names = "score profile unlike candidate candidate_score candidate_value".split()
    assert [flat[name] for name in names] == [0.17, "0391", True, "linear@4", 0.83, 0.83]
    assert row(entry(difficulty=Difficulty(0.42)))["score"] == 0.42


def test_a_row_says_whether_the_question_was_met_in_training():
    known, tried = Difficulty(0.4, met=True), Difficulty(0.8, met=False)
    flat = row(entry(difficulty=known, candidate=tried))
    assert (flat["met"], flat["candidate_met"]) == (True, False)
    flat = row(entry(difficulty=None))
    assert (flat["met"], flat["candidate_met"]) == (None, None)


def test_a_row_holds_a_prompt_only_where_the_entry_does():
    assert row(entry())["prompt"] is None
    kept = row(entry(prompt=Signals("why?", prompt_tokens=7, wants_json=True)))["prompt"]
    read = json.loads(json.dumps(kept))
    assert read.pop("demands") == []
    assert Signals(**read) == Signals("why?", prompt_tokens=7, wants_json=True)


def test_what_a_call_cost_is_told_by_kind_and_by_price():
    price = Price(
        *(1_000_000, 2_000_000),
        audio_input=3_000_000,
        request=5,
        bands=((50, Price(7_000_000, 8_000_000, request=5)),),
        services=(("flex", Price(500_000, 600_000)),),
    ).sealed("mine 2026-01-02")
    usage = Usage(40, 10, cached=4, reasoning=3, audio_input=6)
    made = replace(call(usage=usage, price=price), cost=price.cost(usage))
    flat = CALL | call_row(made, 9.5)
    assert flat["started_at"] == 9.75
    kinds = {name: flat[name] for name in COST_COLUMNS if flat[name]}
    assert kinds == {
        "input_cost": 30,
        "cached_input_cost": 4,
        "output_cost": 14,
        "reasoning_cost": 6,
        "audio_cost": 18,
        "request_cost": 5,
    }
    assert sum(kinds.values()) == flat["cost"]
    assert (flat["audio_input_tokens"], flat["service_tier"], flat["rate"]) == (6, "", "standard")
    assert Price(1, 2).rate(usage) == "standard"
    assert (flat["price_version"], flat["price_hash"]) == ("mine 2026-01-02", price.digest)
    assert len(price.digest) == 12
    long = call_row(replace(made, usage=replace(usage, prompt=51)), 9.5)
    assert long["rate"] == "above 50"
    assert call_row(replace(made, usage=replace(usage, service="flex")), 9.5)["rate"] == "flex"


def test_a_row_tells_what_stands_behind_its_sums():
    flat = row(replace(examined(), propensity=0.1, gateway_cost=77))
    (served,) = flat["attempts"]
    assert flat["check_cost"] == served["checking"][0]["cost"] > 0
    assert (flat["score_cost"], flat["gateway_cost"], flat["propensity"]) == (0, 77, 0.1)
    assert (flat["attempt_count"], flat["call_count"], flat["finish_reason"]) == (1, 2, "")
    scored = row(entry(scoring=(call(),)))
    assert scored["score_cost"] == scored["scoring"][0]["cost"] > 0
    assert scored["call_count"] == 2
    named = ("tier", "cost", "policy", "basis", "prompt_tokens", "cached_tokens")
    told = [flat[f"baseline_{name}"] for name in (*named, "completion_tokens", "price_hash")]
    assert told == ["large", 123_456_789, "same_prompt", "estimated", 103, 7, 37, "ba5e"]


@pytest.mark.parametrize(("choices", "word"), [((), ""), ((Choice("hi"),), "")])
def test_a_reply_that_does_not_say_why_it_ended(choices, word):
    served = attempt(reply=Reply(choices))
    assert row(entry(Outcome((served,), served)))["finish_reason"] == word


def test_a_row_says_why_the_reply_ended():
    served = attempt(reply=Reply((Choice("hi", finish="length"), Choice("ho", finish="stop"))))
    assert row(entry(Outcome((served,), served)))["finish_reason"] == "length"
    assert row(failed())["finish_reason"] == ""


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.0, 0.0), (1.2345678, 1.234568), (0.00000049, 0.0), (86_400.5, 86_400.5)],
)
def test_seconds_are_rounded_to_a_millionth(seconds, told):
    assert rounded(seconds) == told


def test_what_there_is_nothing_of_is_left_out():
    """The longest row there is says no more than that a request was plain, and went well."""
    plain = attempt(calls=(call(usage=Usage(101, 31)),))
    flat = kept_row(entry(Outcome((plain,), plain), difficulty=None, threshold=None))
    assert not REQUEST.keys() & flat["request"].keys() - {"first_token", "baseline_cached_tokens"}
    (one,) = flat["attempts"]
    assert ATTEMPT.keys() & one["attempt"].keys() == {"served", "verdict", "reason"}
    assert CALL.keys() & one["calls"][0].keys() == {"first_token"}
    assert not {"checking", "scoring", "prompt", "decided"} & {*one, *flat}
    unanswered = kept_row(entry(Outcome(), timing=Timing(2.0)))["request"]
    assert (unanswered["seconds"], "first_token" in unanswered) == (2.0, False)


@pytest.mark.parametrize(
    "changes",
    [
        {"bare": True},
        {"error": "timeout"},
        {"provider_id": "req-7"},
        {"first_token": None},
        {"usage": Usage(101, 31, estimated=True)},
        {"usage": Usage(101, 31, service="flex")},
        {"usage": Usage(101, 31, image_output=1)},
        {"cost": Cost(audio=7)},
    ],
)
def test_and_what_there_is_something_of_is_not(changes):
    made = replace(call(usage=Usage(101, 31)), **changes)
    flat = CALL | call_row(made, 0.0)
    usage, cost = made.usage, made.cost
    told = [flat[name] for name in ("bare", "error", "provider_request_id", "first_token")]
    assert told == [made.bare, made.error, made.provider_id, made.first_token]
    assert (flat["estimated"], flat["service_tier"]) == (usage.estimated, usage.service)
    assert flat["image_output_tokens"] == usage.image_output
    assert [flat[name] for name in COST_COLUMNS] == list(cost.amounts)
    assert flat["cost"] == cost.total


@pytest.mark.parametrize("name", MARKS)
def test_each_mark_of_an_attempt_and_its_outcome_is_told_alone(name):
    one = attempt(**({} if name == "degraded" else {name: True}))
    flat = row(entry(Outcome((one,), one, degraded=name == "degraded")))
    marks = flat["attempts"][0] | {"degraded": flat["degraded"]}
    told = {key for key in ("served", "shadow", *MARKS) if marks[key]}
    assert told == {"served", name}


def test_what_a_request_brings_is_told():
    origin = replace(entry().origin, key="k", session="s", stream=True, trace=f"00-{'7' * 32}-")
    flat = row(replace(entry(), origin=origin, prompt_hash="abc"))
    assert [flat[name] for name in ("key", "session", "stream", "prompt_hash")] == [
        "k",
        "s",
        True,
        "abc",
    ]
    assert flat["trace_id"] == "7" * 32
    fitted = attempt(fitted=("-seed",))
    assert row(entry(Outcome((fitted,), fitted)))["attempts"][0]["fitted"] == "-seed"
    assert CHECK == {"reason": "", "confidence": None, "broken": False, "cost": 0}
