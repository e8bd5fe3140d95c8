"""`waterfall report`: every figure is the ledger's own, to the nano-dollar, however it is shown."""

from __future__ import annotations

import json
import sqlite3
import xml.etree.ElementTree as ET
from contextlib import closing
from html.parser import HTMLParser

import pytest

from gateway.cli import main
from gateway.store.sqlite import connect
from loadtests.made_up_ledger import make


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    return make(tmp_path_factory.mktemp("report") / "waterfall.db", 3_000)


@pytest.fixture
def report(ledger, capsys):
    """Run the command; return what it said, JSON as values."""

    def run(*arguments, code=0, path=ledger, json_wanted=True):
        asked = ["report", "--ledger", str(path), "--sample", "0", *map(str, arguments)]
        assert main([*asked, *(["--format", "json"] if json_wanted else [])]) == code
        said = capsys.readouterr().out
        return json.loads(said) if json_wanted else said

    return run


def one(path, columns, place="request", *values):
    query = f"SELECT {columns} FROM {place}"  # noqa: S608 - ours
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query, values).fetchone()


def steps_of(bill):
    spent = ("discarded", "checks", "scoring", "cut_off", "shadow", "gateway")
    return (
        bill["baseline"]
        - bill["routing"]
        - bill["cache"]
        - bill["kept"]
        + sum(bill[name] for name in spent)
    )


def test_the_bill_is_the_ledger_s_own_to_the_nano_dollar(ledger, report):
    told = report()
    bill = told["bill"]
    cost, shadow, baseline, count = one(
        ledger, "sum(cost), sum(shadow_cost), sum(baseline_cost), count(*)"
    )
    assert (bill["baseline"], bill["requests"], bill["shadow"]) == (baseline, count, shadow)
    assert bill["actual"] == cost + shadow == steps_of(bill)
    assert bill["saved"] == baseline - cost - shadow
    checks = one(ledger, "sum(cost)", "\"call\" WHERE purpose = 'check'")[0]
    assert bill["checks"] == checks > 0
    place = '"call" JOIN attempt ON (attempt.request, attempt.seq) = ("call".request, attempt)'
    drafts = "purpose = 'serve' AND NOT served"
    assert bill["discarded"] == one(ledger, 'sum("call".cost)', f"{place} WHERE {drafts}")[0] > 0
    assert (bill["scoring"], bill["cut_off"], bill["gateway"]) == (0, 0, 0)
    assert told["saved_share"]["low"] < told["saved_share"]["value"] < told["saved_share"]["high"]
    assert told["saved_share"]["value"] == pytest.approx(1 - bill["actual"] / baseline)


def test_every_table_adds_up_to_the_whole(ledger, report):
    told = report()
    whole = one(ledger, "count(*), sum(cost), sum(baseline_cost)")
    for name in ("route", "tier"):
        rows = told["cost"][name]
        sums = tuple(sum(row[key] for row in rows) for key in ("requests", "cost", "baseline"))
        assert sums == whole
    recipes = told["cost"]["recipe"]
    assert [(row["tier"], row["recipe"]) for row in recipes] == [("small", "terse@2")]
    assert recipes[0]["requests"] == one(ledger, "count(*)", "request WHERE tier = 'small'")[0]
    over_time = told["over_time"]
    assert sum(each["requests"] for each in over_time) == 3_000
    assert sum(each["cost"] for each in over_time) == told["bill"]["actual"]


def test_what_a_start_saved_is_its_bill_times_the_distance_from_the_break_even(ledger, report):
    starts = {row["route"]: row for row in report()["starts"]}
    assert {row["tier"] for row in starts.values()} == {"small", "middle"}
    for route, row in starts.items():
        place = "request WHERE route = ? AND start_tier = ?"
        own = one(ledger, "count(*), sum(escalated), sum(baseline_cost) - sum(cost)", place,
                  route, row["tier"])  # fmt: skip
        assert (row["requests"], row["escalated"], row["saved"]) == own
        assert row["first"] + row["later"] == row["baseline"] - row["saved"]
        by_rates = row["baseline"] * (row["break_even"] - row["weighed"])
        assert by_rates == pytest.approx(row["saved"], abs=2)
    assert starts["waterfall"]["saved_share"]["low"] > 0
    assert starts["contracts"]["saved_share"]["high"] < 0
    assert starts["contracts"]["weighed"] > starts["contracts"]["break_even"]


