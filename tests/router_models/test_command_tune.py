"""`waterfall tune`: a threshold with what it comes to, and a configuration else left as it was."""

from __future__ import annotations

import json
from contextlib import closing

import pytest
from sample_entries import entry
from sample_outcomes import rows_of, sums, write_rows
from tuning_place import FLOW, TOP, configure

from gateway.cli import main
from gateway.core.difficulty import Difficulty
from gateway.core.ports import TuningRow
from gateway.core.ranks import rank, reference_of
from gateway.scorers import load
from gateway.store.archive import Archive
from gateway.store.labels import Label
from gateway.store.store import open_store

NOW = 1_700_000_000.0


def values(folder, records):
    scorer = load(folder / "scorer")
    return [scorer.score(row.signals).value for row in rows_of(records)]


# ------------------------------------------------------------------------------- targets


def test_a_share_needs_no_labels(tune, place):
    told = tune("--target-share", "20%", "--data", "fresh.csv")
    assert told["kind"] == "share"
    assert told["promise"] is False
    assert told["quality"]["value"] is None
    assert (told["n"], told["route"], told["scorer"]) == (400, "waterfall", "sums@2")
    above = sum(value >= told["threshold"] for value in values(place, sums(400, seed=5))) / 400
    assert told["share"]["value"] == pytest.approx(above)
    assert above == pytest.approx(0.2, abs=0.02)
    assert told["share"]["low"] < above < told["share"]["high"]
    asked = write_rows(place / "asked.csv", [{"prompt": each["prompt"]} for each in sums(90)])
    assert tune("--target-share", 0.5, "--data", asked)["n"] == 90


def test_a_quality_is_promised_on_average_or_with_confidence_or_not_at_all(tune):
    mean = tune("--target-quality", 0.9, "--data", "fresh.csv")
    sure = tune("--target-quality", 0.9, "--confidence", 0.95, "--data", "fresh.csv")
    guess = tune("--target-quality", 0.9, "--plug-in", "--data", "fresh.csv")
    assert [told["kind"] for told in (mean, sure, guess)] == [
        "expectation",
        "probability",
        "plug-in",
    ]
    assert [told["promise"] for told in (mean, sure, guess)] == [True, True, False]
    assert sure["threshold"] < mean["threshold"] < guess["threshold"]
    for told in (mean, sure, guess):
        assert told["quality"]["value"] >= 0.9
        assert told["quality"]["low"] < told["quality"]["value"] < told["quality"]["high"]
        assert told["n"] == 400
    assert tune("--target-quality", 0.8, "--data", "fresh.csv")["threshold"] > mean["threshold"]


def test_too_few_labels_are_a_1_that_says_how_many_are_missing(tune, place, capsys):
    few = write_rows(place / "few.csv", sums(30, seed=8))
    told = tune("--target-quality", 0.98, "--data", few, code=1)
    assert told["threshold"] is None
    assert told["missing"] > 0
    assert told["promise"] is False
    before = (place / "waterfall.yaml").read_bytes()
    given = ["--target-quality", "0.98", "--data", str(few), "--write"]
    assert main(["tune", *given]) == 1
    assert "no threshold: 30 labels are there, at least" in capsys.readouterr().out
    assert (place / "waterfall.yaml").read_bytes() == before


def test_the_same_labels_given_twice_promise_no_more(tune, place):
    few = [{**each, "weak_score": 1, "strong_score": 1} for each in sums(30, seed=8)]
    first = write_rows(place / "first.csv", few[:20])
    every = write_rows(place / "every.csv", few)
    once = tune("--target-quality", 0.98, "--data", every, code=1)
    for files in ([every, every], [first, every], [every, first]):
        assert tune("--target-quality", 0.98, "--data", *files, code=1) == once


def test_what_the_scorer_was_trained_on_promises_nothing(tune, capsys):
    told = tune("--target-quality", 0.9, "--data", "met.csv", code=1)
    assert told["n"] == 0
    assert told["missing"] > 0
    assert tune("--target-quality", 0.9, "--plug-in", "--data", "met.csv", code=1)["n"] == 0
    main(["tune", "--target-quality", "0.9", "--data", "met.csv"])
    assert "the scorer was trained on their questions" in capsys.readouterr().err


def test_it_is_told_in_words_too(place, capsys):
    given = ["--target-quality", "0.9", "--plug-in", "--data", "fresh.csv"]
    assert main(["tune", *given]) == 0
    said = capsys.readouterr().out
    for words in ("plug-in: not a promise", "sends up", "quality", "behind it 400 labels"):
        assert words in said
    assert main(["tune", "--target-share", "0.2", "--data", "fresh.csv", "--write"]) == 0
    assert "written   to waterfall.yaml, route waterfall" in capsys.readouterr().out


# ------------------------------------------------------------------------------- the ledger


def fill(path, n, *, labelled=True, scorer="sums@2", met=None):
    """Requests that were scored, and what was said of their answers."""
    reference = load(path.parent / "scorer").reference
    with closing(open_store(path, wall=lambda: NOW)) as store:
        for i in range(n):
            score = i / n - 0.2
            value = rank(score, reference)
            kept = entry(
                difficulty=Difficulty(value, score, (), scorer, score, met=met), threshold=0.8
            )
            store.journal.append(kept, ())
            if labelled:
                name = kept.origin.entry_id
                store.labels.put(Label(name, "small", float(i % 10 > 10 * i / n), "user", NOW))
                store.labels.put(Label(name, "large", 1.0, "user", NOW))
        assert store.flush()


