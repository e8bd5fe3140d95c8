"""`waterfall ledger`: what it prints, and the codes that it ends with."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from api.serving import config
from sample_entries import escalated, open_call

from gateway.cli import main
from gateway.store import read
from gateway.store.store import open_store

ROOT = Path(__file__).resolve().parents[2]
TODAY = datetime.now(tz=UTC).replace(hour=0, minute=0, second=0, microsecond=0)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a configuration whose ledger has three days, and today."""
    monkeypatch.chdir(tmp_path)
    document = config() | {"ledger": {"url": "sqlite:///ledger.db"}}
    path = tmp_path / "waterfall.yaml"
    path.write_text(yaml.safe_dump(document))
    path.chmod(0o600)
    store = open_store(tmp_path / "ledger.db")
    for days in range(4):
        made = escalated()
        began = (TODAY - timedelta(days=days)).timestamp()
        store.journal.append(replace(made, origin=replace(made.origin, started_at=began)), ())
    assert store.close()
    return tmp_path


def days(*back):
    return [f"{TODAY - timedelta(days=each):%Y-%m-%d}" for each in back]


def test_status_tells_a_person_and_a_program(folder, capsys):
    store = open_store(folder / "ledger.db")
    store.journal.open(open_call())
    assert main(["ledger", "status"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"waiting    0 rows \(0 B\), none old; 1 open calls", said)
    assert re.search(r"rows       request 4, attempt 8, call 8, check_result 4", said)
    assert re.search(r"alive, 0 rows, 1 open calls", said)
    assert main(["ledger", "status", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["exact"], told["held"]["rows"]["request"]) == (True, 4)
    assert told["waiting"][0]["open_calls"] == 1
    store.close()


def test_status_without_the_ledger_is_a_1(folder, capsys):
    (folder / "ledger.db").write_bytes(b"no database at all" * 100)
    assert main(["ledger", "status"]) == 1
    said = capsys.readouterr().out
    assert "0 rows at most" in said
    assert "not to be had" in said


def test_export_writes_the_days_that_are_over(folder, capsys):
    assert main(["ledger", "export", "--to", "out"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said == [f"{day}  written" for day in days(3, 2, 1)]
    assert main(["ledger", "export", "--to", "out", "--before", days(2)[0]]) == 0
    assert capsys.readouterr().out.splitlines() == [f"{days(3)[0]}  there already"]
    assert main(["ledger", "export", "--to", "out", "--before", "2999-01-01"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3, "today is not over"


def test_export_and_delete(folder, capsys):
    assert main(["ledger", "export", "--to", "out", "--before", days(1)[0], "--delete"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-2:] == [f"{day}  deleted" for day in days(3, 2)]
    left = [row["started_at"] for row in read.requests(folder / "ledger.db")]
    assert left == [(TODAY - timedelta(days=n)).timestamp() for n in (1, 0)]


def test_export_that_cannot_be_trusted_is_a_1(folder, capsys):
    assert main(["ledger", "export", "--to", "out"]) == 0
    (path,) = (folder / "out" / "call" / f"day={days(3)[0]}").iterdir()
    pq.write_table(pq.read_table(path).slice(1), path)
    assert main(["ledger", "export", "--to", "out", "--delete"]) == 1
    assert "holds" in capsys.readouterr().err
    assert len(read.requests(folder / "ledger.db")) == 4


def test_query_asks_the_files(folder, capsys):
    main(["ledger", "export", "--to", "out"])
    capsys.readouterr()
    assert main(["ledger", "query", "--from", "out", "SELECT count(*) AS n FROM request"]) == 0
    assert re.search(r"\b3\b", capsys.readouterr().out)
    assert main(["ledger", "query", "--from", "out", "SELEC"]) == 1
    assert "Parser Error" in capsys.readouterr().err
    assert main(["ledger", "query", "--from", "nowhere", "SELECT 1"]) == 1
    assert "No day" in capsys.readouterr().err


@pytest.mark.parametrize(
    "asked", [["export", "--to", "out"], ["query", "--from", "out", "SELECT 1"]]
)
def test_without_the_libraries_it_says_what_to_install(folder, capsys, monkeypatch, asked):
    monkeypatch.setattr("gateway.cli.ledger.find_spec", lambda _: None)
    assert main(["ledger", *asked]) == 2
    assert "waterfall-gateway[parquet]" in capsys.readouterr().err


def test_a_wrong_configuration_is_a_2(folder, capsys):
    (folder / "waterfall.yaml").write_text("ledger: 7\n")
    for asked in (["status"], ["export", "--to", "out"]):
        assert main(["ledger", *asked]) == 2
    assert "ledger" in capsys.readouterr().err


def test_the_page_names_only_what_there_is(capsys):
    page = (ROOT / "docs" / "ledger.md").read_text(encoding="utf-8")
    named = re.findall(r"waterfall ledger ([a-z]+)([^\n`]*)", page)
    assert {command for command, _ in named} == {"status", "find", "export", "query"}
    for command, asked in named:
        with pytest.raises(SystemExit):
            main(["ledger", command, "--help"])
        known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
        assert set(re.findall(r"--[a-z-]+", asked)) <= known, (command, asked)


def test_find_writes_what_goes_by_an_id(folder, capsys):
    (row, *_) = read.requests(folder / "ledger.db")
    for known_as in (row["entry_id"], row["request_id"]):
        assert main(["ledger", "find", known_as]) == 0
        (found,) = json.loads(capsys.readouterr().out)
        assert found["id"] == row["id"]
        assert [len(found[part]) for part in ("attempts", "calls")] == [2, 2]
    assert main(["ledger", "find", "nobody"]) == 1
    assert "Nothing in" in capsys.readouterr().err
