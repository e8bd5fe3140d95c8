"""The workshop: what it trains is what the gateway serves, to the last digit that matters."""

from __future__ import annotations

import csv
import gzip
import json
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.signals import Signals
from gateway.scorers import load
from gateway.scorers.features import read
from router_models.difficulty import train as command
from router_models.difficulty.data import (
    DataError,
    Row,
    balance,
    near_duplicates,
    read_pairs,
    read_rows,
)
from router_models.difficulty.evaluate import evaluate, table_of
from router_models.difficulty.evaluate import main as evaluate_main
from router_models.difficulty.export import write_artefact
from router_models.difficulty.metrics import auroc, calibration_error, curve, interval
from router_models.difficulty.model import Settings, fit, folds, gain
from router_models.difficulty.train import train

WORDS = "ash birch cedar elm fir hazel larch maple oak pine rowan spruce willow yew".split()
QUICK = Settings(folds=3)


def own_rows(n: int, seed: int = 0) -> list[dict]:
    """Sums that the small model can do when they are of one digit, and harmless talk."""
    draw = random.Random(seed)
    rows = []
    for _ in range(n):
        hard = draw.random() < 0.5
        a, b = (draw.randrange(10, 99) if hard else draw.randrange(1, 10) for _ in range(2))
        trees = " ".join(draw.choices(WORDS, k=3))
        prompt = f"{trees}: what is {a}{draw.choice('+-*')}{b}?"
        weak = draw.random() < (0.1 if hard else 0.9)
        rows.append({"prompt": prompt, "weak_score": int(weak), "strong_score": 1})
    rows[0]["strong_score"] = rows[1]["strong_score"] = 0
    return rows


def rows_of(records) -> list[Row]:
    return [
        Row(
            Signals(text=r["prompt"], prompt_chars=len(r["prompt"]), turns=1),
            (float(r["weak_score"]), float(r["strong_score"])),
            "own",
        )
        for r in records
    ]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    model, provenance = train(rows_of(own_rows(300)), QUICK)
    folder = tmp_path_factory.mktemp("artefact")
    write_artefact(folder, model, "own@1", provenance)
    return model, load(folder), folder


# ------------------------------------------------------------------------------- golden


@given(
    st.lists(
        st.sampled_from([*WORDS, "what is", "47", "3", "+", "*", "?", "why", "stranger", "\n"]),
        max_size=60,
    ).map(" ".join)
    | st.text(st.characters(exclude_categories=()), max_size=400),
    st.integers(0, 5),
)
def test_the_gateway_says_what_scikit_learn_says(trained, text, tools):
    model, scorer, _ = trained
    signals = Signals(text=text, prompt_chars=len(text), turns=1, tools=tools)
    expected = model.p_good([read(signals)])
    found = scorer.score(signals)
    assert np.abs(expected[0] - found.p_good).max() < 1e-6
    assert abs(float(gain(expected)[0]) - found.gain) < 1e-6


def test_raw_values_agree_before_calibration_too(trained):
    model, scorer, _ = trained
    readings = [read(row.signals) for row in rows_of(own_rows(50, seed=1))]
    expected = model.pipeline.predict(readings)
    found = np.array([scorer.raw(reading) for reading in readings])
    assert np.abs(expected - found).max() < 1e-6


def test_three_heads_are_served_too(tmp_path):
    rows = [
        Row(row.signals, (row.scores[0], float(i % 3 > 0), row.scores[1]), "own")
        for i, row in enumerate(rows_of(own_rows(200)))
    ]
    model, provenance = train(rows, QUICK)
    write_artefact(tmp_path, model, "three@1", provenance)
    difficulty = load(tmp_path).score(rows[0].signals)
    expected = model.p_good([read(rows[0].signals)])[0]
    assert difficulty.p_good == pytest.approx(expected, abs=1e-6)
    assert difficulty.gain == max(difficulty.p_good[1:]) - difficulty.p_good[0]


# ------------------------------------------------------------------------------- learning


def test_it_tells_long_sums_from_short_ones(trained):
    _, scorer, _ = trained
    for sign in "+-*":
        short, long = (
            scorer.score(Signals(text=f"oak elm yew: what is {sum_}?", turns=1))
            for sum_ in (f"4{sign}3", f"47{sign}38")
        )
        assert short.value < 0.5 < long.value
        assert short.p_good[0] > 0.7
        assert long.p_good[0] < 0.3


