"""What each part is worth: known rows, of which it is known what tells their difficulty."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout

import numpy as np
import pytest
from sample_outcomes import rows_of, sums, write_rows

from router_models.difficulty import compare
from router_models.difficulty.compare import AGAINST, BARE, FULL, RIDGE, SWAPPED, learners

PARTS = {
    FULL, "ranked on difficulty", "without calibration", BARE, "terms alone", "clusters alone",
    "static vectors alone", "counters alone", "96 clusters", "384 clusters", "length alone",
    SWAPPED, RIDGE,
}  # fmt: skip


def embed(texts):
    """Vectors whose first axis says how many digits a sum has: the library is not installed."""
    vectors = np.random.default_rng(3).normal(size=(len(texts), 6))
    vectors[:, 0] = [5.0 if sum(map(str.isdigit, text)) > 2 else -5.0 for text in texts]
    return vectors


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """The command's JSON, of some of the rows of a file."""
    folder = tmp_path_factory.mktemp("compare")
    data = write_rows(folder / "rows.csv", sums(170))
    command = ["compare", "--data", data, "--folds", "2", "--resamples", "40", "--json"]
    command += ["--sample", "160", "--minilm", folder]
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as printed:
        patch.setattr("sys.argv", [str(each) for each in command])
        patch.setattr(compare, "sentences", lambda asked: embed if asked == folder else None)
        compare.main()
    return json.loads(printed.getvalue())


def apgr(told, name):
    return told["parts"][name]["apgr"]["value"]


def test_every_part_is_judged_on_the_same_rows(told):
    assert set(told["parts"]) == PARTS
    assert (told["n"], told["folds"], told["seeds"]) == (160, 2, 1)
    for name, part in told["parts"].items():
        for key in ("apgr", "cpt50", "cpt80", "difference"):
            assert part[key]["low"] <= part[key]["value"] <= part[key]["high"]
        assert ("ece" in part) == (name != "length alone")
    assert all(milliseconds > 0 for milliseconds in told["cpu_ms"].values())


def test_each_is_held_against_the_whole_and_sentences_against_what_has_no_views(told):
    for name, part in told["parts"].items():
        assert part["against"] == AGAINST.get(name, FULL)
        difference = apgr(told, name) - apgr(told, part["against"])
        assert part["difference"]["value"] == pytest.approx(difference)
    assert told["parts"][FULL]["difference"] == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_what_is_taken_away_is_gone(told):
    """The digits tell all, and knowing them is worth .7: words and counters hold them, static
    vectors do not."""
    for name in (FULL, "terms alone", "counters alone", BARE, RIDGE):
        assert apgr(told, name) > 0.6, name
    assert apgr(told, "clusters alone") > 0.55
    assert apgr(told, "static vectors alone") < 0.6


def test_the_table_has_a_line_for_each(told, capsys):
    compare.show(told)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines[1 : 1 + len(PARTS)]] == list(told["parts"])
    assert sum("ms of one core" in line for line in lines) == 2


def test_length_learns_which_way_it_points():
    """The longest are those that gain least."""
    records = sums(200, seed=1)
    for record in records:
        if record["task"] == "short":
            record["prompt"] += " easy as it is" * 9
    rows = rows_of(records)
    found = [learner for learner in learners(rows) if isinstance(learner, compare.ByLength)]
    told = compare.compare(rows, found, folds=2, seeds=2, resamples=10)
    assert told["seeds"] == 2
    assert apgr(told, "length alone") > 0.64
