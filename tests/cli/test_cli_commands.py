"""The commands: what they print, and the codes that they end with."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from api.serving import LIMIT, config

import gateway
from gateway.cli import main

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a configuration into the folder one is in."""
    monkeypatch.chdir(tmp_path)

    def writing(document=None, **changes):
        path = tmp_path / "waterfall.yaml"
        path.write_text(yaml.safe_dump(document or config(**changes)))
        path.chmod(0o600)
        return path

    return writing


def run(*arguments, folder, **environ):
    """Run a command as a user would."""
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=LIMIT * 2,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
    )


def test_version_and_help(capsys):
    for argument, said in (("--version", gateway.__version__), ("--help", "serve")):
        with pytest.raises(SystemExit) as ended:
            main([argument])
        assert ended.value.code == 0
        assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["route"],
        *(["serve", f"--port={port}"] for port in ("x", "99999", "-1")),
        *(["serve", f"--workers={count}"] for count in ("two", "0", "65")),
    ],
)
def test_a_wrong_use_is_a_2_with_the_usage(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: waterfall" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["serve"], ["check"], ["route", "hello"]])
def test_without_a_file_one_is_shown(command, write, capsys):
    assert main(command) == 2
    told = capsys.readouterr().err
    assert "waterfall.yaml" in told
    assert "waterfall demo" in told
    assert "Traceback" not in told


def test_the_file_that_is_shown_is_a_sound_one(write, capsys, monkeypatch, tmp_path):
    main(["serve"])
    told = capsys.readouterr().err
    shown = "\n".join(line for line in told.splitlines() if line.startswith("  "))
    (tmp_path / "waterfall.yaml").write_text(shown)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    assert main(["check"]) == 0


@pytest.mark.parametrize("command", [["serve"], ["check"], ["route", "hello"]])
def test_a_wrong_file_is_a_2_that_names_place_and_nearest_key(command, write, capsys):
    write(routes__waterfall__treshold=0.5)
    assert main(command) == 2
    told = capsys.readouterr().err
    assert "waterfall.yaml" in told
    assert "routes.waterfall.treshold" in told
    assert "threshold" in told.replace("treshold", "")
    assert "Traceback" not in told


def test_check_shows_what_a_file_comes_to(write, capsys):
    write(aliases={"gpt-4o": "waterfall"}, tiers__small__hold={"tokens": 48})
    assert main(["check"]) == 0
    told = capsys.readouterr().out
    for words in ("sound", "route waterfall", "small", "$1.0 in, $2.0 out", "hold tokens 48"):
        assert words in told
    assert main(["check", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["aliases"] == {"gpt-4o": "waterfall", "auto": "waterfall"}
    tiers = told["routes"]["waterfall"]["tiers"]
    assert [tier["tier"] for tier in tiers] == ["small", "large"]
    assert tiers[0]["input_usd_per_million"] == "1.0"


def test_scorers_that_wait_are_shown_and_never_asked(write, capsys):
    band = {"llm": {"tier": "small", "band": [0, 1], "base": "rules"}}
    write(routes__waterfall__scorer=band, routes__waterfall__candidate="default")
    assert main(["check"]) == 0
    told = capsys.readouterr().out
    assert "scorer: llm s-model from 0 to 1 of rules; candidate default" in told
    assert main(["route", "Say hello."]) == 0
    assert "but llm-rules@" in capsys.readouterr().out
    assert main(["route", "Say hello.", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["asks"].startswith("llm-rules@")
    assert told["scorer"] == "rules@1"
    write(routes__waterfall__scorer={"llm": band["llm"] | {"band": [0.9, 1]}})
    assert main(["route", "Say hello.", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["asks"], told["scorer"].partition("@")[0]) == (None, "llm-rules")
    write(routes__waterfall__scorer="python:nowhere_at_all.score")
    for command in (["check"], ["route", "Say hello."]):
        assert main(command) == 2
        assert "nowhere_at_all" in capsys.readouterr().err


def test_check_warns_of_a_band_that_decides_nothing(write, capsys):
    write(routes__waterfall__scorer={"llm": {"tier": "small", "band": [0.1, 0.2]}})
    assert main(["check"]) == 0
    assert "scorer.llm.band: no threshold of the route lies in it" in capsys.readouterr().out


def test_check_looks_for_a_check_s_function(write, capsys):
    write(
        tiers__small__bar={"checks": ["mine"]},
        checks={"mine": {"kind": "python", "call": "no_such_module:ok"}},
    )
    assert main(["check"]) == 2
    assert "checks.mine.call: importing no_such_module raised" in capsys.readouterr().err


def test_check_shows_no_secret_and_tells_of_open_doors(write, capsys, monkeypatch):
    monkeypatch.setenv("KEY", "sk-secret")
    real = {"base_url": "http://models.example.com/v1", "api_key": "${KEY}"}
    write(upstreams__real=real)
    assert main(["check"]) == 0
    told = capsys.readouterr()
    assert "warning" in told.out
    assert "sk-secret" not in told.out + told.err
    write(server__host="0.0.0.0")
    assert main(["check"]) == 2
    assert "No keys are configured" in capsys.readouterr().err


def test_route_says_where_a_prompt_would_start(write, capsys):
    write(routes__waterfall__threshold=0.3)
    assert main(["route", "hello"]) == 0
    assert "starts at small (score)" in capsys.readouterr().out
    hard = "Prove step by step why the integral diverges: ```x = 1``` " * 60
    assert main(["route", hard, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["start"] == {"tier": "large", "reason": "score"}
    assert told["difficulty"] >= 0.3
    assert main(["route", "hello", "--route", "nope"]) == 2
    assert "waterfall" in capsys.readouterr().err


def test_route_s_ceiling_that_fits_nothing_is_a_1(write, capsys):
    write(routes__waterfall__max_cost_usd=0.00001)
    assert main(["route", "hello"]) == 1
    assert "No tier is expected" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"server__host": "0.0.0.0"}, "No keys are configured"),
        ({"server__host": "203.0.113.7", "keys": None}, None),
        ({"routes__waterfall__scorer": "./nowhere"}, "nowhere"),
        ({"ledger__url": "sqlite:///waterfall.yaml/waterfall.db"}, "waterfall.yaml/waterfall.db"),
        ({"ledger__url": "sqlite:///broken.db"}, "broken.db"),
    ],
)
def test_what_cannot_be_served_is_a_2_with_the_reason(write, tmp_path, changes, said):
    changes = dict(changes)
    if said is None:  # an address that is not this machine's
        key = {"name": "k", "hash": "sha256:" + "0" * 64}
        changes, said = {**changes, "keys": [key]}, "Cannot listen on 203.0.113.7"
    (tmp_path / "broken.db").write_bytes(b"this is no database, whatever its name may be" * 100)
    write(**changes)
    ended = run("serve", folder=tmp_path)
    assert ended.returncode == 2, ended.stderr
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("host", ["a..b", "nowhere.invalid", "a b", "[::1"])
def test_a_host_that_there_is_not_is_a_2_that_names_it(write, tmp_path, host):
    write(keys=[{"name": "k", "hash": "sha256:" + "0" * 64}])
    ended = run("serve", "--host", host, folder=tmp_path)
    assert ended.returncode == 2, ended.stderr
    assert "Cannot listen on" in ended.stderr
    assert host in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("which", ["port", "admin"])
def test_a_port_that_is_taken_is_a_2_that_names_it(write, tmp_path, which):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        value = port if which == "port" else f"127.0.0.1:{port}"
        write(**{f"server__{which}": value})
        ended = run("serve", folder=tmp_path)
    assert ended.returncode == 2
    assert f"127.0.0.1:{port}" in ended.stderr
    assert "in use" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "Warning" not in ended.stderr


def test_importing_the_package_loads_no_workshop():
    code = (
        "import sys, gateway, gateway.cli, gateway.app, gateway.launcher; "
        "print(sorted({'litellm', 'sklearn', 'joblib', 'pandas', 'torch', 'xllamacpp', 'rich', "
        "'openai'} & set(sys.modules)))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT
    )
    assert ended.stdout.strip() == "[]"


async def test_a_reader_that_has_gone_is_no_traceback(write, tmp_path):
    write()
    child = await asyncio.create_subprocess_shell(
        f"{sys.executable} -m gateway check | true",
        stderr=asyncio.subprocess.PIPE,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    _, told = await asyncio.wait_for(child.communicate(), LIMIT)
    assert b"Traceback" not in told


@pytest.mark.parametrize(
    ("threshold", "told", "target"),
    [
        (0.7, "starts higher from difficulty 0.7", None),
        ({"target_share": "20%"}, "starts 0.2 of its traffic higher", {"share": 0.2}),
        ({"target_quality": 0.98}, "at least 49 labels", {"labels_at_least": 49}),
        (
            {"target_quality": 0.98, "confidence": 0.9, "until": 0.3},
            "from difficulty 0.3 until then",
            {"labels_at_least": 124, "confidence": 0.9, "until": 0.3},
        ),
    ],
)
def test_check_says_what_a_threshold_is_to_bring_about(write, capsys, threshold, told, target):
    write(routes__waterfall__threshold=threshold)
    assert main(["check"]) == 0
    assert told in capsys.readouterr().out
    assert main(["check", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)["routes"]["waterfall"]
    assert shown["reference"] == "own"
    assert (shown["target"] is None) == (target is None)
    assert (target or {}).items() <= (shown["target"] or {}).items()