def test_held_out_figures_beat_chance():
    (result,) = evaluate(rows_of(own_rows(300)), QUICK, ["own"])
    assert (result.source, result.n) == ("own", 300)
    assert result.low > 0.6
    assert result.auroc_weak > 0.8
    assert result.ece_weak < 0.15


def test_the_same_rows_and_seed_give_the_same_bytes(trained, tmp_path):
    _, _, folder = trained
    model, provenance = train(rows_of(own_rows(300)), QUICK)
    write_artefact(tmp_path, model, "own@1", provenance)
    for name in ("scorer.json", "weights.npz"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_the_artefact_keeps_no_rare_word(tmp_path):
    records = own_rows(200)
    for record in records[:2]:
        record["prompt"] = f"password hunter2 {record['prompt']}"
    # However often it comes, one question is one question.
    records += [{**records[3], "prompt": "repeated secretword " + "again " * 20}] * 9
    model, provenance = train(rows_of(records), QUICK)
    write_artefact(tmp_path, model, "own@1", provenance)
    with np.load(tmp_path / "weights.npz") as arrays:
        names = arrays["names"].tobytes().decode().split("\n")
    assert "oak" in names
    assert not [name for name in names if "hunter2" in name or "secretword" in name]


def test_no_question_is_on_both_sides_of_a_fold():
    records = own_rows(60)
    table = table_of(rows_of([*records, *records]))
    for train_rows, test_rows in folds(table, QUICK):
        groups = [{table.groups[i] for i in rows} for rows in (train_rows, test_rows)]
        assert not groups[0] & groups[1]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda records: records[:2], "too few to learn from"),
        (
            lambda records: [{**r, "prompt": "x" * (2 * i + 1)} for i, r in enumerate(records[:6])],
            "No word is in",
        ),
        (
            lambda records: [{**r, "weak_score": 1, "strong_score": 1} for r in records],
            "nothing to",
        ),
    ],
)
def test_rows_that_teach_nothing_are_refused(spoil, message):
    with pytest.raises(DataError, match=message):
        fit(table_of(rows_of(spoil(own_rows(40)))), QUICK)


def test_a_model_that_never_fails_is_nearly_sure():
    records = [{**r, "strong_score": 1} for r in own_rows(200)]
    model = fit(table_of(rows_of(records)), QUICK)
    chances = model.p_good([read(row.signals) for row in rows_of(records[:20])])
    assert (chances[:, 1] > 0.98).all()
    assert (chances[:, 1] < 1).all()


def test_outcomes_that_follow_from_the_prompt_keep_finite_curves():
    records = [{**r, "weak_score": len(r["prompt"]) % 2, "strong_score": 1} for r in own_rows(150)]
    for record in records:
        record["prompt"] += " plainly" if record["weak_score"] else " deeply"
    model = fit(table_of(rows_of(records)), QUICK)
    assert np.isfinite(model.calibration).all()
    assert all(slope >= 0 for slope, _ in model.calibration)


def test_noise_is_not_turned_upside_down():
    draw = random.Random(5)
    records = [{**r, "weak_score": draw.randrange(2)} for r in own_rows(60)]
    model = fit(table_of(rows_of(records)), QUICK)
    assert all(slope >= 0 for slope, _ in model.calibration)


# ------------------------------------------------------------------------------- data


def test_near_duplicates_share_a_number_and_a_task_s_wording_does_not_join():
    question = "A farmer has twelve cows and sells three of them to a neighbour for gold"
    wording = "You are given a function and must say what it returns for this input: "
    texts = [
        question,
        f"Q: {question} A:",
        question.upper(),
        *(f"{wording}{tree}" for tree in WORDS),
        "Why?",
        "why",
    ]
    numbers = near_duplicates(texts)
    assert len(set(numbers[:3])) == 1
    assert len(set(numbers[3 : 3 + len(WORDS)])) == len(WORDS)
    assert numbers[-2] == numbers[-1]


def test_balance_counts_a_source_as_the_root_of_its_size():
    weights = balance(["big"] * 100 + ["small"] * 4)
    assert sum(weights) == pytest.approx(104)
    assert sum(weights[:100]) / sum(weights[100:]) == pytest.approx(5)


def write_csv(path, records):
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, records[0].keys())
        writer.writeheader()
        writer.writerows(records)