def test_a_request_whose_process_died_is_a_step_of_its_own(ledger, report, tmp_path):
    path = make(tmp_path / "waterfall.db", 200)
    with closing(sqlite3.connect(path)) as connection, connection:
        found = connection.execute("SELECT id FROM request WHERE NOT escalated LIMIT 1").fetchone()
        connection.execute("DELETE FROM attempt WHERE request = ?", found)
        connection.execute("DELETE FROM check_result WHERE request = ?", found)
        connection.execute(
            "UPDATE request SET outcome = 'unsettled', tier = 'none', baseline_cost = 0,"
            " baseline_tier = '',"
            " discarded_cost = 0, cost = 777001, shadow_cost = 0 WHERE id = ?", found,
        )  # fmt: skip
        connection.execute(
            "UPDATE call SET status = 'unsettled', estimated = 1, attempt = NULL, cost = 777001"
            " WHERE request = ?", found,
        )  # fmt: skip
    told = report(path=path)
    assert told["bill"]["cut_off"] == 777_001
    assert (told["bill"]["scoring"], told["baseline_tiers"]) == (0, ["large"])
    assert told["sensitivity"][0]["what"] == "large 25% dearer"
    assert told["certainty"]["unsettled_cost"] >= 777_001
    assert (
        steps_of(told["bill"])
        == told["bill"]["actual"]
        == one(path, "sum(cost) + sum(shadow_cost)")[0]
    )


def test_a_scorer_s_calls_are_a_step_of_their_own(report, tmp_path):
    path = make(tmp_path / "waterfall.db", 200)
    before = report(path=path)["bill"]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE request SET cost = cost + 1003 WHERE id <= 50")
    after = report(path=path)["bill"]
    assert after["scoring"] == 50 * 1003
    assert after["saved"] == before["saved"] - 50 * 1003


def test_its_period_and_its_route_are_those_asked_for(ledger, report):
    since = "2025-10-12"
    told = report("--since", since, "--until", "2025-10-22T12:00", "--route", "waterfall")
    asked = (1_760_227_200, 1_761_134_400, "waterfall")
    place = "request WHERE started_at >= ? AND started_at < ? AND route = ?"
    count, cost = one(ledger, "count(*), sum(cost) + sum(shadow_cost)", place, *asked)
    assert (told["requests"], told["bill"]["actual"]) == (count, cost)
    assert told["period"]["days"] == 10.5
    days = report("--until", "2025-10-22T12:00+00:00", "--days", "10.5", "--route", "waterfall")
    assert days["bill"] == told["bill"]
    assert report("--days", "7")["requests"] == 0


def test_what_the_gateway_costs_is_taken_off(ledger, report):
    told, plain = report("--own-cost", "3"), report()
    own = round(3e9 * told["period"]["days"] / 30)
    assert told["bill"]["gateway"] == told["own_cost"] == own
    assert told["bill"]["saved"] == plain["bill"]["saved"] - own
    assert told["saved_share"]["value"] == pytest.approx(
        1 - told["bill"]["actual"] / told["bill"]["baseline"]
    )
    each = plain["bill"]["saved"] / 3_000
    assert told["least_volume"] == pytest.approx(own / each / told["period"]["days"])
    assert any("10 times the volume" in row["what"] for row in told["sensitivity"])


def test_what_would_change_the_answer(report):
    told = report()
    bill = told["bill"]
    shares = {row["what"]: row["share"] for row in told["sensitivity"]}
    now = bill["saved"] / bill["baseline"]
    assert shares["large 25% cheaper"] < now < shares["large 25% dearer"]
    assert shares["the other tiers 25% dearer"] < now < shares["the other tiers 25% cheaper"]
    assert shares["without shadows"] == pytest.approx(now + bill["shadow"] / bill["baseline"])


SERVED = '"call" JOIN attempt ON (attempt.request, attempt.seq) = ("call".request, attempt)'
CACHED = {"small": 75, "middle": 600, "large": 1_250}
"""What a cached token saves, in nano-dollars, by the made-up prices."""


def cached_at(ledger, tier):
    place = f"{SERVED} WHERE served AND attempt.tier = ?"
    return one(ledger, "coalesce(sum(cached_tokens), 0)", place, tier)[0] * CACHED[tier]


def test_caches_are_told_apart_from_routing(ledger, report):
    bill = report()["bill"]
    baseline = one(ledger, "sum(baseline_cached_tokens)")[0] * CACHED["large"]
    expected = sum(cached_at(ledger, tier) for tier in CACHED) - baseline
    assert bill["cache"] == pytest.approx(expected, abs=5_000)  # kinds are rounded, call by call
    assert expected < 0
    served = one(ledger, 'sum("call".cost)', f"{SERVED} WHERE served AND purpose = 'serve'")[0]
    assert bill["routing"] + bill["cache"] == bill["baseline"] - served


