"""`waterfall train`: an artefact that serves, under a label that means one thing, and its card."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from sample_outcomes import rows_of, sums, write_rows

from gateway.cli import main
from gateway.core.signals import Signals
from gateway.scorers import load
from gateway.scorers.hashes import question_hash
from router_models.difficulty import card
from router_models.difficulty.model import Settings
from router_models.difficulty.rows import Outcomes
from router_models.difficulty.train import sizes_for, steps_of, train


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_rows(tmp_path_factory.mktemp("outcomes") / "sums.csv", sums(200))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """What is tested here does not hang on how finely a training is judged."""
    monkeypatch.setattr("router_models.difficulty.train.FOLDS", 2)
    monkeypatch.setattr("router_models.difficulty.train.RESAMPLES", 40)


def manifest(folder):
    return json.loads((folder / "scorer.json").read_text("utf-8"))


def test_it_trains_what_the_gateway_loads_and_says_how_good_it_is(data, tmp_path, capsys):
    out = tmp_path / "mine"
    assert main(["train", "--data", str(data), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "mine@1 is in" in said
    assert "What labels bring:" in said
    scorer = load(out)
    assert scorer.label == "mine@1"
    easy, hard = (
        scorer.score(Signals(text=f"oak elm yew: what is {sum_}?", turns=1))
        for sum_ in ("4+3", "47+38")
    )
    assert easy.value < 0.5 < hard.value
    text = (out / "card.md").read_text("utf-8")
    for words in ("`mine@1`", "does not transfer", "APGR", "length", "oracle", "sums", "one-way"):
        assert words in text
    assert re.search(r"gain\. \d{4}-\d\d-\d\d; ", text)
    provenance = manifest(out)["provenance"]
    assert provenance["figures"]["apgr"] > 0.6
    assert provenance["tiers"] == ["weak", "strong"]
    assert sum(provenance["sources"].values()) == provenance["rows"]


def test_it_marks_its_questions_and_keeps_none(data, tmp_path, capsys):
    out = tmp_path / "mine"
    main(["train", "--data", str(data), "--out", str(out)])
    records = sums(200)
    assert load(out).seen == {question_hash(record["prompt"]) for record in records}
    text = (out / "scorer.json").read_text("utf-8") + (out / "card.md").read_text("utf-8")
    assert not [record for record in records if record["prompt"] in text]


def test_another_artefact_is_not_overwritten_under_the_same_label(data, tmp_path, capsys):
    out = tmp_path / "mine"
    arguments = ["train", "--data", str(data), "--out", str(out), "--label", "mine@7"]
    assert main(arguments) == 0
    capsys.readouterr()
    assert main(arguments) == 0
    assert "was in, the same" in capsys.readouterr().out
    before = manifest(out)
    assert main([*arguments, "--seed", "3"]) == 2
    said = capsys.readouterr().err
    assert "holds another mine@7" in said
    assert "mine@8" in said
    assert manifest(out) == before
    assert main([*arguments, "--seed", "3", "--force"]) == 0
    assert manifest(out) != before
    assert main([*arguments[:-2], "--seed", "4"]) == 0
    assert load(out).label == "mine@8"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["mine"]
    assert sorted(each.name for each in out.iterdir()) == ["card.md", "scorer.json", "weights.npz"]


def test_no_file_but_an_artefact_s_is_ever_replaced(data, tmp_path, capsys):
    out = tmp_path / "mine"
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    assert main(["train", "--data", str(data), "--out", str(out)]) == 2
    assert "holds thesis.tex, which is no part of an artefact" in capsys.readouterr().err
    assert (out / "thesis.tex").read_text() == "years of work"


def test_tiers_sources_and_what_is_said_of_the_data(tmp_path, capsys):
    records = [
        {
            "prompt": each["prompt"],
            "score_large": each["strong_score"],
            "score_small": each["weak_score"],
            "score_mid": each["weak_score"] if i % 3 else 1,
        }
        for i, each in enumerate(sums(160))
    ]
    one = write_rows(tmp_path / "one.jsonl", records[:80])
    two = write_rows(tmp_path / "two.parquet", records[80:])
    about = tmp_path / "about.md"
    about.write_text("Ours; licence: none of your business.")
    out = tmp_path / "three"
    given = ["--data", str(one), str(two), "--out", str(out), "--about", str(about)]
    assert main(["train", *given, "--tiers", "small,mid,large"]) == 0
    text = (out / "card.md").read_text("utf-8")
    assert "each tier (small, mid, large)" in text
    assert "none of your business" in text
    assert "APGR after the other sources alone" in text
    assert len(load(out).score(Signals(text="what is 47*38?", turns=1)).p_good) == 3
    assert main(["train", *given[:-2], "--tiers", "small,giant"]) == 2
    assert "no column 'score_giant'" in capsys.readouterr().err


def test_a_seed_makes_another_model():
    outcomes = Outcomes(rows_of(sums(200)), ("weak", "strong"))
    one, same, other = (train(outcomes, Settings(folds=3, seed=seed)) for seed in (0, 0, 1))
    assert one.model.calibration == same.model.calibration
    assert one.provenance == same.provenance
    assert one.model.calibration != other.model.calibration


def test_the_bar_is_full_at_the_end():
    outcomes = Outcomes(rows_of(sums(70), "a") + rows_of(sums(70, seed=2), "b"), ("w", "s"))
    steps = []
    train(outcomes, Settings(folds=3), advance=lambda: steps.append(1))
    assert len(steps) == steps_of(outcomes)


def test_the_card_says_when_nothing_but_length_was_learnt():
    outcomes = Outcomes(rows_of(sums(200)), ("weak", "strong"))
    trained = train(outcomes, Settings(folds=3))
    told = trained.provenance
    assert "Nothing but length" not in card.write_card("a@1", trained, told, "")
    alone = replace(trained, model=replace(trained.model, penalty=None))
    assert "Nothing but length" in card.write_card("a@1", alone, told, "")


def test_labels_are_worth_what_was_measured():
    assert sizes_for(499) == ()
    assert sizes_for(500) == (250,)
    assert sizes_for(5000) == (250, 500, 1000)
    assert "Too few different questions" in card.efficiency({})
    told = card.efficiency({250: 0.60, 500: 0.62, 2000: 0.66})
    assert "| 2,000 | 0.660 |" in told
    assert "expect +0.020 or less of twice as many" in told
    assert "no more than chance" in card.efficiency({250: 0.60, 500: 0.601})
    assert "twice" not in card.efficiency({250: 0.60, 251: 0.7})


def test_vectors_that_are_alike_are_kept_apart():
    import numpy as np

    def everything_is_one(texts):
        return np.ones((len(texts), 1), np.float32)

    outcomes = Outcomes(rows_of(sums(60)), ("weak", "strong"))
    with pytest.raises(ValueError, match="too few"):
        train(outcomes, Settings(folds=3), everything_is_one)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--data", "nothing.csv", "--out", "out"], "no such file"),
        (["--data", "DATA", "--out", "out", "--label", "no version"], "NAME@VERSION"),
        (["--data", "DATA", "--out", "out", "--about", "none.md"], "none.md"),
        (["--data", "FEW", "--out", "out"], "too few"),
        (["--data", "none.csv", "--out", "/proc/x"], "/proc/x: nothing can be written to /proc ("),
        (["--data", "none.csv", "--out", "few.csv/x"], "nothing can be written to"),
    ],
)
def test_what_cannot_be_trained_is_a_2_with_a_sentence(
    arguments, words, data, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    few = write_rows(tmp_path / "few.csv", sums(3))
    named = {"DATA": str(data), "FEW": str(few)}
    assert main(["train", *(named.get(each, each) for each in arguments)]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_seed_too_large_is_a_2_with_the_usage(data, tmp_path, capsys):
    given = ["train", "--data", str(data), "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as ended:
        main([*given, "--seed", "5000000000"])
    assert ended.value.code == 2
    assert "5000000000 is more than 2147483647" in capsys.readouterr().err
    assert main([*given, "--seed", "2147483647"]) == 0


def test_without_scikit_learn_it_says_what_to_install(data, tmp_path):
    code = (
        "import sys; sys.modules['sklearn'] = None\n"
        "from gateway.cli import main\n"
        f"sys.exit(main(['train', '--data', {str(data)!r}, '--out', 'out']))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, cwd=tmp_path
    )
    assert ended.returncode == 2
    assert "pip install 'waterfall-gateway[train]'" in ended.stderr
    assert "Traceback" not in ended.stderr
