"""The dashboard's figures are those of the commands, and of the ledger's own tables."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from contextlib import closing
from itertools import pairwise

import pytest

from gateway.cli import main
from gateway.store.ledgers import ledger_at
from gateway.store.rollups import roll_up
from loadtests.made_up_ledger import DAY, START, make, write
from router_models.dashboard.answers import answer

FIRST = START // 3600 * 3600
END = FIRST + 8 * DAY
COUNT = 2_400


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    path = make(tmp_path_factory.mktemp("dashboard") / "waterfall.db", COUNT, days=8)
    with closing(ledger_at(path).write()) as writer:
        for _ in range(60):  # the rest is added up as it is asked for
            roll_up(writer, END + DAY)
    return path


@pytest.fixture
def ask(ledger):
    def asking(name, now=END + DAY, **given):
        told = answer(name, str(ledger), {"since": FIRST, "until": END + DAY, **given}, now)
        assert "text" in told, told
        return told["text"] if "format" in given else json.loads(told["text"])

    return asking


@pytest.fixture
def command(ledger, capsys):
    def run(name, *arguments):
        assert main([name, "--ledger", str(ledger), *map(str, arguments)]) == 0
        return json.loads(capsys.readouterr().out)

    return run


def one(ledger, query):
    with closing(sqlite3.connect(ledger)) as connection:
        return connection.execute(query).fetchone()


def test_money_is_the_report_s_to_the_nano_dollar(ledger, ask, command):
    told = ask("money")
    report = command("report", "--sample", 0, "--format", "json")
    bill, theirs = told["bill"], report["bill"]
    same = ("baseline", "discarded", "checks", "scoring", "cut_off", "shadow", "gateway", "actual")
    assert {name: bill[name] for name in same} == {name: theirs[name] for name in same}
    assert bill["cheaper"] == theirs["routing"] + theirs["cache"] + theirs["kept"]
    assert bill["saved"] == theirs["saved"] > 0
    assert bill["discarded"] > 0 < bill["shadow"]
    assert told["saved_share"]["value"] == pytest.approx(report["saved_share"]["value"])
    assert told["saved_share"]["low"] < told["saved_share"]["value"] < told["saved_share"]["high"]
    assert told["by_route"] == report["cost"]["route"]
    assert told["by_tier"] == report["cost"]["tier"]
    assert told["requests"] == report["requests"] == COUNT
    assert one(ledger, "SELECT sum(cost + shadow_cost) FROM request") == (bill["actual"],)


def test_a_few_hours_have_no_interval(ask):
    told = ask("money", since=FIRST, until=FIRST + 3 * 3600)["saved_share"]
    assert 0 < told["value"] < 1
    assert (told["low"], told["high"]) == (None, None)


def test_what_is_over_time_adds_up_to_the_whole(ask):
    told = ask("money")
    assert 50 < len(told["over_time"]) <= 97
    for name, whole in (("requests", COUNT), ("cost", told["bill"]["actual"])):
        assert sum(each[name] for each in told["over_time"]) == whole
    starts = [each["at"] for each in told["over_time"]]
    assert {later - at for at, later in pairwise(starts)} == {3 * 3600}


def test_a_route_and_a_period_narrow_it(ledger, ask):
    told = ask("money", route="contracts", since=FIRST + DAY, until=FIRST + 2 * DAY)
    where = f"started_at >= {FIRST + DAY} AND started_at < {FIRST + 2 * DAY}"
    query = f"SELECT count(*), sum(cost) FROM request WHERE route = 'contracts' AND {where}"  # noqa: S608
    count, cost = one(ledger, query)
    assert (told["requests"], told["bill"]["actual"] - told["bill"]["shadow"]) == (count, cost)
    assert [each["route"] for each in told["by_route"]] == ["contracts"]
    assert ask("money", route="nobody's")["requests"] == 0


def test_routing_counts_all_and_draws_the_rest(ledger, ask):
    told = ask("routing", route="waterfall")
    query = "SELECT count(*), sum(escalated) FROM request WHERE route = 'waterfall'"
    assert one(ledger, query) == (told["requests"], told["escalated"])
    assert sum(told["starts"].values()) == told["requests"]
    assert sum(told["difficulty"]) == told["drawn"] == 1_000
    hard = sum(told["difficulty"][16:]) / 1_000
    assert hard == pytest.approx(0.2, abs=0.05), "a threshold of .8 sends up a fifth"
    assert {each["reason"] for each in told["reasons"]} >= {"refusal"}
    (small, *_) = told["escalation"]
    assert (small["tier"], small["rate"] < small["break_even"]) == ("small", True)
    (losing,) = (row for row in ask("routing")["escalation"] if row["tier"] == "middle")
    assert losing["rate"] > losing["break_even"]


def test_quality_is_the_report_s(ledger, ask, command):
    told, report = ask("quality"), command("report", "--sample", 0, "--format", "json")
    for name in ("tiers", "difference", "pairs", "labelled"):
        assert told[name] == report["quality"][name]
    (own,) = one(ledger, "SELECT avg(score) FROM label WHERE tier = 'large'")
    assert told["baseline_label"] == pytest.approx(own)
    assert sum(each["count"] for each in told["calibration"]) > 20
    assert all(0 <= each["found"] <= 1 for each in told["calibration"])


@pytest.mark.parametrize("threshold", [0, 0.35, 0.8, 1])
def test_what_if_is_what_replay_says_of_the_same_seed(ask, command, threshold):
    told = ask("what-if", route="waterfall", threshold=threshold, sample=150, seed=7)
    asked = ("--route", "waterfall", "--sample", 150, "--seed", 7, "--threshold", threshold)
    replayed = command("replay", *asked, *_dates(told), "--json")
    same = replayed.keys() & told.keys()
    assert {name: told[name] for name in same} == {name: replayed[name] for name in same}
    assert same >= {"cost_usd", "saved", "quality", "share_up", "escalated", "unknown", "bounds"}
    assert told["requests"] == told["sample"] == 150
    assert told["bounds"]["saved"]["low"] <= told["bounds"]["saved"]["at_most"]


def _dates(told):
    return [f"--{name}=@{told[name]}" for name in ("since", "until")]


def test_raising_the_threshold_sends_less_up(ask):
    shares = [
        ask("what-if", route="waterfall", threshold=t / 10)["share_up"]["value"] for t in range(11)
    ]
    assert shares == sorted(shares, reverse=True)
    assert (shares[0], shares[-1]) == (1, 0)


def test_requests_are_found_page_by_page(ledger, ask):
    seen, after = [], None
    while True:
        page = ask("requests", escalated="true", limit=40, **({"before": after} if after else {}))
        seen += [each["id"] for each in page["requests"]]
        assert all(each["escalated"] for each in page["requests"])
        after = page["next"]
        if after is None:
            break
    assert len(set(seen)) == len(seen) == one(ledger, "SELECT sum(escalated) FROM request")[0]
    assert seen == sorted(seen, reverse=True)
    assert ask("requests", tier="large", outcome="nothing")["requests"] == []


def test_one_request_has_its_whole_ladder(ask):
    (found,) = ask("requests", escalated="true", tier="large", limit=1)["requests"]
    (again,) = ask("requests", id=found["entry_id"])["requests"]
    told = ask("request", id=found["entry_id"])
    ladder = told["request"]
    assert again == found
    assert [each["tier"] for each in ladder["attempts"]][-1] == "large"
    assert sum(call["cost"] for call in ladder["calls"]) == ladder["cost"]
    assert ladder["attempts"][0]["checks"][0]["check"] in {"shape", "judge"}
    assert told["decided"]["thresholds"]


def test_health_is_of_all_and_of_some(ledger, ask):
    told = ask("health")
    assert sum(told["outcomes"].values()) == COUNT
    times = told["latency"]["small"]["seconds"]
    assert times["p50"] < times["p95"] <= times["p99"]
    slowest = one(ledger, "SELECT max(seconds) FROM request WHERE tier = 'small'")[0]
    assert times["p99"] <= slowest


@pytest.mark.parametrize("name", ["money", "routing", "health", "requests"])
def test_a_table_goes_as_csv(ask, name):
    rows = list(csv.DictReader(io.StringIO(ask(name, format="csv"))))
    told = ask(name)
    assert len(rows) == len(told["over_time"] if "over_time" in told else told["requests"])
    assert rows[0]["at" if name != "requests" else "started_at"].endswith("+00:00")


@pytest.mark.parametrize(
    ("name", "given", "param"),
    [
        ("money", {"since": "x"}, "since"),
        ("money", {"since": 2e9, "until": 1e9}, "since"),
        ("money", {"until": "nan"}, "until"),
        ("what-if", {"threshold": 0.5}, "route"),
        ("what-if", {"route": "waterfall"}, "threshold"),
        ("what-if", {"route": "waterfall", "threshold": 2}, "threshold"),
        ("what-if", {"route": "waterfall", "threshold": 0.5, "sample": 10**9}, "sample"),
        ("requests", {"escalated": "perhaps"}, "escalated"),
        ("requests", {"before": "then"}, "before"),
        ("request", {"id": "nobody's"}, "id"),
    ],
    ids=str,
)
def test_a_wrong_value_is_named(ledger, name, given, param):
    told = answer(name, str(ledger), given, END)
    assert told["param"] == param
    assert told["refused"]


def test_a_ledger_that_is_not_there_is_said_to_be_down(tmp_path):
    told = answer("money", str(tmp_path / "none.db"), {}, END)
    assert told["down"]


@pytest.mark.live
def test_a_ledger_on_a_server_says_the_same(tmp_path, postgres_url):
    file = make(tmp_path / "waterfall.db", 600, days=3)
    write(postgres_url, 600, days=3)
    given = {"since": FIRST, "until": FIRST + 4 * DAY, "route": "waterfall"}
    for name in ("money", "routing", "quality", "health", "what-if", "requests"):
        asked = given | ({"threshold": 0.6, "sample": 80} if name == "what-if" else {})
        ours, theirs = (
            answer(name, place, asked, END)["text"] for place in (str(file), postgres_url.url)
        )
        assert json.loads(ours) == _nearly(json.loads(theirs)), name
    (found, *_) = json.loads(theirs)["requests"]
    ladders = [
        json.loads(answer("request", place, {"id": found["entry_id"]}, END)["text"])
        for place in (str(file), postgres_url.url)
    ]
    assert [each["tier"] for each in ladders[0]["request"]["attempts"]] == [
        each["tier"] for each in ladders[1]["request"]["attempts"]
    ]
    assert ladders[0]["request"]["cost"] == ladders[1]["request"]["cost"] > 0


def _nearly(value):
    """Sums of floating-point numbers depend on their order."""
    if isinstance(value, float):
        return pytest.approx(value, rel=1e-9)
    if isinstance(value, dict):
        return {name: _nearly(each) for name, each in value.items()}
    return [_nearly(each) for each in value] if isinstance(value, list) else value