def test_what_an_older_version_kept_goes_by_the_configured_prices(report, tmp_path):
    path = make(tmp_path / "waterfall.db", 300)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE call SET input_cost = NULL, cached_input_cost = NULL")
    config = tmp_path / "waterfall.yaml"
    price = "{input: 2.5, cached_input: 1.25, output: 10}"
    config.write_text(
        "upstreams: {sim: {kind: simulated}}\n"
        f"tiers: {{large: {{upstream: sim, model: maxi-1, price: {price}}}}}\n"
        "routes: {waterfall: {tiers: [large]}}\n"
    )
    plain = report(path=path)["bill"]
    assert plain["cache"] == 0
    told = report("--config", config, path=path)["bill"]
    baseline = one(path, "sum(baseline_cached_tokens)")[0] * CACHED["large"]
    assert told["cache"] == cached_at(path, "large") - baseline != 0
    assert told["actual"] == plain["actual"] == steps_of(told)


def test_floors_are_for_a_pipeline(report, capsys):
    assert report("--min-saving", "40%", "--max-escalation", "0.5", "--max-unsettled", "0")
    told = report("--min-saving", "90%", "--max-discarded", "1%", "--max-unserved", "50%", code=1)
    assert [each["held"] for each in told["floors"]] == [False, False, True]
    report("--max-quality-loss", "1%", code=1)  # middle has too few labels: unknown holds nothing
    report("--min-saving", "90%", code=1, json_wanted=False)
    report("--max-estimated", "0.1%", code=1)


def test_a_broken_floor_is_named_on_standard_error(ledger, capsys):
    assert main(["report", "--ledger", str(ledger), "--sample", "0", "--min-saving", "99%"]) == 1
    assert "saved of the baseline's bill: 54.60%, not at least 99.00%" in capsys.readouterr().err


def test_in_a_terminal_it_is_eighty_wide(report):
    said = report("--sample", "40", json_wanted=False)
    assert max(map(len, said.splitlines())) <= 80
    told = report()
    assert f"${told['bill']['actual'] / 1e9:.4f}" in said
    for title in ("The bill, step by step", "Escalation", "Where money is lost", "What if"):
        assert f"── {title}" in said
    assert "Starting contracts at middle lost" in said


def test_markdown_has_every_table_and_html_fetches_nothing(ledger, report, tmp_path):
    markdown = report("--format", "markdown", json_wanted=False)
    assert markdown.startswith("# Waterfall report\n")
    assert "| step | USD | of baseline |\n|---|---:|---:|" in markdown
    page = tmp_path / "report.html"
    report("--output", page, "--sample", "40", json_wanted=False)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert "<script" not in text
    assert "http" not in text
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    drawings = text.split("<svg")[1:]
    assert len(drawings) == 3
    for each in drawings:
        ET.fromstring("<svg" + each.partition("</svg>")[0] + "</svg>")  # noqa: S314 - ours


class Tags(HTMLParser):
    """Notes what is opened and not closed."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        if tag not in {"meta", "line", "rect", "polyline", "polygon"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_an_empty_ledger_and_a_wrong_use_say_so(tmp_path, capsys, report):
    empty = tmp_path / "empty.db"
    connect(empty).close()
    assert "There is nothing to report" in report(path=empty, json_wanted=False)
    assert report(path=empty)["bill"]["actual"] == 0
    assert report("--min-saving", "0", path=empty, code=1)["floors"][0]["found"] == "unknown"
    for asked, said in (
        (["--ledger", str(tmp_path / "none.db")], "there is no ledger"),
        (["--config", str(tmp_path / "none.yaml")], "name another --config"),
        (
            ["--ledger", str(empty), "--since", "2025-01-02", "--until", "2025-01-01"],
            "comes before",
        ),
        (["--ledger", str(empty), "--since", "2025-01-02", "--days", "1"], "without --since"),
    ):
        assert main(["report", *asked]) == 2
        assert said in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--days", "--own-cost"])
@pytest.mark.parametrize("value", ["nan", "-1", "inf", "1e300", "x"])
def test_numbers_that_cannot_be_are_refused(ledger, capsys, option, value):
    with pytest.raises(SystemExit, match="2"):
        main(["report", "--ledger", str(ledger), f"{option}={value}"])
    assert f"argument {option}" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["report", "--ledger", str(ledger), "--days=0"])


def test_the_same_seed_says_the_same(report):
    assert report("--seed", "3") == report("--seed", "3")
    assert report("--seed", "3")["saved_share"] != report("--seed", "4")["saved_share"]
