"""What `waterfall tune` and `waterfall replay` refuse before anything is fitted, and say why."""

from __future__ import annotations

import pytest
from sample_outcomes import runs, write_rows
from tuning_place import FLOW, configure

from gateway.cli import main
from router_models.cascade import choose
from router_models.commands import common, edit


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--sample-models", "mini"), "go together"),
        (("--sample-price", "mini=1:2"), "go with --samples"),
        (("--sample-prompts", "cheap.csv"), "go with --samples"),
        (("--label", "ours@1"), "--label names the combiner that is kept"),
        (("--min-gain", 0.05, "--tiers", "a,b"), "--tiers and --last are of a threshold alone"),
        (("--judge", "--last", 5), "--tiers and --last are of a threshold alone"),
        (("--judge", "--route", "waterfall"), "--route is a configuration's"),
        (("--judge", "--config", "nope.yaml"), "nope.yaml: cannot be read"),
    ],
)
def test_no_option_of_tune_is_read_and_ignored(fails, folder, more, told):
    rows = [{k: v for k, v in row.items() if "check" not in k} for row in runs(20)]
    write_rows(folder / "bare.csv", rows)
    for data in ("bare.csv", "cheap.csv"):
        assert told in fails("tune", "--target-quality", 0.95, "--data", data, *more)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--ledger", "x.db", "--policy", "cascade"), "--policy goes with --data"),
        (("--ledger", "x.db", "--accept", 0.7), "--accept goes with --data"),
        (("--ledger", "x.db", "--resamples", 1000), "--resamples goes with --data"),
        (("--data", "cheap.csv", "--checks", "tests", "--scorer", "default"), "--scorer goes with"),
        (("--data", "cheap.csv", "--policy", "always-small", "--accept", 0.7), "--accept and"),
        (
            ("--data", "cheap.csv", "--checks", "tests", "--route", "a"),
            "--route goes with --ledger",
        ),
    ],
)
def test_no_option_of_replay_is_read_and_ignored(fails, more, told):
    assert told in fails("replay", *more)


@pytest.mark.parametrize(("check", "samples"), [("agreement", 1), ("agreement_2", 2)])
def test_an_agreement_that_is_not_defined_is_told_before_anything_is_fitted(
    fails, folder, monkeypatch, check, samples
):
    monkeypatch.setattr(choose, "choose", None)
    configure(folder, FLOW.replace("scorer: ./scorer", "scorer: rules"), "own.yaml")
    rows = [{**row, f"weak_check.{check}": row["weak_score"]} for row in runs(20)]
    for row in rows:
        del row["weak_check.tests"]
    write_rows(folder / "agreed.csv", rows)
    how = ("--data", "agreed.csv", "--target-quality", 0.9, "--out", "kept", "--write")
    said = fails("tune", "--config", "own.yaml", *how)
    assert f"own.yaml defines no check '{check}'" in said
    assert f"checks: {{{check}: {{kind: agreement, samples: {samples}}}}}" in said


def test_what_was_found_is_told_though_it_cannot_be_written(folder, capsys, monkeypatch):
    path = configure(folder, FLOW.replace("scorer: ./scorer", "scorer: rules"))
    rows = [
        {("weak_check.logprob" if k == "weak_check.tests" else k): v for k, v in row.items()}
        for row in runs(300, prompts=True)
    ]
    asked = write_rows(folder / "more.csv", rows)

    def refuse(*_, **__):
        raise common.UseError("it is spread over several lines")

    monkeypatch.setattr(edit, "write_policy", refuse)
    how = ("tune", "--data", asked, "--target-quality", 0.98, "--out", "kept", "--write")
    before = path.read_bytes()
    assert main([*map(str, how)]) == 2
    said = capsys.readouterr()
    assert "it is spread over several lines" in said.err
    assert "frontier" in said.out
    assert "written" not in said.out
    assert path.read_bytes() == before
