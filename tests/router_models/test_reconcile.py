"""`waterfall reconcile`: bills made of the ledger itself, and then made wrong in one way."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections import defaultdict
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone

import pytest

from gateway.cli import main
from loadtests.made_up_ledger import make

GENERIC = (
    "date",
    "model",
    "input_tokens",
    "cached_tokens",
    "output_tokens",
    "requests",
    "cost_usd",
)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    return make(tmp_path_factory.mktemp("reconcile") / "waterfall.db", 2_000, days=10)


def days_of(path, hours=0):
    """The ledger's calls as a provider with this midnight would bill them, by model and day."""
    columns = "started_at, model, prompt_tokens, cached_tokens, completion_tokens, cost"
    with closing(sqlite3.connect(path)) as connection:
        calls = connection.execute(f'SELECT {columns} FROM "call"').fetchall()  # noqa: S608 - ours
    zone = timezone(timedelta(hours=hours))
    found = defaultdict(lambda: [0, 0, 0, 0, 0])
    for at, model, *sums in calls:
        day = datetime.fromtimestamp(at, zone).date().isoformat()
        for place, value in enumerate((*sums[:3], 1, sums[3])):
            found[model, day][place] += value
    return dict(found)


def bill(path, days, change=lambda key, sums: sums):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(GENERIC)
        for (model, day), sums in sorted(days.items()):
            *counts, cost = change((model, day), list(sums))
            writer.writerow([day, model, *counts, f"{cost / 1e9:.9f}"])
    return path


@pytest.fixture
def reconcile(ledger, capsys):
    """Run the command; return its JSON."""

    def run(*invoices, options=(), code=0, path=ledger):
        asked = ["reconcile", "--ledger", str(path), "--invoice", *map(str, invoices), *options]
        assert main([*asked, "--format", "json"]) == code, capsys.readouterr()
        return json.loads(capsys.readouterr().out)

    return run


def test_a_bill_that_is_right_has_no_gap(ledger, reconcile, tmp_path):
    told = reconcile(bill(tmp_path / "i.csv", days_of(ledger)), options=["--min-capture", "100%"])
    total = told["total"]
    assert total["billed"] == total["recorded"] > 0
    assert total["billed_tokens"] == total["recorded_tokens"] > 0
    assert total["billed_requests"] == total["recorded_calls"] > 2_000
    assert (told["captured"], told["better_zone"]) == (1.0, "")
    assert abs(total["price_gap"]) <= len(told["rows"])
    assert total["token_gap"] + total["price_gap"] + total["not_split"] == 0
    assert [row["model"] for row in told["models"]] == ["judge-1", "maxi-1", "midi-1", "mini-1"]


def test_other_prices_are_a_gap_in_prices(ledger, reconcile, tmp_path):
    def dearer(key, sums):
        return [*sums[:4], round(sums[4] * 1.1)] if key[0] == "maxi-1" else sums

    path = bill(tmp_path / "i.csv", days_of(ledger), dearer)
    told = reconcile(path, options=["--min-capture", "97%"], code=1)
    model = next(row for row in told["models"] if row["model"] == "maxi-1")
    assert model["price_gap"] == pytest.approx(0.1 * model["recorded"], rel=1e-6)
    assert abs(model["token_gap"]) <= 12
    assert model["captured"] == pytest.approx(1 / 1.1)
    assert model["captured_tokens"] == 1
    assert not told["held"]


def test_tokens_that_were_not_recorded_are_a_gap_in_tokens(ledger, reconcile, tmp_path):
    def more(key, sums):
        return [round(value * 1.25) for value in sums]

    total = reconcile(bill(tmp_path / "i.csv", days_of(ledger), more))["total"]
    assert total["token_gap"] == pytest.approx(0.25 * total["recorded"], rel=1e-3)
    assert total["price_gap"] == pytest.approx(0, abs=1e-3 * total["recorded"])
    assert total["token_gap"] + total["price_gap"] == total["billed"] - total["recorded"]


def test_too_much_recorded_is_told_as_well(ledger, reconcile, tmp_path):
    def less(key, sums):
        return [round(value * 0.5) for value in sums]

    path = bill(tmp_path / "i.csv", days_of(ledger), less)
    assert reconcile(path)["captured"] == pytest.approx(2, abs=0.01)
    reconcile(path, options=["--max-capture", "103%"], code=1)


def test_another_midnight_is_found_and_then_fits(ledger, reconcile, tmp_path):
    path = bill(tmp_path / "i.csv", days_of(ledger, hours=-7))
    told = reconcile(path)
    assert told["better_zone"] == "-07:00"
    assert sum(row["billed"] != row["recorded"] for row in told["rows"]) > 20
    told = reconcile(path, options=["--timezone=-07:00"])
    assert told["better_zone"] == ""
    assert all(row["billed"] == row["recorded"] for row in told["rows"])
    berlin = bill(tmp_path / "b.csv", days_of(ledger, hours=2))
    told = reconcile(berlin, options=["--timezone", "Europe/Berlin"])  # in summer time
    assert all(row["billed"] == row["recorded"] for row in told["rows"])


