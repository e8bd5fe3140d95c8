"""What reports and bills say of requests that have been deleted: never that there were none."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime

import pytest

from gateway.cli import main
from gateway.store.ledgers import ledger_at
from gateway.store.retention import expire
from gateway.store.rollups import roll_up
from loadtests.made_up_ledger import DAY, START, make


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    """Three days of which the first two have been deleted."""
    path = make(tmp_path_factory.mktemp("three") / "waterfall.db", 300, days=3)
    with closing(ledger_at(path).write()) as writer:
        while roll_up(writer, 1e11):
            pass
        while expire(writer, START + 2 * DAY):
            pass
    return path


def day_of(at):
    return datetime.fromtimestamp(at, UTC).date().isoformat()


def test_a_report_says_what_it_has_of_them_and_what_not(ledger, capsys):
    asked = ["report", "--ledger", str(ledger), "--sample", "0"]
    assert main(asked) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"What began before {day_of(START + 2 * DAY)} 00:00 UTC has been deleted" in said
    assert "This is not all" not in said
    cut = datetime.fromtimestamp(START + 1800, UTC).isoformat()
    assert main([*asked, "--since", cut]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "This is not all: up to" in said
    assert main([*asked, "--since", cut, "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["missing"] > 0
    assert f"up to {told['missing']:,} requests of the period have been deleted" in said
    assert main([*asked, "--since", day_of(START + 2 * DAY)]) == 0
    assert "deleted" not in capsys.readouterr().out


def test_a_bill_of_days_that_are_deleted_is_refused(ledger, tmp_path, capsys):
    invoice = tmp_path / "bill.csv"
    head = "date,model,input_tokens,cached_tokens,output_tokens,requests,cost_usd"
    days = [day_of(START + n * DAY) for n in range(3)]
    invoice.write_text("\n".join([head, *(f"{day},mini-1,1,0,1,1,0.1" for day in days)]))
    asked = ["reconcile", "--ledger", str(ledger), "--invoice", str(invoice)]
    assert main(asked) == 2
    assert (
        f"and the bill has {days[0]} to {days[1]}: leave those days out" in capsys.readouterr().err
    )
    invoice.write_text("\n".join([head, f"{days[2]},mini-1,1,0,1,1,0.1"]))
    assert main(asked) == 0
