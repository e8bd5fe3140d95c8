"""Versions side by side: promoted only when better by more than noise, and back in one command."""

from __future__ import annotations

import json

import pytest
from sample_outcomes import blind_artefact, coins, quick_artefact, sums, write_rows

from gateway.cli import main
from gateway.scorers import load


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("candidates")
    quick_artefact(folder / "good", "sums@2")
    blind_artefact(folder / "blind", "coins@1")
    write_rows(folder / "fresh.csv", sums(500, seed=77))
    write_rows(folder / "met.csv", sums(150))
    write_rows(folder / "both.csv", sums(150) + sums(300, seed=78))
    write_rows(folder / "coins.csv", coins(300, seed=3))
    return folder


@pytest.fixture
def shelf(tmp_path):
    return tmp_path / "shelf"


@pytest.fixture
def promote(made, shelf, capsys):
    """Run the command; return its exit code and its JSON."""

    def run(name, *arguments, data="fresh.csv"):
        given = [str(made / name), "--shelf", str(shelf), "--data", str(made / data)]
        code = main(["promote", *given, *arguments, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return run


def listed(shelf, capsys, code=0):
    assert main(["scorers", "--shelf", str(shelf), "--json"]) == code
    return {each["name"]: each for each in json.loads(capsys.readouterr().out)}


def test_the_better_one_is_promoted_and_taken_back(promote, made, shelf, capsys):
    code, told = promote("blind", "--force", "something has to be first")
    assert (code, told["promoted"], told["rival"]) == (0, True, "random")
    code, told = promote("good")
    assert (code, told["promoted"]) == (0, True)
    assert (told["candidate"], told["rival"]) == ("sums@2", "coins@1")
    assert told["difference"]["low"] > 0
    assert told["candidate_apgr"] - told["rival_apgr"] == pytest.approx(told["difference"]["value"])
    assert load(shelf).label == "sums@2"
    found = listed(shelf, capsys)
    assert {name: each["in_force"] for name, each in found.items()} == {
        "coins@1": False,
        "sums@2": True,
    }
    history = [json.loads(line) for line in (shelf / "history.jsonl").read_text().splitlines()]
    assert [line["in_force"] for line in history] == ["coins@1", "sums@2"]
    assert history[0]["forced"] == "something has to be first"
    assert "forced" not in history[1]
    assert main(["rollback", "--shelf", str(shelf)]) == 0
    assert "coins@1 is in force again; sums@2 stays" in capsys.readouterr().out
    assert load(shelf).label == "coins@1"
    assert main(["rollback", "--shelf", str(shelf)]) == 2
    assert "nothing was in force before coins@1" in capsys.readouterr().err


def test_a_roll_back_after_a_roll_back_goes_further_down(promote, made, shelf, capsys):
    for name in ("blind", "good"):
        promote(name, "--force", "x")
    quick_artefact(shelf / "sums@3", "sums@3", seed=9)
    assert main(["promote", str(shelf / "sums@3"), "--shelf", str(shelf), "--data",
                 str(made / "fresh.csv"), "--force", "y"]) == 0  # fmt: skip
    for expected in ("sums@2", "coins@1"):
        assert main(["rollback", "--shelf", str(shelf)]) == 0
        assert load(shelf).label == expected
    capsys.readouterr()
    promote("good", "--force", "z")
    assert main(["rollback", "--shelf", str(shelf)]) == 0
    assert load(shelf).label == "coins@1"
    capsys.readouterr()


def test_one_that_is_no_better_is_not_promoted(promote, made, shelf, capsys):
    code, told = promote("good")
    assert (code, told["rival"]) == (0, "random")
    code, told = promote("blind")
    assert (code, told["promoted"]) == (1, False)
    assert told["difference"]["value"] < 0
    assert told["labels_needed"] is None
    assert load(shelf).label == "sums@2"
    assert set(listed(shelf, capsys)) == {"sums@2"}
    given = [str(made / "blind"), "--shelf", str(shelf), "--data", str(made / "fresh.csv")]
    assert main(["promote", *given]) == 1
    said = capsys.readouterr().out
    assert "Not promoted" in said
    assert "It is worse, by more than noise." in said
    assert "may be noise" not in said


def test_a_file_given_ten_times_is_as_many_labels_as_given_once(promote, made, shelf):
    again = write_rows(made / "again.csv", sums(500, seed=77))
    _, once = promote("good")
    (shelf / "in-force").unlink()
    given = ["--data", *[str(made / "fresh.csv")] * 9, str(again)]
    _, ten = promote("good", *given)
    assert (ten["n"], ten["difference"]) == (once["n"], once["difference"])


def test_one_that_may_be_better_is_told_how_many_labels_would_tell(promote):
    code, told = promote("good", data="coins.csv")
    if told["difference"]["value"] > 0:
        assert told["labels_needed"] > told["n"]
    assert code == 1


def test_what_either_has_met_does_not_count(promote, made, shelf, capsys):
    given = ["--shelf", str(shelf), "--data", str(made / "met.csv")]
    assert main(["promote", str(made / "good"), *given]) == 2
    assert "Every row is among those" in capsys.readouterr().err
    _, told = promote("good", "--seed", "1", data="both.csv")
    assert told["dropped"]["met in training"] == len({each["prompt"] for each in sums(150)})
    assert told["n"] == 300
    (shelf / "in-force").unlink()
    _, other = promote("good", "--seed", "2", data="both.csv")
    assert told["difference"]["low"] != other["difference"]["low"]


def test_another_artefact_of_the_same_label_is_refused(promote, made, shelf, tmp_path, capsys):
    promote("good")
    other = quick_artefact(tmp_path / "other", "sums@2", seed=4)
    given = ["--shelf", str(shelf), "--data", str(made / "fresh.csv"), "--force", "x"]
    assert main(["promote", str(other), *given]) == 2
    assert "holds another artefact of this label" in capsys.readouterr().err


def test_a_list_says_what_would_be_refused(promote, shelf, capsys):
    promote("good")
    (shelf / "broken@1").mkdir()
    (shelf / "broken@1" / "scorer.json").write_text("{}")
    found = listed(shelf, capsys)
    assert "schema" in found["broken@1"]["fault"]
    assert main(["scorers", "--shelf", str(shelf)]) == 0
    said = capsys.readouterr()
    assert "sums@2" in said.out
    assert "broken@1 would be refused" in said.err
    (shelf / "sums@2" / "weights.npz").write_bytes(b"")
    listed(shelf, capsys, code=1)


def test_what_is_no_shelf_is_a_2(tmp_path, capsys):
    (tmp_path / "plain").mkdir()
    assert main(["rollback", "--shelf", str(tmp_path / "plain")]) == 2
    assert "is no shelf" in capsys.readouterr().err
    assert main(["scorers", "--shelf", str(tmp_path / "nowhere")]) == 2
    assert "no such folder" in capsys.readouterr().err
    assert main(["scorers", "--shelf", str(tmp_path / "plain")]) == 1
    said = capsys.readouterr()
    assert "holds no artefact yet" in said.err
    assert said.out == ""
    assert listed(tmp_path / "plain", capsys, code=1) == {}


def test_what_is_no_place_for_a_shelf_is_refused(made, tmp_path, capsys):
    own = quick_artefact(tmp_path / "own", "own@1")
    files = sorted(own.iterdir())
    (tmp_path / "wf.yaml").write_text("routes:")
    for shelf, words in ((own, "an artefact's own folder"), (tmp_path / "wf.yaml", "is a file")):
        given = ["--shelf", str(shelf), "--data", str(made / "fresh.csv"), "--force", "x"]
        assert main(["promote", str(own), *given]) == 2
        assert words in capsys.readouterr().err
    assert sorted(own.iterdir()) == files


def test_a_shelf_is_not_trained_over(promote, made, shelf, capsys):
    promote("good")
    assert main(["train", "--data", str(made / "fresh.csv"), "--out", str(shelf)]) == 2
    assert "is a shelf" in capsys.readouterr().err
