"""The workshop's commands, found by their entry points; serving needs none of them."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import gateway.cli
from gateway.cli import main
from router_models.cascade import evaluate
from router_models.difficulty import compare

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("tuning.md", "judging.md", "report.md", "payback.md")
PARSERS = {each.__name__: each.parser for each in (compare, evaluate)}
MONEY = ("report", "payback", "reconcile")
COMMANDS = ("train", "evaluate", "tune", "replay", "scorers", "promote", "rollback", *MONEY)


def test_they_are_in_the_help_beside_our_own(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    said = capsys.readouterr().out
    for command in ("serve", "check", "replay", *COMMANDS):
        assert re.search(rf"\n    {command}\s", said)


@pytest.mark.parametrize("command", [*COMMANDS, "replay"])
def test_each_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"usage: waterfall {command}" in capsys.readouterr().out


def test_one_that_cannot_be_imported_stops_no_other(monkeypatch, capsys):
    real = gateway.cli.entry_points

    def with_a_broken_one(group):
        return [EntryPoint("broken", "router_models.nowhere", group), *real(group=group)]

    monkeypatch.setattr(gateway.cli, "entry_points", with_a_broken_one)
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    said = capsys.readouterr()
    assert "without broken" in said.err
    assert "usage: waterfall train" in said.out


def test_the_help_of_all_loads_none_of_what_they_need():
    code = (
        "import sys\n"
        "from gateway.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print(sorted({'sklearn', 'scipy', 'matplotlib', 'pyarrow', 'rich'} & set(sys.modules)))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT
    )
    assert ended.stdout.splitlines()[-1] == "[]"


def test_the_page_names_no_command_and_no_option_that_there_is_not(capsys):
    page = (ROOT / "docs" / "scorer.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`waterfall ([a-z]+)", page))
    assert named == set(COMMANDS) - {"replay", *MONEY}  # those have pages of their own
    known = {"--help"}
    for command in COMMANDS:
        with pytest.raises(SystemExit):
            main([command, "--help"])
        known |= set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    assert set(re.findall(r"--[a-z][a-z-]+", page)) <= known


@pytest.mark.parametrize("command", MONEY)
def test_every_option_of_the_money_commands_is_one_that_a_page_names(command, capsys):
    """But for those that say where to read from and write to."""
    with pytest.raises(SystemExit):
        main([command, "--help"])
    known = options(capsys.readouterr().out) - {"--help", "--config", "--ledger", "--route"}
    pages = "".join((ROOT / "docs" / each).read_text(encoding="utf-8") for each in PAGES)
    plain = {"--format", "--output", "--tuned", "--prompted", "--large", "--instructions"}
    assert known - plain <= options(pages) | {"--until", "--horizon"}


def test_every_command_of_the_pages_can_be_asked_for(capsys):
    """Each is one that there is, with options that it has; so is the module that is run."""
    pages = [(ROOT / "docs" / each).read_text(encoding="utf-8") for each in PAGES]
    page = "".join(pages)
    blocks = "".join(re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL))
    lines = [line.partition("#")[0].split() for line in blocks.splitlines()]
    ours = [line[1:] for line in lines if line[0] == "waterfall"]
    others = [line for line in lines if line[0] != "waterfall"]
    assert ours
    assert others
    for command, *asked in ours:
        with pytest.raises(SystemExit):
            main([command, "--help"])
        assert options(" ".join(asked)) <= options(capsys.readouterr().out), (command, asked)
    for line in others:
        assert line[:2] == ["python", "-m"]
        if line[2] in PARSERS:
            known = options(PARSERS[line[2]]().format_help())
        else:
            script = ROOT / Path(*line[2].split(".")).with_suffix(".py")
            known = options(script.read_text(encoding="utf-8"))
        assert options(" ".join(line)) <= known, line


def options(text):
    return set(re.findall(r"--[a-z][a-z-]+", text))
