"""The parts of a report that are reckoned: quality, the price of a bad answer, thresholds."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.decided import VERSION
from gateway.core.difficulty import start_index
from gateway.store.blocks import Period
from gateway.store.histories import histories
from gateway.store.totals import totals
from loadtests.made_up_ledger import make
from router_models.replay.again import decide_again
from router_models.replay.recorded import read_record, read_records
from router_models.report.document import digits_for, percent, points, usd
from router_models.report.quality import bad_answers, quality
from router_models.report.svg import _ticks
from router_models.report.telling import verdict_of
from router_models.report.what_if import at_threshold, try_thresholds


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    return make(tmp_path_factory.mktemp("figures") / "waterfall.db", 1_000)


@pytest.fixture(scope="module")
def records(ledger):
    return [read_record(history) for history in histories(ledger, "waterfall")]


def test_what_a_newer_version_has_decided_is_left_out_and_said(ledger, caplog):
    whole = list(islice(histories(ledger, "waterfall"), 3))
    newer = replace(whole[1], row={**whole[1].row, "decided": {"v": VERSION + 1}})
    kept = [each.row["entry_id"] for each in read_records([whole[0], newer, whole[2]])]
    assert kept == [whole[0].row["entry_id"], whole[2].row["entry_id"]]
    assert "1 requests are left out" in caplog.text


def labels(tier, pairs, gap=0.0, squares=0.0, judged=None, served=None):
    judged = pairs if judged is None else judged
    return {
        "route": "waterfall", "tier": tier, "baseline_tier": "large", "labelled": judged,
        "judged": judged, "served": 0.9 * judged if served is None else served,
        "pairs": pairs, "gap": gap, "gap_squares": squares,
    }  # fmt: skip


def test_the_difference_is_that_of_the_tiers_by_their_shares():
    rows = [labels("small", 100, gap=-10.0, squares=14.0), labels("large", 500)]
    told = quality(rows, {"small": 800, "large": 200}, "large")
    found = told["difference"]
    assert found["value"] == pytest.approx(0.8 * -0.1)
    assert found["low"] < found["value"] < found["high"] < 0
    assert told["pairs"] == 100
    narrower = quality(
        [labels("small", 1_000, -100.0, 140.0)], {"small": 800, "large": 200}, "large"
    )
    assert narrower["difference"]["value"] == pytest.approx(-0.08)
    assert narrower["difference"]["high"] < found["high"]


def test_what_the_baseline_served_itself_is_no_difference_and_needs_no_label():
    told = quality([], {"large": 10}, "large")
    assert told["difference"] == {"value": 0, "low": 0, "high": 0}
    assert told["why"].startswith("all answers are those of large itself")
    assert quality([labels("small", 30)], {"small": 1, "large": 1}, "large")["why"] == ""


@pytest.mark.parametrize(
    ("rows", "served", "why"),
    [
        ([], {"small": 10}, "small has 0 answers"),
        ([labels("small", 29, judged=500)], {"small": 10, "large": 5}, "small has 29 answers"),
        ([labels("small", 500)], {"small": 10, "middle": 1}, "middle has 0 answers"),
        ([], {}, "nothing was served"),
    ],
)
def test_too_few_labels_say_nothing(rows, served, why):
    told = quality(rows, served, "large")
    assert told["difference"]["value"] is None
    assert why in told["why"]


def test_no_few_labels_that_agree_seem_certain():
    found = quality([labels("small", 30)], {"small": 10}, "large")["difference"]
    assert found["value"] == 0
    assert found["high"] == -found["low"] > 0.05
    told = quality([labels("small", 30, served=30.0)], {"small": 10}, "large")
    assert told["tiers"]["small"]["low"] < 0.9 < told["tiers"]["small"]["high"]


@given(st.integers(30, 60), st.floats(0.05, 0.6), st.floats(0.05, 0.35))
def test_the_interval_holds_a_difference_that_is_there(count, worse, better):
    """Over made-up pairs: one in twenty may miss, not one in three."""
    chance, missed = random.Random(count), 0
    truth = better - worse
    for _ in range(40):
        drawn = chance.choices((-1, 0, 1), (worse, 1 - worse - better, better), k=count * 4)
        row = labels(
            "small", len(drawn), gap=sum(drawn), squares=sum(each * each for each in drawn)
        )
        found = quality([row], {"small": 1}, "large")["difference"]
        missed += not found["low"] <= truth <= found["high"]
    assert missed <= 12


def test_what_a_bad_answer_may_cost():
    saved, requests = 2_000_000_000_000, 1_000_000  # $2,000 over a million
    told = bad_answers(saved, requests, {"value": None, "low": None, "high": None})
    assert told["saved_per_request_usd"] == pytest.approx(0.002)
    assert told["measured"] is None
    limits = {row["extra_bad"]: row["limit_usd"] for row in told["supposed"]}
    assert limits[0.01] == pytest.approx(0.2)
    told = bad_answers(saved, requests, {"value": -0.01, "low": -0.02, "high": 0.001})
    assert told["measured"]["value"] == {"when": "below", "limit_usd": pytest.approx(0.2)}
    assert told["measured"]["low"]["limit_usd"] == pytest.approx(0.1)
    assert told["measured"]["high"] == {"when": "always", "limit_usd": None}
    assert bad_answers(-1, 0, told["saved_per_request_usd"] and {
        "value": None, "low": None, "high": None})["saved_per_request_usd"] == 0  # fmt: skip


def test_at_its_own_threshold_every_request_keeps_its_plan(records):
    assert {at_threshold(record, 0.8) == record.decided.plan for record in records} == {True}


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.95, 1.0])
def test_at_another_it_starts_where_the_policy_would_start_it(records, threshold):
    names = ("small", "large")
    for record in records:
        plan = at_threshold(record, threshold)
        value = record.row["difficulty"]
        assert plan.tiers[0].name == names[start_index(value, (threshold,))]
        if plan.tiers[0].name == "large":
            assert [tier.name for tier in plan.tiers] == ["large"]


def test_what_a_client_or_a_rule_decided_stays(records):
    from dataclasses import replace

    record = next(each for each in records if each.decided.plan.tiers[0].name == "small")
    decided = record.decided
    pinned = replace(decided, plan=replace(decided.plan, reason="override"))
    assert at_threshold(replace(record, decided=pinned), 0.0) == pinned.plan
    asked = replace(decided, asked=replace(decided.asked, thresholds=(0.9,)))
    assert at_threshold(replace(record, decided=asked), 0.0) == decided.plan
    alone = replace(decided.plan, below=(), tiers=decided.plan.tiers[1:])
    lost = replace(record, decided=replace(decided, plan=alone))
    assert at_threshold(lost, 1.0) == "plan"  # nobody has kept what the small tier was


def test_a_sweep_brackets_what_is_and_says_what_it_does_not_know(ledger, records):
    told = try_thresholds(ledger, Period(), "waterfall", 400, 0)
    rows = {row["threshold"]: row for row in told["rows"]}
    assert told["now"] == 0.8
    assert (told["sample"], told["route"]) == (400, "waterfall")
    assert rows[0.8]["known"] > 0.97
    share = totals(ledger, Period(route="waterfall"))
    cost = sum(row["cost"] for block in share.blocks for row in block.requests)
    base = sum(row["baseline_cost"] for block in share.blocks for row in block.requests)
    assert rows[0.8]["saved"]["low"] < 1 - cost / base < rows[0.8]["saved"]["high"]
    assert abs(rows[0.0]["saved"]["at_least"]) < 0.05
    assert rows[0.0]["above"] == 1
    assert rows[1.0]["above"] == 0
    assert rows[1.0]["known"] < rows[0.9]["known"] < rows[0.8]["known"]
    for row in told["rows"]:
        found = row["saved"]
        assert found["low"] <= found["at_least"] <= found["at_most"] <= found["high"]
    again = [decide_again(at_threshold(r, 1.0), r) for r in records]
    costs = [each.cost for each in again if not each.unknown]
    known_alone = 1_000 * sum(costs) / len(costs)
    assert max(rows[1.0]["cost_per_1000"]) > 1.5 * known_alone  # the unknown is not left out


def test_a_route_of_one_tier_has_no_threshold(ledger):
    assert "None of these" in try_thresholds(ledger, Period(), "nowhere", 10, 0)["why"]


def told(saved, low, high, quality=(None, None, None)):
    baseline = 1_000_000_000_000
    return {
        "requests": 5, "baseline_tiers": ["large"], "baseline_tier": "large",
        "bill": {"baseline": baseline, "actual": round(baseline * (1 - saved)),
                 "saved": round(baseline * saved)},
        "saved_share": {"value": saved, "low": low, "high": high},
        "quality": {"difference": dict(zip(("value", "low", "high"), quality, strict=True))},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("figures", "tone", "words"),
    [
        (told(0.4, 0.3, 0.5), "good", "saved $400.00, 40.0% (95 % interval 30.0% to 50.0%). What"),
        (told(0.1, -0.1, 0.2), "open", "cannot be told from no saving"),
        (told(-0.1, -0.2, -0.05), "bad", "lost $100.00, 10.0%"),
        (told(0.4, 0.3, 0.5, (-0.006, -0.015, 0.003)), "good",
         "-0.6 points of quality against large (-1.5 to +0.3), not to be told from none."),
        (told(0.4, 0.3, 0.5, (-0.006, -0.009, -0.003)), "good", "(-0.9 to -0.3)."),
    ],
)  # fmt: skip
def test_the_verdict_is_no_better_than_its_interval(figures, tone, words):
    said, sound = verdict_of(figures)
    assert sound == tone
    assert words in said


def test_a_verdict_without_labels_says_what_it_goes_by():
    figures = told(0.4, 0.3, 0.5, (0.0, 0.0, 0.0))
    figures["quality"]["why"] = quality([], {"large": 10}, "large")["why"]
    said, _ = verdict_of(figures)
    assert "Nothing was lost by that: all answers are those of large itself" in said
    assert "points" not in said


def test_amounts_and_shares_are_written_for_people():
    assert (usd(1_234_567_890_123), usd(-1_500_000_000), usd(0)) == (
        "$1,234.57",
        "-$1.5000",
        "$0.0000",
    )
    assert usd(-1, 2) == "$0.00"
    assert (percent(0.1234), percent(None), percent(-0.0001)) == ("12.3%", "unknown", "0.0%")
    assert points(-0.0061) == "-0.6"
    assert (digits_for([1, -99e9]), digits_for([100e9]), digits_for([])) == (4, 2, 4)


@given(st.floats(-1e4, 1e4), st.floats(1e-2, 1e6))
def test_ticks_are_few_and_hold_both_ends(low, width):
    high = low + width
    ticks = list(_ticks(low, high))
    assert 2 <= len(ticks) <= 9 or high == low
    assert ticks[0] <= low + 1e-3 * width
    assert ticks[-1] >= high - 1e-3 * width
