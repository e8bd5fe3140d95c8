"""What the workshop reads: rows without surprises, and a sentence for what it cannot read."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from sample_outcomes import TREES, write_rows

from router_models.difficulty.data import DataError, balance, read_files, read_prompts

CONTEXT = {"turns": 2, "tools": 1, "wants_json": True, "max_tokens": 40}
BASE = {"weak_score": 0, "strong_score": 1}


def test_balance_counts_a_source_as_the_root_of_its_size():
    weights = balance(["big"] * 100 + ["small"] * 4)
    assert sum(weights) == pytest.approx(104)
    assert sum(weights[:100]) / sum(weights[100:]) == pytest.approx(5)


@pytest.mark.parametrize("end", ["csv", "csv.gz", "jsonl", "jsonl.gz", "parquet"])
def test_every_format_reads_alike(tmp_path, end):
    records = [
        {"prompt": f"{tree}, why?\n", "weak_score": 0.5, "strong_score": 1, **CONTEXT}
        for tree in TREES
    ]
    found = read_files([write_rows(tmp_path / f"mine.{end}", records)])
    first = found.rows[0]
    assert [row.signals.text for row in found.rows] == [each["prompt"] for each in records]
    assert first.scores == (0.5, 1.0)
    assert (first.signals.turns, first.signals.tools, first.signals.max_tokens) == (2, 1, 40)
    assert first.signals.wants_json is True
    assert (first.source, first.task, found.tiers) == ("mine", "mine", ("weak", "strong"))


def test_a_byte_order_mark_is_no_part_of_a_column_s_name(tmp_path):
    path = tmp_path / "excel.csv"
    path.write_text("prompt,weak_score,strong_score\nWhy?,0,1\n", "utf-8-sig")
    assert read_files([path]).rows[0].signals.text == "Why?"


def test_what_teaches_nothing_is_dropped_and_counted(tmp_path):
    records = [
        {**BASE, "prompt": "Why is the sky blue?", "extra": "{}"},
        {**BASE, "prompt": "why is  the sky\nblue?", "extra": "{}"},
        {**BASE, "prompt": "Seen before", "extra": '{"contaminated": true}'},
        {**BASE, "prompt": "2+3", "extra": '{"contaminated": false}'},
        {**BASE, "prompt": "2*3", "extra": "contaminated, but no JSON"},
        {**BASE, "prompt": " ", "extra": ""},
        {**BASE, "prompt": "Unknown", "strong_score": "", "extra": ""},
    ]
    found = read_files([write_rows(tmp_path / "pair.csv.gz", records)])
    assert [row.signals.text for row in found.rows] == ["Why is the sky blue?", "2+3", "2*3"]
    assert found.dropped == {
        "repeated": 1,
        "contaminated": 1,
        "without a prompt": 1,
        "without a score for every tier": 1,
    }
    assert "3 rows (dropped: " in found.told
    assert "1 contaminated" in found.told


def test_a_blank_cost_is_unknown_and_a_nought_is_free(tmp_path):
    records = [
        {**BASE, "prompt": "a", "weak_cost": "", "strong_cost": "0.5", "cost_kind": "est"},
        {**BASE, "prompt": "b", "weak_cost": "0", "strong_cost": "0.25", "cost_kind": ""},
        {**BASE, "prompt": "c", "weak_cost": "0.1", "strong_cost": "0.25", "cost_kind": "none"},
        {**BASE, "prompt": "d", "weak_cost": "nan", "strong_cost": "", "cost_kind": "est"},
    ]
    for record in records[3:]:
        record["weak_cost"] = ""
    rows = read_files([write_rows(tmp_path / "costs.csv", records)]).rows
    assert [row.costs for row in rows] == [(None, 0.5), (0.0, 0.25), (None, None), (None, None)]
    assert [row.cost_kind for row in rows] == ["est", "recorded", "none", "none"]


def test_a_table_s_nan_is_a_blank(tmp_path):
    nan = float("nan")
    records = [
        {**BASE, "prompt": "a", "weak_cost": nan, "turns": nan},
        {**BASE, "prompt": "b", "weak_cost": 0.5, "turns": 3.0},
        {"prompt": "c", "weak_score": nan, "strong_score": 1.0, "weak_cost": 1.0, "turns": 1.0},
    ]
    for record in records:
        record["weak_score"] = float(record["weak_score"])
        record["strong_score"] = float(record["strong_score"])
    found = read_files([write_rows(tmp_path / "frame.parquet", records)])
    assert [(row.costs[0], row.signals.turns) for row in found.rows] == [(None, 1), (0.5, 3)]
    assert found.dropped == {"without a score for every tier": 1}


# ------------------------------------------------------------------------------- tiers


def test_any_number_of_tiers_in_the_order_of_columns_or_as_asked(tmp_path):
    record = {"prompt": "a", "score_large": 1, "score_small": 0, "score_mid": 0.5, "cost_mid": 2}
    path = write_rows(tmp_path / "three.csv", [record])
    found = read_files([path])
    assert (found.tiers, found.rows[0].scores) == (("large", "small", "mid"), (1, 0, 0.5))
    found = read_files([path], ["small", "mid", "large"])
    assert found.rows[0].scores == (0, 0.5, 1)
    assert found.rows[0].costs == (None, 2, None)
    assert read_files([path], ["small", "large"]).rows[0].scores == (0, 1)


def test_a_pair_s_columns_stand_for_the_two_tiers_that_are_named(tmp_path):
    path = write_rows(tmp_path / "pair.csv", [{**BASE, "prompt": "a", "weak_cost": 3}])
    found = read_files([path], ["small", "large"])
    assert (found.tiers, found.rows[0].scores) == (("small", "large"), (0, 1))
    assert found.rows[0].costs == (3, None)


def test_files_of_other_tiers_do_not_mix(tmp_path):
    one = write_rows(tmp_path / "one.csv", [{**BASE, "prompt": "a"}])
    two = write_rows(tmp_path / "two.csv", [{"prompt": "b", "score_s": 0, "score_l": 1}])
    with pytest.raises(DataError, match=r"two\.csv: its tiers are s, l, those"):
        read_files([one, two])


def test_a_prompt_counts_once_of_a_source_or_of_all(tmp_path):
    old, new = ([{**BASE, "prompt": tree} for tree in trees] for trees in (TREES[:5], TREES[:8]))
    (tmp_path / "later").mkdir()
    paths = [
        write_rows(tmp_path / name, records)
        for name, records in (("old.csv", old), ("new.csv", new), ("later/old.jsonl", new))
    ]
    found = read_files(paths)
    assert [row.source for row in found.rows] == ["old"] * 5 + ["new"] * 8 + ["old"] * 3
    assert found.dropped["repeated"] == 5
    found = read_files(paths, once=True)
    assert [row.signals.text for row in found.rows] == TREES[:8]
    assert found.dropped["repeated"] == 5 + 8
    assert len(read_files([paths[0], paths[0]]).rows) == 5
    assert read_files(paths[::-1], once=True).dropped["repeated"] == 8 + 5


# ------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"prompt": "a", "weak_score": 1}', "no column 'strong_score'"),
        ('{"weak_score": 1, "strong_score": 1}', "no column 'prompt'"),
        ('{"prompt_id": "1", "model": "m", "score": 1}', "give the pair file"),
        ('{"prompt": "", "weak_score": 1, "strong_score": 1}', "1 without a prompt"),
        ('{"prompt": "a", "score_one": 1}', "scores of one tier only"),
        ('{"prompt": "a", "weak_score": 2, "strong_score": 1}', "row 1: scores are 0..1"),
        ('{"prompt": "a", "weak_score": "good", "strong_score": 1}', "no number"),
        ('{"prompt": "a", "weak_score": 1, "strong_score": [1]}', "no number"),
        ('{"prompt": "a", "weak_score": 1, "strong_score": 1, "turns": -1}', "turns is -1"),
        ('{"prompt": "a", "weak_score": 1, "strong_score": 1, "turns": 1e999}', "turns is inf"),
        ('{"prompt": "a", "weak_score": 1, "strong_score": 1, "weak_cost": -1}', "not a cost"),
        ("{", "is not JSON"),
        ("[]", "is not an object"),
        ("", "holds no rows"),
    ],
)
def test_what_cannot_be_learnt_from_is_named(tmp_path, line, message):
    path = tmp_path / "mine.jsonl"
    path.write_text(line, "utf-8")
    with pytest.raises(DataError, match="mine") as caught:
        read_files([path])
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.csv", None, "there is no such file"),
        ("mine.xlsx", b"", "give a .csv, .jsonl, .parquet"),
        ("mine.csv.gz", b"not gzip", "cannot be read"),
        ("mine.csv", b"\xff\xfe\x00", "cannot be read"),
        ("mine.parquet", b"PAR1 not quite", "is not Parquet"),
    ],
)
def test_a_file_that_is_no_table_is_named(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_files([path])


def test_what_is_no_file_is_named(tmp_path):
    (tmp_path / "labels.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    for path, told in (
        (tmp_path / "labels.csv", "is a folder; name the files in it"),
        (tmp_path / "pipe.csv", "it is no regular file"),
        (Path("/dev/null"), "it is no regular file"),
    ):
        for read in (read_files, read_prompts):
            with pytest.raises(DataError, match=f"{path}: {told}"):
                read([path])


def test_no_file_is_no_data():
    with pytest.raises(DataError, match="No file"):
        read_files([])


# ------------------------------------------------------------------------------- prompts


def test_prompts_need_no_outcome(tmp_path):
    path = write_rows(tmp_path / "asked.csv", [{"prompt": "a"}, {"prompt": " "}, {"prompt": "a"}])
    assert [signals.text for signals in read_prompts([path])] == ["a", "a"]
    with pytest.raises(DataError, match="no column 'prompt'"):
        read_prompts([write_rows(tmp_path / "odd.csv", [{"question": "a"}])])
    with pytest.raises(DataError, match="No prompt was given"):
        read_prompts([write_rows(tmp_path / "empty.csv", [{"prompt": ""}])])
    (tmp_path / "bad.jsonl").write_text(json.dumps({"prompt": "a", "turns": "x"}))
    with pytest.raises(DataError, match="row 1: turns"):
        read_prompts([tmp_path / "bad.jsonl"])