def test_what_is_not_ours_and_what_is_not_billed_is_named(ledger, reconcile, tmp_path):
    days = {key: sums for key, sums in days_of(ledger).items() if key[0] != "judge-1"}
    day = min(key[1] for key in days)
    days["strange-9", day] = [1_000, 0, 10, 1, 7_000_000_000]
    path = bill(tmp_path / "i.csv", days)
    told = reconcile(path)
    assert told["not_recorded"] == ["strange-9"]
    assert list(told["not_billed"]) == ["judge-1"]
    assert told["total"]["not_split"] == 7_000_000_000
    told = reconcile(path, options=["--same", "strange-9=maxi-1"])
    assert told["not_recorded"] == []
    assert "strange-9" not in {row["model"] for row in told["models"]}


def test_calls_that_a_bill_may_count_otherwise_are_counted(ledger, reconcile, tmp_path):
    told = reconcile(bill(tmp_path / "i.csv", days_of(ledger)))
    with closing(sqlite3.connect(ledger)) as connection:
        query = 'SELECT count(*), sum(cost) FROM "call" WHERE status = ?'
        cancelled = connection.execute(query, ("cancelled",)).fetchone()
    unsure = told["unsure"]
    assert (unsure["cancelled"]["calls"], unsure["cancelled"]["cost"]) == cancelled
    assert unsure["estimated"]["calls"] == cancelled[0]  # whose client left told no usage
    assert unsure["failed"]["cost"] == 0
    assert unsure["near midnight"]["calls"] > 50


def test_a_bill_for_some_days_is_held_against_those_days(ledger, reconcile, tmp_path):
    days = days_of(ledger)
    kept = sorted({day for _, day in days})[3:6]
    told = reconcile(bill(tmp_path / "i.csv", {k: v for k, v in days.items() if k[1] in kept}))
    assert told["days"] == [kept[0], kept[-1]]
    assert told["captured"] == 1


def test_in_words(ledger, tmp_path, capsys):
    def dearer(key, sums):
        return [*sums[:4], sums[4] * 11 // 10] if key[0] == "maxi-1" else sums

    path = bill(tmp_path / "i.csv", days_of(ledger, hours=-7), dearer)
    assert main(["reconcile", "--ledger", str(ledger), "--invoice", str(path)]) == 0
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    flat = " ".join(said.split())
    assert "short of the bill." in flat
    assert "maxi-1 is billed +10.0% against our price: is the book stale?" in flat
    assert "try --timezone -07:00" in flat
    assert "cut off by the client" in flat


def test_a_wrong_use_says_so(ledger, tmp_path, capsys):
    odd = tmp_path / "odd.csv"
    odd.write_text("a,b\n1,2\n")
    for asked, said in (
        (["--invoice", str(odd)], "no known export has these columns"),
        (["--invoice", str(tmp_path / "none.csv")], "none.csv"),
    ):
        assert main(["reconcile", "--ledger", str(ledger), *asked]) == 2
        assert said in capsys.readouterr().err
    for asked in (["--same", "x"], ["--timezone", "Mars/Olympus"], ["--timezone", "+9"]):
        with pytest.raises(SystemExit):
            main(["reconcile", "--ledger", str(ledger), "--invoice", str(odd), *asked])


def test_days_are_utc_unless_it_is_said(ledger, reconcile, tmp_path):
    days = days_of(ledger)
    (_, first), *_ = sorted(days)
    assert datetime.fromisoformat(first).tzinfo is None
    told = reconcile(bill(tmp_path / "i.csv", days))
    assert told["timezone"] == str(UTC)


def test_costs_are_held_to_costs_alone_and_no_floor_holds_without_them(
    ledger, tmp_path, capsys, reconcile
):
    days = days_of(ledger)
    path = bill(tmp_path / "i.csv", days)
    *lines, _ = path.read_text().replace("\r", "").split("\n")
    lines = [line.rpartition(",")[0] + "," if "mini-1" in line else line for line in lines]
    path.write_text("\n".join(lines) + "\n")
    told = reconcile(path)
    assert told["without_cost"] == ["mini-1"]
    assert (told["captured"], told["total"]["not_split"]) == (1, 0)
    recorded = told["total"]["recorded"]
    mini = next(row for row in told["models"] if row["model"] == "mini-1")
    assert recorded - told["total"]["recorded_of_billed"] == mini["recorded"] > 0
    reconcile(path, options=["--min-capture", "97%"], code=1)
    asked = ["reconcile", "--ledger", str(ledger), "--invoice", str(path), "--max-capture", "103%"]
    assert main(asked) == 1
    said = capsys.readouterr()
    assert "The export has no cost of mini-1" in " ".join(said.out.split())
    assert "the export has no cost of mini-1: no floor is held" in said.err
