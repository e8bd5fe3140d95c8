"""What reports read is the same in either database."""

from __future__ import annotations

import json
import random
from contextlib import closing
from datetime import UTC, datetime

import pytest

from gateway.cli import main
from gateway.store.blocks import Period
from gateway.store.ledgers import ledger_at
from gateway.store.recorded import recorded_calls, tier_usage
from gateway.store.rollups import roll_up
from gateway.store.sample import sample
from gateway.store.totals import totals
from loadtests.made_up_ledger import DAY, START, make, write
from router_models.report.figures import Asked, figures


@pytest.mark.live
@pytest.mark.parametrize("period", [Period(), Period(START + DAY, START + 3 * DAY, "waterfall")])
def test_a_server_s_sums_are_the_file_s(postgres_home, tmp_path, period):
    path = make(tmp_path / "waterfall.db", 500, days=5)
    postgres_home.open().close()
    write(postgres_home.place, 500, days=5)
    there = postgres_home.place
    asked = Asked(period)
    told, own = (json.dumps(figures(totals(place, period), asked)) for place in (there, path))
    assert told == own
    assert json.loads(told)["requests"] > 100
    for place in (there, path):
        with closing(ledger_at(place).write()) as writer:
            while roll_up(writer, 1e11):
                pass
    by_hours = [figures(totals(place, period, 20), asked) for place in (there, path)]
    assert json.dumps(by_hours[0]) == json.dumps(by_hours[1])
    assert by_hours[0]["bill"] == json.loads(told)["bill"]
    since, until = int(START // 3600) * 3600, int(START + 6 * DAY)
    assert recorded_calls(there, since, until) == recorded_calls(path, since, until)
    usage, kept = (tier_usage(each, "small", START) for each in (there, path))
    assert usage == pytest.approx(kept)
    for labelled in (False, True):
        drawn, kept = (
            sample(place, period, 30, random.Random(1), labelled=labelled)
            for place in (there, path)
        )
        assert [each.row["entry_id"] for each in drawn] == [each.row["entry_id"] for each in kept]
        assert [each.good for each in drawn] == [each.good for each in kept]


@pytest.mark.live
def test_the_commands_read_a_server(postgres_home, tmp_path, capsys):
    postgres_home.open().close()
    write(postgres_home.place, 200, days=2)
    ledger = postgres_home.place.url
    assert main(["report", "--ledger", ledger, "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["requests"], told["what_if"]["sample"]) == (200, 180)
    bill = tmp_path / "bill.csv"
    day = datetime.fromtimestamp(START, UTC).date()
    bill.write_text(f"date,model,cost_usd\n{day},maxi-1,1\n")
    asked = ["reconcile", "--ledger", ledger, "--invoice", str(bill), "--format", "json"]
    assert main(asked) == 0
    assert json.loads(capsys.readouterr().out)["total"]["recorded"] > 0