def test_recent_scores_of_the_ledger_give_a_share(tune, place):
    fill(place / "waterfall.db", 300, labelled=False)
    told = tune("--target-share", 0.3)
    assert told["n"] == 300
    assert told["share"]["value"] == pytest.approx(0.3, abs=0.02)
    assert tune("--target-share", 0.3, "--last", 50)["n"] == 50


def test_labels_of_the_ledger_give_a_quality(tune, place, capsys):
    fill(place / "waterfall.db", 300)
    told = tune("--target-quality", 0.8)
    assert (told["n"], told["kind"]) == (300, "expectation")
    assert told["quality"]["value"] >= 0.8
    assert tune("--target-quality", 0.8, "--tiers", "small,mid", code=1)["n"] == 0


def test_labels_of_the_ledger_count_only_for_questions_that_the_scorer_has_not_met(
    tune, place, capsys
):
    fill(place / "waterfall.db", 300, met=True)
    assert tune("--target-quality", 0.8, code=1)["n"] == 0
    main(["tune", "--target-quality", "0.8"])
    assert "300 labelled requests left out: the scorer was trained" in capsys.readouterr().err
    fill(place / "waterfall.db", 200, met=False)
    assert tune("--target-quality", 0.8)["n"] == 200


def test_scores_are_ranked_as_the_gateway_ranks_them_now(tune, place):
    """Once it has gathered its own traffic, a difficulty is a rank among that."""
    fill(place / "waterfall.db", 200)
    before = tune("--target-share", 0.2)
    own = reference_of([i / 200 - 0.2 for i in range(200)])
    state = json.dumps({"reference": own})
    Archive(place / "waterfall.db").put_tuning(TuningRow(0, "waterfall", "sums@2", NOW, state), 0)
    told = tune("--target-share", 0.2)
    assert (before["reference"], told["reference"]) == ("artefact", "own")
    assert told["threshold"] == pytest.approx(0.8, abs=0.01)
    assert told["share"]["value"] == pytest.approx(0.2, abs=0.01)
    of_another = TuningRow(0, "waterfall", "sums@1", NOW, state)
    Archive(place / "waterfall.db").put_tuning(of_another, 1)
    assert tune("--target-share", 0.2)["reference"] == "artefact"


def test_without_a_ledger_or_scores_it_says_so(tune, place, capsys):
    assert main(["tune", "--target-share", "0.2"]) == 2
    assert "there is no ledger at" in capsys.readouterr().err
    open_store(place / "waterfall.db").close()
    assert tune("--target-share", 0.2, code=1)["threshold"] is None


# ------------------------------------------------------------------------------- wrong uses


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--target-share", "0.2", "--confidence", "0.9"], "go with --target-quality"),
        (["--target-share", "0.2", "--plug-in"], "go with --target-quality"),
        (["--target-quality", "0.9", "--plug-in", "--confidence", "0.9"], "has no confidence"),
        (["--target-quality", "0.9", "--last", "5"], "--last is of the ledger"),
        (["--target-share", "0.2", "--last", "10000"], "--last is of the ledger"),
        (["--target-share", "0.2", "--tiers", "x,y"], "--tiers goes with --target-quality"),
        (["--target-quality", "0.9", "--confidence", "1"], "over 0 and under 1"),
        (["--target-quality", "1"], "over 0 and under 1"),
        (["--target-share", "0.2", "--route", "nope"], "no route 'nope'; there is: waterfall"),
        (["--target-share", "0.2", "--config", "nope.yaml"], "nope.yaml"),
        (["--target-share", "0.2", "--data", "nope.csv"], "no such file"),
        (["--target-quality", "0.9", "--data", "fresh.csv", "--tiers", "a,b,c"], "score_a"),
    ],
)
def test_a_wrong_use_is_a_2_with_a_sentence(place, arguments, said, capsys):
    given = arguments if "--data" in arguments else [*arguments, "--data", "fresh.csv"]
    assert main(["tune", *given]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


def test_one_tier_has_nothing_to_tune(place, capsys):
    configure(place, TOP + "routes: {waterfall: {tiers: [small], scorer: scorer}}\n")
    assert main(["tune", "--target-share", "0.2", "--data", "fresh.csv"]) == 2
    assert "one tier only" in capsys.readouterr().err


def test_a_scorer_that_is_asked_while_a_request_waits_is_tuned_live(place, capsys):
    configure(place, FLOW.replace("./scorer", '"python:mine.score"'))
    (place / "mine.py").write_text("def score(signals):\n    return 0.5\n")
    assert main(["tune", "--target-share", "0.2", "--data", "fresh.csv"]) == 2
    assert "{target_share: 0.2}" in capsys.readouterr().err


def test_without_a_configuration_the_shipped_scorer_is_tuned(place, capsys):
    (place / "waterfall.yaml").unlink()
    given = ["--target-share", "0.2", "--data", "fresh.csv", "--json"]
    assert main(["tune", *given]) == 0
    told = capsys.readouterr()
    assert "which comes with the gateway" in told.err
    assert json.loads(told.out)["route"] is None
    assert main(["tune", *given, "--write"]) == 2
    assert main(["tune", "--target-share", "0.2"]) == 2
    assert "waterfall.yaml" in capsys.readouterr().err
