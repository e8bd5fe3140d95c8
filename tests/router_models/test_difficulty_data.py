"""What the workshop reads and how it judges: rows without surprises, figures worked by hand."""

from __future__ import annotations

import csv
import gzip
import json

import numpy as np
import pytest

from router_models.difficulty.data import (
    DataError,
    balance,
    near_duplicates,
    read_pairs,
    read_rows,
)
from router_models.difficulty.metrics import auroc, calibration_error, curve, interval

TREES = "ash birch cedar elm fir hazel larch maple oak pine".split()
CONTEXT = {"turns": 2, "tools": 1, "wants_json": True}


# ------------------------------------------------------------------------------- data


def test_near_duplicates_share_a_number_and_a_task_s_wording_does_not_join():
    question = "A farmer has twelve cows and sells three of them to a neighbour for gold"
    wording = "You are given a function and must say what it returns for this input: "
    texts = [
        question,
        f"Q: {question} A:",
        question.upper(),
        *(f"{wording}{tree}" for tree in TREES),
        "Why?",
        "why",
    ]
    numbers = near_duplicates(texts)
    assert len(set(numbers[:3])) == 1
    assert len(set(numbers[3 : 3 + len(TREES)])) == len(TREES)
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
    records = [
        {"prompt": f"{tree}, why?\n", "weak_score": 0.5, "strong_score": 1, **CONTEXT}
        for tree in TREES
    ]
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
