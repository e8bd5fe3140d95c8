from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway import cli
from gateway.demo import run, stage


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("SMALL", "LARGE", "KEY", "PORT", "ADMIN", "SCORER"):
        monkeypatch.setenv(f"WATERFALL_DEMO_{name}", "")  # so that what the demo sets goes again
    return tmp_path


def test_the_simulated_demo_ends_in_its_table(here, monkeypatch, capfd):
    monkeypatch.setattr(run, "QUESTIONS", 60)
    assert cli.main(["demo", "--simulated", "--exit"]) == 0
    told = " ".join(capfd.readouterr().out.split())
    for words in ("from the ledger", "small@1 → small@2", "large alone", "a share of all-large's"):
        assert words in told
    found = json.loads(Path("waterfall-demo/figures.json").read_text())
    assert found["all-large"]["asked"] == 60
    assert found["small-plain"]["recipe"] == "small@1"
    assert found["small-better"]["recipe"] == "small@2"
    assert 0 < found["waterfall"]["cost"] < found["all-large"]["cost"]
    assert Path("waterfall-demo/curve.svg").read_text().startswith("<svg")


def test_a_folder_of_somebody_else_is_left_alone(here, capfd):
    (here / "waterfall-demo").mkdir()
    (here / "waterfall-demo" / "mine.txt").write_text("keep")
    assert cli.main(["demo", "--simulated", "--exit"]) == 1
    assert "move it away" in " ".join(capfd.readouterr().out.split())
    assert [each.name for each in (here / "waterfall-demo").iterdir()] == ["mine.txt"]


def test_without_llama_the_models_are_simulated_and_it_says_so(here, monkeypatch, capfd):
    monkeypatch.setattr(run, "QUESTIONS", 20)
    monkeypatch.setattr(stage, "ARTEFACTS", here / "nowhere")
    monkeypatch.setattr(stage, "SCORER", stage.SCORER)
    assert cli.main(["demo", "--exit"]) == 0
    told = " ".join(capfd.readouterr().out.split())
    assert "cannot be served here" in told
    assert "simulated" in told
