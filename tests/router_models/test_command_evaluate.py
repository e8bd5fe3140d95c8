"""`waterfall evaluate`: every option changes what is said, and what is said is JSON or a table."""

from __future__ import annotations

import json
import struct

import pytest
from sample_outcomes import TREES, coins, rows_of, sums, write_quickly, write_rows

from gateway.cli import main
from router_models.difficulty import report
from router_models.difficulty.evaluate import Bench, Run, joined
from router_models.difficulty.model import Settings

FIGURES = ("apgr", "cpt50", "cpt80", "save95", "save98", "auroc", "ece", "aiq")
QUICK = ["--resamples", "40", "--folds", "3"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("outcomes")


@pytest.fixture(scope="module")
def data(folder):
    return write_rows(folder / "sums.csv", sums(240))


@pytest.fixture(scope="module")
def artefact(folder):
    """Trained on 150 of the 240 rows, and it knows."""
    return write_quickly(folder / "scorer", "sums@3", rows_of(sums(240)[:150]))


@pytest.fixture
def evaluate(capsys):
    """Run the command; return its JSON."""

    def run(*arguments, code=0):
        assert main(["evaluate", *map(str, arguments), "--json"]) == code
        return json.loads(capsys.readouterr().out)

    return run


def test_the_json_has_every_figure_with_its_interval(data, evaluate):
    told = evaluate("--data", data, *QUICK)
    assert told["n"] == len({each["prompt"] for each in sums(240)})
    for name in FIGURES:
        figure = told[name]
        assert figure["low"] <= figure["value"] <= figure["high"], name
    assert told["apgr"]["value"] > 0.6
    assert told["ece"]["value"] == max(head["value"] for head in told["ece_heads"])
    assert len(told["ece_heads"]) == len(told["auroc_heads"]) == 2
    assert told["random"]["apgr"] == {"value": 0.5, "low": 0.5, "high": 0.5}
    assert told["oracle"]["apgr"]["value"] > told["apgr"]["value"]
    for other in ("random", "length", "oracle"):
        assert set(told[other]) >= {*FIGURES} - {"ece"}
    assert told["how"]["folds"] == 3
    assert told["how"]["seeds"] == [0]
    assert told["tiers"] == ["weak", "strong"]
    assert told["costs"] == "recorded"
    assert told["weak_quality"]["value"] < told["strong_quality"]["value"]


def test_seeds_make_other_folds_and_average_over_them(data, evaluate):
    one, two = (evaluate("--data", data, *QUICK, "--seed", seed) for seed in (0, 1))
    assert one["apgr"]["value"] != two["apgr"]["value"]
    both = evaluate("--data", data, *QUICK, "--seeds", 2)
    mean = (one["apgr"]["value"] + two["apgr"]["value"]) / 2
    assert both["apgr"]["value"] == pytest.approx(mean)
    assert both["how"]["seeds"] == [0, 1]
    assert both["ece_heads"][0]["value"] == pytest.approx(
        (one["ece_heads"][0]["value"] + two["ece_heads"][0]["value"]) / 2
    )


def test_the_last_seed_is_one(data, evaluate):
    told = evaluate("--data", data, *QUICK, "--seed", 2**31 - 1, "--seeds", 2)
    assert told["how"]["seeds"] == [2**31 - 1, 2**31]


def test_folds_and_resamples_matter(data, evaluate):
    three = evaluate("--data", data, *QUICK)
    six = evaluate("--data", data, "--folds", 6, "--resamples", 40)
    assert three["apgr"]["value"] != six["apgr"]["value"]
    finer = evaluate("--data", data, "--folds", 3, "--resamples", 90)
    assert finer["apgr"]["value"] == three["apgr"]["value"]
    assert finer["apgr"]["low"] != three["apgr"]["low"]


def test_a_stricter_cosine_keeps_more_away(folder, evaluate):
    """Of one long wording the questions lie close, unless common words count for little."""
    wording = "Read what follows with care, and then say what the answer to the question would be:"
    records = [
        {**each, "prompt": f"{wording} {TREES[i % 14]} {each['prompt']} {TREES[i // 14]}"}
        for i, each in enumerate(sums(150))
    ]
    path = write_rows(folder / "wording.csv", records)
    weighted, plain = (
        evaluate("--data", path, *QUICK, "--cosine", each)["how"]["near_duplicates"]
        for each in ("weighted", "plain")
    )
    assert plain > weighted + 20


def test_few_labels_are_drawn_and_all_others_judged(data, evaluate):
    few = evaluate("--data", data, "--labels", 60, "--draws", 2, "--resamples", 20)
    more = evaluate("--data", data, "--labels", 60, "--draws", 3, "--resamples", 20)
    assert few["how"]["labels"] == 60
    assert few["how"]["seeds"] == [0, 1]
    assert few["apgr"]["value"] != more["apgr"]["value"]
    assert few["apgr"]["value"] > 0.55


def test_tasks_are_judged_alone(data, evaluate):
    told = evaluate("--data", data, *QUICK, "--by", "task")
    assert set(told["by_task"]) == {"long", "short"}
    assert sum(part["n"] for part in told["by_task"].values()) == told["n"]
    for part in told["by_task"].values():
        assert {"apgr", "cpt50", "ece", "auroc", "weak_quality"} <= set(part)
    assert set(evaluate("--data", data, *QUICK, "--by", "source")["by_source"]) == {"sums"}
    assert "by_task" not in evaluate("--data", data, *QUICK)


def test_the_operating_point_is_where_one_says(data, evaluate):
    low, high = (
        evaluate("--data", data, *QUICK, "--share", share)["operating"] for share in ("10%", 0.5)
    )
    assert (low["share"], high["share"]) == (0.1, 0.5)
    assert low["quality"] < high["quality"]
    assert low["saved"] > high["saved"]
    assert 0 < low["pgr"] < high["pgr"]


def test_an_artefact_is_judged_by_the_gateway_on_what_it_has_not_met(data, artefact, evaluate):
    told = evaluate("--data", data, "--scorer", artefact, "--resamples", 40)
    met = len({each["prompt"] for each in sums(240)[:150]})
    assert told["dropped"]["met in training"] == met
    assert told["n"] == len({each["prompt"] for each in sums(240)}) - met
    assert told["how"]["scorer"] == "sums@3"
    assert told["apgr"]["value"] > 0.6


def test_costs_that_are_unknown_are_said_to_be(folder, evaluate):
    records = [{**each, "weak_cost": "", "strong_cost": ""} for each in sums(120)]
    told = evaluate("--data", write_rows(folder / "unpriced.csv", records), *QUICK)
    for name in ("save95", "save98", "aiq"):
        assert told[name]["value"] is None
        assert "costs are unknown in" in told[name]["reason"]
    assert told["apgr"]["value"] is not None
    assert told["operating"]["saved"] is None
    records = [{**each, "weak_cost": "" if i < 6 else 0.001} for i, each in enumerate(sums(120))]
    told = evaluate("--data", write_rows(folder / "gaps.csv", records), *QUICK)
    assert told["aiq"]["value"] is not None


def test_a_strong_tier_that_is_none_has_no_gap(folder, evaluate):
    records = [{**each, "strong_score": each["weak_score"]} for each in sums(90)]
    records[0]["strong_score"] = 0
    told = evaluate("--data", write_rows(folder / "equal.csv", records), *QUICK)
    assert told["apgr"]["value"] is None
    assert "not the better one" in told["apgr"]["reason"]


def test_a_table_for_people_says_when_it_may_be_luck(data, folder, capsys):
    assert main(["evaluate", "--data", str(data), *QUICK, "--by", "task"]) == 0
    said = capsys.readouterr()
    for words in ("APGR", "saved at 95 %", "random", "oracle", "Costs are recorded.", "long"):
        assert words in said.out
    assert "may be luck" not in said.out
    assert "rows" in said.err
    path = write_rows(folder / "coins.csv", coins(120))
    assert main(["evaluate", "--data", str(path), *QUICK]) == 0
    assert "may be luck" in capsys.readouterr().out


def test_a_picture_is_drawn(data, artefact, folder):
    for name, how in (("folds", QUICK), ("scorer", ["--scorer", str(artefact)])):
        path = folder / f"{name}.png"
        given = ["--data", str(data), *how, "--plot", str(path), "--resamples", "20"]
        assert main(["evaluate", *given]) == 0
        content = path.read_bytes()
        assert content[:8] == b"\x89PNG\r\n\x1a\n"
        width, height = struct.unpack(">II", content[16:24])
        assert width > 2 * height > 1000


def test_what_cannot_be_judged_is_a_2_with_a_sentence(data, artefact, folder, capsys):
    learnt = write_rows(folder / "learnt.csv", sums(240)[:100])
    three = write_rows(
        folder / "three.csv", [{"prompt": "a", "score_a": 0, "score_b": 1, "score_c": 1}]
    )
    for arguments, words in (
        (["--data", folder / "nothing.csv"], "no such file"),
        (["--data", data, "--scorer", folder / "nowhere"], "cannot be read"),
        (["--data", learnt, "--scorer", artefact], "Every row is among those"),
        (["--data", three, "--scorer", artefact], "it knows 2 tiers, the data has 3"),
        (["--data", data, "--labels", "400"], "too few to learn from 400"),
        (["--data", data, "--tiers", "a,b,c"], "no column 'score_a'"),
    ):
        assert main(["evaluate", *map(str, arguments)]) == 2, arguments
        said = capsys.readouterr().err
        assert words in said
        assert "Traceback" not in said


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (["--scorer", "x", "--seeds", "1"], "are of a training"),
        (["--scorer", "x", "--draws", "2"], "are of a training"),
        (["--scorer", "x", "--cosine", "weighted"], "are of a training"),
        (["--labels", "9", "--seeds", "2"], "say how many --draws"),
        (["--folds", "3", "--draws", "2"], "goes with --labels"),
        (["--plot", "curve.txt"], "curve.txt: it is a PNG that is drawn"),
    ],
)
def test_options_that_would_change_nothing_are_refused(data, wrong, words, capsys):
    assert main(["evaluate", "--data", str(data), *wrong]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    "wrong",
    [
        ["--folds", "1"],
        ["--seed", "-1"],
        ["--seed", "99999999999999999999"],
        ["--seeds", "10001"],
        ["--tiers", "one"],
        ["--share", "2"],
        ["--by", "luck"],
    ],
)
def test_a_wrong_option_is_a_2_with_the_usage(data, wrong, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", "--data", str(data), *wrong])
    assert ended.value.code == 2
    assert "usage: waterfall evaluate" in capsys.readouterr().err


# ------------------------------------------------------------------------------- experiments


def test_sources_are_judged_after_the_others_alone():
    rows = rows_of(sums(90), "one") + rows_of(sums(90, seed=1), "two")
    bench = Bench(rows, Settings(folds=3))
    run = bench.by_others([row.source for row in rows])
    assert run.rows.tolist() == sorted(run.rows.tolist())
    told = report.by_task(report.case_of(rows, by="source"), [run])
    assert set(told) == {"one", "two"}
    assert told["two"]["apgr"]["value"] > 0.55
    twice = rows_of(sums(60), "one") + rows_of(sums(60), "two")
    assert len(Bench(twice, Settings(folds=3)).by_others([r.source for r in twice]).rows) == 0


def test_runs_of_different_rows_are_put_together_in_order():
    import numpy as np

    def run(rows):
        at = np.array(rows)
        return Run(at, at * 1.0, np.stack([at, at], axis=1) * 0.1, removed=2)

    both = joined([run([3, 1]), run([0, 2])])
    assert both.rows.tolist() == both.ranking.tolist() == [0, 1, 2, 3]
    assert both.p_good[:, 0].tolist() == pytest.approx([0, 0.1, 0.2, 0.3])
    assert both.removed == 2


def test_a_picture_for_no_folder_is_refused_before_anything_is_read(capsys, tmp_path):
    """Training takes minutes: the data is not even looked for."""
    given = ["--data", str(tmp_path / "none.csv"), "--plot", str(tmp_path / "no" / "curve.png")]
    assert main(["evaluate", *given]) == 2
    assert "there is no folder" in capsys.readouterr().err
