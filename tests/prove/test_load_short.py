"""Scenarios in their short forms: a gateway, its upstream, real sockets; seconds each."""

from __future__ import annotations

import json

import pytest

from loadtests import beside, scenario, steps
from loadtests.arrivals import ScenarioError
from loadtests.figures import figure
from loadtests.harness import ROOT, gateway
from loadtests.run import main
from loadtests.stage import document, instant, perform
from loadtests.tables import broken, table

pytestmark = pytest.mark.live


def numbers(report, before=""):
    """The ways to every figure of a report."""
    for name, told in report.items():
        if isinstance(told, dict):
            yield from numbers(told, f"{before}{name}.")
        elif isinstance(told, int | float) and name != "seed":
            yield f"{before}{name}"


def there(report, path):
    """Could a bound ask for it?"""
    try:
        return figure(report, path) is not None
    except ScenarioError:
        return False


@pytest.mark.parametrize("name", scenario.names())
async def test_a_scenario_runs(name, tmp_path):
    short = scenario.shortened(scenario.load(name))
    report = await perform(short, tmp_path)
    assert list(report["phases"]) == [phase.name for phase in short.phases]
    for phase in report["phases"].values():
        told = phase["all"]
        assert told["sent"] == sum(told["ends"].values()) > 0
        assert phase["process"]["cpu_us"] > 0
    own = report["process"]
    assert (own["tracebacks"], own["under_way_after"]) == (0, 0)
    assert own["tasks_before"] > 0
    assert own["tasks_more"] <= 5
    assert broken(short, report, quiet=False) == []
    known = scenario.full(short)
    assert [path for path in numbers(report) if not there(known, path)] == []
    assert name in table(short, report)


async def test_a_gateway_that_runs_already_is_asked(tmp_path):
    async with instant(tmp_path) as provider, gateway(tmp_path, document(provider.url, {})) as own:
        read = scenario.read(
            {
                "about": "another's gateway",
                "classes": {"a": {}},
                "phases": [{"name": "p", "seconds": 0.5, "arrivals": {"constant": 20}}],
            },
            "theirs",
            "theirs.yaml",
        )
        report = await perform(read, tmp_path, own.url, "sk-any")
    assert report["phases"]["p"]["all"]["good"] == 10
    assert "process" not in report


def test_the_command_prints_a_table_and_writes_json(tmp_path, capsys):
    assert main(["hop", "--short", "--json", str(tmp_path / "hop.json"), "--quiet"]) == 0
    assert "steady" in capsys.readouterr().out
    told = json.loads((tmp_path / "hop.json").read_text())
    assert told["phases"]["steady"]["all"]["hdr"]["latency"]
    assert main(["nothing"]) == 2


@pytest.mark.parametrize("load", [["--count", "32"], ["--stream", "--count", "8"]], ids=len)
def test_a_tree_is_measured_beside_another(load, capsys):
    assert beside.main([str(ROOT), "--batches", "1", *load]) == 0
    told = capsys.readouterr().out
    assert "pinned: this tree costs" in told


async def test_a_request_takes_no_more_steps_of_python_than_it_did(tmp_path):
    found = await steps.count(tmp_path, steps.PLAIN, "waterfall")
    assert 5_000 < sum(found.values()) < 25_000  # 22,400 under Python 3.11
    assert "instructions a request" in steps.told(found, 3, "request")[0]


@pytest.mark.parametrize(("model", "most"), [("live", 400), ("waterfall", 550)])
def test_a_chunk_takes_no_more_steps_of_python_than_it_did(model, most, capsys):
    assert steps.main(["--stream", "--model", model]) == 0
    told, _, of = capsys.readouterr().out.splitlines()[0].partition(" instructions a ")
    assert of == "chunk"
    assert 100 < int(told.replace(",", "")) < most  # 300 when it is released, 415 while it is held


def test_the_command_says_what_is_wrong_and_where_instead_of_a_traceback(tmp_path, capsys):
    """Nothing listens at the address: every request fails, and every bound with it."""
    url = ["--quiet", "--short", "--url", "http://127.0.0.1:9"]
    assert main(["hop", *url]) == 1
    told = capsys.readouterr().out
    assert "ConnectFailed:" in told
    assert "BROKEN phases.steady.all.good is 0" in told
    assert "BROKEN phases.steady.all.latency.p99" not in told, "of a quiet machine"
    assert main(["hop", "--quiet", "--url", "nowhere"]) == 2
    assert "--url nowhere" in capsys.readouterr().err
    (tmp_path / "s.yaml").write_text("about: x\nclasses: {a: {weight: heavy}}\nphases: [{}]\n")
    assert main([str(tmp_path / "s.yaml")]) == 2
    assert "s.yaml: classes.a.weight: " in capsys.readouterr().err
