from __future__ import annotations

import json

import pytest
from sample_outcomes import quick_artefact, runs, sums, write_rows
from tuning_place import FLOW, configure

from gateway.cli import main
from router_models.cascade import choose, evaluate


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tuning")
    quick_artefact(folder / "scorer", "sums@2")
    return folder


@pytest.fixture
def place(made, tmp_path, monkeypatch):
    """A folder with a configuration, a scorer and labelled rows; one is in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scorer").symlink_to(made / "scorer")
    write_rows(tmp_path / "fresh.csv", sums(400, seed=5))
    write_rows(tmp_path / "met.csv", sums(150))
    configure(tmp_path, FLOW)
    return tmp_path


@pytest.fixture
def tune(place, capsys):
    """Run the command; return its JSON."""

    def run(*arguments, code=0):
        assert main(["tune", *map(str, arguments), "--json"]) == code, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    return run


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for module in (evaluate, choose):
        monkeypatch.setattr(module, "PRICES", evaluate.PRICES[::5])
    write_rows(tmp_path / "cheap.csv", runs(300))
    write_rows(tmp_path / "dear.csv", runs(300, ratio=0.9))
    write_rows(tmp_path / "asked.csv", runs(300, prompts=True))
    return tmp_path


@pytest.fixture
def say(folder, capsys):
    """Run a command; return its JSON."""

    def run(*arguments, code=0):
        assert main([*map(str, arguments), "--json"]) == code, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    return run


@pytest.fixture
def fails(folder, capsys):
    def run(*arguments):
        assert main([*map(str, arguments)]) == 2
        return capsys.readouterr().err

    return run
