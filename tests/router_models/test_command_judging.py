"""`waterfall tune` with evidence on answers, and `waterfall replay`."""

from __future__ import annotations

import json

import pytest
import yaml
from sample_outcomes import runs, write_rows
from tuning_place import FLOW, configure

from gateway.cli import main
from gateway.config.combiner_file import read_combiner

# --------------------------------------------------------------------------- replay

BAR = ("shape", "refusal", "format", "tools")


def test_start_small_and_accept_what_passes_its_tests(say):
    how = ("replay", "--policy", "cascade", "--checks", "tests", "--accept", 1)
    cheap = say(*how, "--data", "cheap.csv")
    rows = runs(300)
    passed = [row["weak_check.tests"] == 1 for row in rows]
    served = [
        row["weak_score"] if ok else row["strong_score"]
        for row, ok in zip(rows, passed, strict=True)
    ]
    assert cheap["escalated"]["value"] == pytest.approx(1 - sum(passed) / 300)
    assert cheap["success"]["value"] == pytest.approx(sum(served) / 300)
    assert cheap["cost_usd"] == pytest.approx(300 * 0.001 + 0.05 * (300 - sum(passed)))
    assert cheap["pays"] is True
    assert cheap["saved"]["low"] < cheap["saved"]["value"] < cheap["saved"]["high"]
    dear = say(*how, "--data", "dear.csv")
    assert (dear["pays"], dear["saved"]["value"] < 0) == (False, True)


@pytest.mark.parametrize(("policy", "success"), [("always-small", 0.5), ("always-large", 0.9)])
def test_one_tier_alone(say, policy, success):
    told = say("replay", "--policy", policy, "--data", "cheap.csv")
    assert told["success"]["value"] == pytest.approx(success)
    assert told["pays"] is False


def test_routing_needs_a_threshold_and_starts_what_reaches_it_large(say, fails):
    route = ("replay", "--data", "asked.csv", "--policy", "route")
    assert say(*route, "--threshold", 0, "--scorer", "default")["started_large"]["value"] == 1
    some = say(*route, "--threshold", 0.5, "--scorer", "default")["started_large"]["value"]
    assert 0 <= some < 1
    assert "they need it" in fails(*route)
    assert "they need it" in fails(
        "replay", "--data", "cheap.csv", "--checks", "tests", "--threshold", 1
    )


def test_a_wrong_use_of_replay_is_told(fails):
    assert "say what to replay" in fails("replay", "--checks", "tests")
    assert "need one of them" in fails("replay", "--data", "cheap.csv")
    said = fails("replay", "--data", "cheap.csv", "--checks", "taste")
    assert "no evidence of the check 'taste'; there is: tests" in said
    said = fails("replay", "--data", "cheap.csv", "--policy", "cascade", "--confidence", "nowhere")
    assert "cannot be read" in said


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("weak_check.tests", "yes", "weak_check.tests is 'yes', which is no number"),
        ("weak_check.tests", 7, "weak_check.tests is 7; scores are 0..1"),
        ("weak_check.tests", -0.5, "weak_check.tests is -0.5; scores are 0..1"),
        ("strong_score", "inf", "strong_score is inf; scores are 0..1"),
        ("weak_score", 1e9, "weak_score is 1e+09; scores are 0..1"),
        ("weak_cost", "inf", "weak_cost is inf, not a cost in USD"),
    ],
)
def test_a_value_that_is_none_is_told_with_its_column_and_row(fails, folder, column, value, told):
    rows = runs(10)
    rows[4][column] = value
    write_rows(folder / "odd.csv", rows)
    how = ("--data", "odd.csv")
    for command in (("replay", "--checks", "tests"), ("tune", "--target-quality", 0.9)):
        assert f"odd.csv, row 5: {told}" in fails(*command, *how)


def test_it_is_told_to_a_person(folder, capsys):
    how = ["replay", "--data", "dear.csv", "--checks", "tests", "--accept", "1"]
    assert main(how) == 0
    said = capsys.readouterr().out
    assert "escalated     45.0%" in said
    assert said.endswith("does not pay\n")


# --------------------------------------------------------------------------- tune


def test_tune_keeps_the_combiner_that_replay_takes(say, folder):
    told = say("tune", "--data", "cheap.csv", "--target-quality", 0.98, "--out", "kept")
    assert (told["kind"], told["pays"], told["promise"]) == ("cascade", True, False)
    assert told["quality"]["value"] >= 0.98
    assert told["calibration_error"] <= 0.05
    kept = json.loads((folder / "kept" / "combiner.json").read_text())
    assert kept["provenance"]["n"] == 300
    assert kept["provenance"]["metrics"]["calibration_error"] == told["calibration_error"]
    combiner = read_combiner(folder / "kept" / "combiner.json")
    assert (combiner.label, combiner.free) == ("combined@1", ("tests",))
    replayed = say(
        "replay", "--data", "cheap.csv", "--confidence", "kept", "--accept", told["accept"]
    )
    assert replayed["escalated"]["value"] == pytest.approx(0.5, abs=0.05)
    named = say(
        "tune", "--data", "cheap.csv", "--target-share", 0.6, "--out", "b", "--label", "mine@3"
    )
    assert named["at"]["share"] <= 0.6
    assert read_combiner(folder / "b" / "combiner.json").label == "mine@3"


