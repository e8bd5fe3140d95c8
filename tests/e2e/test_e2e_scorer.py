"""A scorer's whole life: trained on labels, judged, tuned into a configuration, and serving."""

from __future__ import annotations

import json

from api.serving import config, house
from sample_outcomes import sums, write_rows
from yaml import safe_dump

from gateway.cli import main

EASY = [{"role": "user", "content": "oak elm yew: what is 4+3?"}]
HARD = [{"role": "user", "content": "oak elm yew: what is 47+38?"}]


async def test_from_labels_to_traffic(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    learnt, fresh = (
        str(write_rows(tmp_path / f"{name}.csv", sums(300, seed)))
        for seed, name in enumerate(("learnt", "fresh"))
    )
    assert main(["train", "--data", learnt, "--out", "scorer", "--label", "sums@1"]) == 0
    capsys.readouterr()
    assert main(["evaluate", "--data", fresh, "--scorer", "scorer", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["apgr"]["low"] > 0.6
    assert main(["promote", "scorer", "--shelf", "shelf", "--data", fresh]) == 0
    document = config(routes__waterfall__scorer="./shelf")
    (tmp_path / "waterfall.yaml").write_text(safe_dump(document))
    (tmp_path / "waterfall.yaml").chmod(0o600)
    capsys.readouterr()
    given = ["--target-quality", "0.9", "--data", fresh, "--write", "--json"]
    assert main(["tune", *given]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["promise"] is True
    written = (tmp_path / "waterfall.yaml").read_text()
    assert f"threshold: {told['threshold']}" in written
    document["routes"]["waterfall"]["threshold"] = told["threshold"]
    async with house(tmp_path, document) as it:
        easy, hard = [await it.chat(messages=messages) for messages in (EASY, HARD)]
        assert easy.told("start") == "small; score"
        assert hard.told("start") == "large; score"
        assert easy.told("threshold") == f"{told['threshold']:g}"
        assert it.entry(hard)["scorer"] == "sums@1"