def test_csv_and_jsonl_read_alike(tmp_path):
    records = [{**r, "turns": 2, "tools": 1, "wants_json": True} for r in own_rows(5)]
    write_csv(tmp_path / "mine.csv", records)
    write_csv(tmp_path / "mine.csv.gz", records)
    lines = "\n".join(map(json.dumps, records))
    (tmp_path / "mine.jsonl").write_text(lines, "utf-8")
    first, *others = (read_rows(tmp_path / f"mine.{end}") for end in ("csv", "csv.gz", "jsonl"))
    assert others == [first, first]
    assert (first[0].signals.turns, first[0].signals.tools) == (2, 1)
    assert first[0].signals.wants_json is True
    assert first[0].signals.text == records[0]["prompt"]
    assert first[0].source == "mine"


def test_contaminated_and_repeated_pairs_are_dropped(tmp_path):
    base = {"weak_score": 0, "strong_score": 1, "extra": "{}"}
    records = [
        {**base, "prompt": "Why is the sky blue?"},
        {**base, "prompt": "why is  the sky\nblue?"},
        {**base, "prompt": "Seen before", "extra": '{"contaminated": true}'},
        {**base, "prompt": "2+3"},
        {**base, "prompt": "2*3", "extra": ""},
    ]
    write_csv(tmp_path / "pair.csv.gz", records)
    texts = [row.signals.text for row in read_pairs(tmp_path, ["pair"])]
    assert texts == ["Why is the sky blue?", "2+3", "2*3"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"prompt": "a", "weak_score": 1}', "no column 'strong_score'"),
        ('{"prompt": "a", "weak_score": 2, "strong_score": 1}', "scores are 0..1"),
        ('{"prompt": "a", "weak_score": "good", "strong_score": 1}', "no number"),
        ('{"prompt": "a", "weak_score": NaN, "strong_score": 1}', "scores are 0..1"),
        ("{", "is not JSON"),
        ("[]", "is not an object"),
        ("", "holds no rows"),
    ],
)
def test_bad_rows_are_named(tmp_path, line, message):
    path = tmp_path / "mine.jsonl"
    path.write_text(line, "utf-8")
    with pytest.raises(DataError, match="mine") as caught:
        read_rows(path)
    assert message in str(caught.value)


# ------------------------------------------------------------------------------- metrics


def test_a_perfect_ranking_recovers_all_and_a_reversed_one_nothing():
    weak = np.array([0.0] * 10 + [1.0] * 90)
    strong = np.ones(100)
    best, worst = curve(strong - weak, weak, strong), curve(weak, weak, strong)
    assert best.apgr == pytest.approx(0.95)
    assert worst.apgr == pytest.approx(0.05)
    assert (best.cpt50, best.cpt80) == (0.05, 0.08)
    random_ranking = curve(np.zeros(100), weak, strong, seed=3)
    assert 0.3 < random_ranking.apgr < 0.7
    low, high = interval(strong - weak, weak, strong, resamples=50)
    assert low <= best.apgr <= high


def test_probabilities_are_judged():
    outcomes = np.array([1.0, 1.0, 1.0, 0.0])
    assert calibration_error(np.full(4, 0.75), outcomes) == pytest.approx(0)
    assert calibration_error(np.full(4, 0.25), outcomes) == pytest.approx(0.5)
    assert calibration_error(np.ones(4), outcomes) == pytest.approx(0.25)
    assert auroc(np.array([0.9, 0.8, 0.7, 0.1]), outcomes) == 1
    assert np.isnan(auroc(np.array([0.9, 0.8]), np.ones(2)))


# ------------------------------------------------------------------------------- commands


def test_the_commands_train_judge_and_refuse(tmp_path, capsys):
    rows = tmp_path / "mine.csv"
    write_csv(rows, own_rows(120))
    command.main(["--rows", str(rows), "--out", str(tmp_path / "out"), "--label", "mine@7"])
    card = (tmp_path / "out" / "card.md").read_text("utf-8")
    assert "# Difficulty scorer `mine@7`" in card
    assert "does not transfer" in card
    assert "mine@7" in capsys.readouterr().out
    assert load(tmp_path / "out").label == "mine@7"
    evaluate_main(["--rows", str(rows), "--folds", "3", "--json"])
    (result,) = json.loads(capsys.readouterr().out)
    assert result["n"] == 120
    with pytest.raises(SystemExit) as caught:
        command.main(["--rows", str(tmp_path / "none.csv"), "--out", str(tmp_path)])
    assert caught.value.code == 2
    assert "there is no such file" in capsys.readouterr().err
