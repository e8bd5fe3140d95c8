"""What nobody has priced is never told as $0 in silence, in a report or against a bill."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from gateway.cli import main
from loadtests.made_up_ledger import make

MINI = "model = 'mini-1' AND status = 'ok'"


@pytest.fixture
def ledger(tmp_path):
    return make(tmp_path / "waterfall.db", 300, days=3)


def change(ledger, *statements):
    with closing(sqlite3.connect(ledger)) as connection, connection:
        return [connection.execute(statement).fetchone() for statement in statements]


@pytest.fixture
def report(ledger, capsys):
    def run(*arguments, code=0):
        asked = ["report", "--ledger", str(ledger), "--sample", "0", *arguments]
        assert main(asked) == code
        return capsys.readouterr()

    return run


def counted(ledger, what, where):
    return change(ledger, f'SELECT {what} FROM "call" WHERE {where}')[0][0]  # noqa: S608 - ours


def test_calls_without_a_price_are_in_the_verdict_and_hold_no_measure(ledger, report):
    assert "no price" not in report().out
    report("--max-unpriced", "0%")
    change(
        ledger,
        f"UPDATE call SET price_hash = '', price_version = '', cost = 0 WHERE {MINI}",  # noqa: S608 - ours
        "UPDATE attempt SET price_hash = '', price_version = '' WHERE tier = 'small'",
        "UPDATE request SET baseline_basis = 'measured'",
    )
    calls = counted(ledger, "count(*)", MINI)
    tokens = counted(ledger, "sum(prompt_tokens + completion_tokens)", MINI)
    told = json.loads(report("--format", "json").out)["certainty"]
    assert told["unpriced"] == [{"model": "mini-1", "calls": calls, "tokens": tokens, "cost": 0}]
    assert told["off_rate"] == []
    basis = told["baseline"]
    assert (
        sum(n for name, n in basis.items() if name.endswith(", unpriced"))
        == (change(ledger, "SELECT count(*) FROM attempt WHERE tier = 'small' AND served")[0][0])
    )
    said = report("--max-unpriced", "0%", code=1)
    sentence = f"{calls:,} calls of mini-1 have no price and are in it at $0"
    assert sentence in " ".join(said.out.split())
    assert sentence in said.err
    assert "calls without a price" in said.err


def test_a_tier_of_service_without_a_price_is_said(ledger, report):
    change(ledger, f"UPDATE call SET service_tier = 'flex', rate = 'flex above 9' WHERE {MINI}")  # noqa: S608 - ours
    assert json.loads(report("--format", "json").out)["certainty"]["off_rate"] == []
    change(ledger, f"UPDATE call SET service_tier = 'flexible' WHERE {MINI}")  # noqa: S608 - ours
    (row,) = json.loads(report("--format", "json").out)["certainty"]["off_rate"]
    assert row["cost"] == counted(ledger, "sum(cost)", MINI)
    assert row["calls"] == counted(ledger, "count(*)", MINI)
    assert "a tier of service without a price" in " ".join(report().out.split())
    change(ledger, "UPDATE call SET service_tier = 'default'")
    assert json.loads(report("--format", "json").out)["certainty"]["off_rate"] == []


def test_what_an_older_version_kept_without_prices_is_not_called_unpriced(ledger, report):
    change(ledger, "UPDATE call SET price_hash = '', input_cost = NULL")
    assert json.loads(report("--format", "json").out)["certainty"]["unpriced"] == []


def test_a_bill_says_that_what_was_recorded_had_no_price(ledger, tmp_path, capsys):
    change(ledger, f"UPDATE call SET price_hash = '', cost = 0 WHERE {MINI}")  # noqa: S608 - ours
    day = counted(ledger, "date(min(started_at), 'unixepoch')", MINI)
    bill = tmp_path / "bill.csv"
    bill.write_text(f"date,model,cost_usd\n{day},mini-1,3.5\n")
    assert main(["reconcile", "--ledger", str(ledger), "--invoice", str(bill)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "no price is known: recorded at $0" in said
    assert "recorded calls have no price and stand at $0" in said