def test_tune_says_that_it_does_not_pay(say, folder):
    told = say("tune", "--data", "dear.csv", "--target-quality", 0.98, "--out", "kept", code=1)
    assert told["verdict"].startswith("does not pay")
    assert told["pays"] is False
    assert not (folder / "kept").exists()
    ratio = say(
        "tune", "--data", "cheap.csv", "--target-quality", 0.98, "--price-ratio", 0.9, code=1
    )
    assert ratio["ratio"] == pytest.approx(0.9)
    assert ratio["pays"] is False


def test_a_check_is_bought_or_not_worth_its_price(say):
    how = ("tune", "--data", "cheap.csv", "--target-quality", 0.98)
    cheap = say(*how, "--check-price", "tests=0.001")
    low, high = cheap["checks"]["paid"]["tests"]["band"]
    assert low <= 0.5 <= high
    assert cheap["checks"]["paid"]["tests"]["bought"] == 1.0
    dear = say(*how, "--check-price", "tests=0.06", code=1)
    assert dear["checks"]["not_worth_it"] == ["tests"]


def test_a_cost_is_kept(say):
    told = say("tune", "--data", "cheap.csv", "--target-cost", "50%", "--min-gain", 0)
    assert 0.3 < told["at"]["cost"] <= 0.5
    assert told["min_gain"] == 0


def test_one_under_what_the_evidence_parts_leaves_the_small_tier_alone(say):
    """All that failed its tests goes up, or nothing does: there is nothing between."""
    told = say("tune", "--data", "cheap.csv", "--target-cost", "30%", "--min-gain", 0, code=1)
    assert told["at"]["cost"] == pytest.approx(0.02)
    assert (told["kind"], told["pays"]) == ("weak", False)


def test_it_is_written_into_the_configuration(say, folder, capsys):
    text = FLOW.replace("scorer: ./scorer", "scorer: rules").replace(
        "output: 2}}", f"output: 2}}, bar: {{accept: 0.9, checks: [{', '.join(BAR)}, grade]}}}}"
    )
    text = text.replace(
        "scorer: rules}}", "scorer: rules}, twin: {tiers: [small, large]}, up: {tiers: [small]}}"
    )
    # What no combiner weighs would be bought for every reply.
    text += "checks: {grade: {kind: judge, tier: large}}\n"
    path = configure(folder, text)
    asked = write_rows(folder / "more.csv", runs(300, prompts=True))
    how = ("tune", "--data", asked, "--target-quality", 0.98, "--out", "kept", "--write")
    # The gateway has no check of that name: the edited file would not load, and nothing is fitted.
    assert main([*map(str, how)]) == 2
    said = capsys.readouterr().err
    assert "waterfall.yaml defines no check 'tests' under `checks`" in said
    assert path.read_text() == text
    assert not (folder / "kept").exists()
    rows = [
        {**row, "weak_check.logprob": row["weak_check.tests"]} for row in runs(300, prompts=True)
    ]
    for row in rows:
        del row["weak_check.tests"]
    write_rows(asked, rows)
    told = say(*how)
    assert (told["written"], told["changed_too"]) == (True, ["twin"])
    after = yaml.safe_load(path.read_text())
    bar = after["tiers"]["small"]["bar"]
    assert bar["accept"] == pytest.approx(told["accept"], abs=1e-6)
    assert bar["confidence"] == "kept"
    assert bar["checks"] == [*BAR, "logprob"]
    assert after["routes"]["waterfall"]["threshold"] == pytest.approx(told["threshold"], abs=1e-6)
    assert path.read_text().startswith("# Ours.")


def test_it_can_be_asked_for_where_there_is_no_evidence(say, folder):
    rows = [{**row, "prompt_id": n} for n, row in enumerate(runs(300, prompts=True))]
    for row in rows:
        del row["weak_check.tests"]
    write_rows(folder / "plain.csv", rows)
    told = say("tune", "--data", "plain.csv", "--target-quality", 0.98, "--judge", code=1)
    assert told["verdict"].startswith("does not pay")


def test_a_free_check_can_be_left_out(say):
    how = ("tune", "--data", "cheap.csv", "--target-quality", 0.98)
    assert say(*how, "--free", "tests")["checks"]["free"] == ["tests"]
    assert say(*how, "--free", "none", code=1)["pays"] is False


def test_a_wrong_use_of_tune_is_told(fails, folder):
    how = ("tune", "--target-quality", 0.9, "--out", "kept")
    assert "--data FILE" in fails(*how)
    assert "--data FILE" in fails(*how, "--data", "cheap.csv", "dear.csv")
    assert "no promise" in fails(*how, "--data", "cheap.csv", "--plug-in")
    assert "go together" in fails(*how, "--data", "cheap.csv", "--samples", "x_long.csv")
    write = ("tune", "--target-quality", 0.9, "--data", "cheap.csv", "--write")
    assert "give --out" in fails(*write)
