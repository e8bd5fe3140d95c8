"""What a load is made of, before anything is sent: arrivals, scenarios, gates, bounds."""

from __future__ import annotations

import json
from itertools import pairwise

import orjson
import pytest

from loadtests import beside, gates, scenario
from loadtests.arrivals import Arrival, ScenarioError, arrivals
from loadtests.compare import OURS, PAGE
from loadtests.compared import HOP, NGINX, Compared, Figures, page, picture_of, table
from loadtests.meter import cpu_ns, machine, sample, tree
from loadtests.tables import broken, figure, judged

# ------------------------------------------------------------------ arrivals


def times(kind, value, seconds=100.0, seed=7):
    return [each.at for each in arrivals(kind, value, seconds, seed)]


def test_constant_burst_and_together_are_what_they_say():
    assert times("constant", 4, 1) == [0, 0.25, 0.5, 0.75]
    assert times("burst", {"every": 2, "size": 3}, 5) == [0, 0, 0, 2, 2, 2, 4, 4, 4]
    assert times("together", 3, 1) == [0, 0, 0]


def test_poisson_has_its_rate_and_its_spread_and_repeats_with_its_seed():
    laid = times("poisson", 50)
    assert len(laid) == pytest.approx(5000, rel=0.05)
    gaps = [b - a for a, b in pairwise(laid)]
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert deviation == pytest.approx(mean, rel=0.1), "exponential"
    assert laid == times("poisson", 50)
    assert laid != times("poisson", 50, seed=8)


def test_a_ramp_rises():
    laid = times("ramp", {"from": 10, "to": 90})
    assert len(laid) == pytest.approx(5000, rel=0.06)
    assert sum(at < 50 for at in laid) == pytest.approx(1500, rel=0.15)


def test_a_trace_is_replayed(tmp_path):
    path = tmp_path / "trace.jsonl"
    path.write_text('{"at": 0.5, "class": "b"}\n{"at": 0.1}\n{"at": 9}\n')
    assert arrivals("trace", str(path), 2, 1) == [Arrival(0.1), Arrival(0.5, "b")]
    path.write_text('{"at": 0.5}\n{"when": 1}\n')
    with pytest.raises(ScenarioError, match=r"trace.jsonl:2: wants"):
        arrivals("trace", str(path), 2, 1)


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        ("poison", 5, "no arrivals 'poison': one of constant"),
        ("poisson", 0, "wants a number above 0"),
        ("constant", True, "wants a number above 0"),
        ("burst", {"every": 1}, "wants {every, size}"),
        ("ramp", {"from": 1, "to": "x"}, "ramp: to: wants a number"),
    ],
)
def test_arrivals_that_are_none(kind, value, said):
    with pytest.raises(ScenarioError, match=said):
        arrivals(kind, value, 1, 1)


# ------------------------------------------------------------------ scenarios

SMALL = {
    "about": "a test",
    "upstream": {"kind": "instant"},
    "classes": {
        "a": {"weight": 3, "prompt": 50},
        "b": {"stream": True, "simulate": {"m": "empty"}},
    },
    "phases": [{"name": "one", "seconds": 10, "arrivals": {"constant": 40}}],
}


def test_the_page_lists_every_scenario():
    text = PAGE.read_text("utf-8")
    rows = [f"| `{name}` | {scenario.load(name).about} |" for name in scenario.names()]
    assert "\n".join(rows) in text


@pytest.mark.parametrize("name", scenario.names())
def test_every_scenario_can_be_laid_out(name):
    read = scenario.load(name)
    for number, phase in enumerate(read.phases):
        assert scenario.plan(scenario.shortened(read), phase, number)
    assert read.about
    seconds = sum(phase.seconds for phase in scenario.shortened(read).phases)
    assert seconds <= 8, "a short form is of seconds"


def test_classes_come_by_weight_and_carry_what_goes_wrong():
    read = scenario.read(SMALL, "s", "s.yaml")
    laid = scenario.plan(read, read.phases[0], 0)
    names = [kind.name for _, kind in laid]
    assert len(names) == 400
    assert names.count("a") == pytest.approx(300, rel=0.1)
    bodies = {kind.name: orjson.loads(kind.body) for _, kind in laid}
    assert len(bodies["a"]["messages"][0]["content"]) == 50
    assert "simulate" not in bodies["a"]
    assert bodies["b"]["simulate"] == {"m": "empty"}
    assert bodies["b"]["stream"] is True


def test_a_phase_has_weights_and_faults_of_its_own():
    phase = SMALL["phases"][0] | {"weights": {"a": 0}, "simulate": {"n": "status=503"}}
    read = scenario.read(SMALL | {"phases": [phase]}, "s", "s.yaml")
    kinds = {kind for _, kind in scenario.plan(read, read.phases[0], 0)}
    assert [kind.name for kind in kinds] == ["b"]
    assert orjson.loads(kinds.pop().body)["simulate"] == {"m": "empty", "n": "status=503"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"clases": {}}, "no key 'clases': one of name, about, classes"),
        ({"classes": {"a": {"wait": 1}}}, "s.yaml: classes.a: no key 'wait': one of weight"),
        ({"phases": []}, "wants classes and a list of phases"),
        ({"upstream": {"kind": "real"}}, "upstream.kind is instant or simulated"),
        ({"phases": [{"name": "x", "seconds": 1}]}, r"phases\[0\]: missing 1 required .*arrivals"),
        ({"phases": [SMALL["phases"][0] | {"weights": {"c": 1}}]}, "phase one: no class 'c'"),
        ({"phases": [SMALL["phases"][0] | {"arrivals": {"x": 1}}]}, "phase one: no arrivals 'x'"),
    ],
)
def test_a_scenario_that_is_none(change, said):
    with pytest.raises(ScenarioError, match=said):
        scenario.read(SMALL | change, "s", "s.yaml")


def test_a_scenario_that_is_not_there_names_those_that_are():
    with pytest.raises(ScenarioError, match=r"no scenario 'hopp': one of .*hop"):
        scenario.load("hopp")


# ------------------------------------------------------------------ figures and bounds

REPORT = {"phases": {"a.b": {"all": {"latency": {"p99.9": 7.0, "p99": 5}}}}, "process": {"x": 3}}


def test_figures_are_found_by_path_and_bounds_judged():
    path = "phases.a.b.all.latency.p99.9"
    assert figure(REPORT, path) == 7
    assert judged(scenario.Bound(path, at_most=7), REPORT) == ""
    assert judged(scenario.Bound(path, at_most=6.9), REPORT) == f"{path} is 7, at most 6.9"
    assert judged(scenario.Bound(path, at_least=8), REPORT) == f"{path} is 7, at least 8"
    assert judged(scenario.Bound(path, at_most=3, times="process.x"), REPORT) == ""
    assert judged(scenario.Bound(path, at_most=2, times="process.x"), REPORT)
    assert judged(scenario.Bound(path, at_most=float("nan")), REPORT), "nan is no bound that holds"
    with pytest.raises(ScenarioError, match=r"nothing at 'late\.p99'"):
        figure(REPORT, "phases.a.b.all.late.p99")


def test_bounds_of_a_quiet_machine_and_of_a_process_of_ours_are_left_where_they_cannot_be_held():
    bounds = [
        {"figure": "phases.p.all.sent", "at_least": 9},
        {"figure": "phases.p.all.latency.p99", "at_most": 1, "quiet": True},
        {"figure": "process.fds_more", "at_most": 1},
    ]
    read = scenario.read(SMALL | {"bounds": bounds}, "s", "s.yaml")
    report = {"phases": {"p": {"all": {"sent": 1, "latency": {"p99": 2}}}}}
    whole = report | {"process": {"fds_more": 2}}
    assert len(broken(read, whole)) == 3
    assert len(broken(read, whole, quiet=False)) == 2
    assert len(broken(read, report)) == 2


def compared(**plain):
    labels = {"hop": HOP, "nginx": NGINX, **OURS}
    found = {labels[name]: Figures({"plain": list(values)}) for name, values in plain.items()}
    return Compared(
        found, {"portkey": "npm is not installed"}, [{"steal": 0, "load_after": 1}], {}, 3
    )


def test_ratios_are_of_each_repeat_and_then_the_median():
    told = compared(nginx=(10, 20, 30), waterfall=(100, 400, 300))
    assert told.against(OURS["waterfall"], NGINX, "plain") == 10
    assert told.against(OURS["waterfall"], HOP, "plain") is None
    assert "| 300 (100 to 400) | 10.0 | - |" in table(told)
    assert "Left out: portkey: npm is not installed." in table(told)
    marked = "before\n<!-- compare -->\nold\n<!-- /compare -->\nafter"
    assert "300 (100 to 400)" in page(marked, told)
    assert "old" not in page(marked, told)
    assert picture_of(told).count("<rect") == 3


def test_every_gate_can_be_broken_and_kept():
    for gate in gates.read():
        (mine, figure_), (other, its) = gate.sides
        for worse in (1.0, 1e6):
            found = {each: Figures() for each in (mine, other)}
            found[other].note(its, 100.0)
            found[mine].note(figure_, 100.0 * gate.at_most * worse)
            told = gates.judge([gate], Compared(found, {}, [], {}, 1))
            assert told[0][0] is (worse == 1.0), told
        assert not gates.judge([gate], Compared({}, {}, [], {}, 1))[0][0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gates: []", "wants a list"),
        ("gates: [{about: x, of: us, figure: plain, over: hop, at_most: 1}]", "no row 'us'"),
        ("gates: [{about: x, of: live, figure: pl, over: hop, at_most: 1}]", "no figure 'pl'"),
        ("gates: [{about: x, of: live, fig: pl, over: hop, at_most: 1}]", "no key 'fig'"),
    ],
)
def test_gates_that_are_none(tmp_path, text, said):
    (tmp_path / "gates.yaml").write_text(text)
    with pytest.raises(ScenarioError, match=said):
        gates.read(tmp_path / "gates.yaml")


# ------------------------------------------------------------------ the meter


def test_the_meter_counts_what_is_burnt():
    import os
    import time

    pids = tree(os.getpid())
    before, began = cpu_ns(pids), time.thread_time_ns()
    while time.thread_time_ns() - began < 60e6:
        json.dumps(list(range(100)))
    used = cpu_ns(pids) - before
    assert 55e6 < used < 200e6
    now = sample(os.getpid())
    assert now.rss > 10**7
    assert now.fds > 2
    assert now.threads >= 1
    since = machine().since(machine())
    assert set(since) == {"busy", "steal", "load_before", "load_after"}


def test_a_process_that_is_gone_has_used_nothing():
    assert tree(2**22 + 1) == []
    assert cpu_ns([2**22 + 1]) == 0


# ------------------------------------------------------------------ two trees side by side


@pytest.mark.parametrize("rows", [beside.PLAIN, beside.STREAMS], ids=["plain", "streams"])
def test_two_trees_are_compared_by_their_least_and_by_pairs(rows):
    found = {"bare hop": [50.0, 60.0]}
    for row in rows:
        found |= {f"{row}, this": [150.0, 90.0], f"{row}, other": [200.0, 180.0]}
    lines = beside.told(found, rows)
    assert "  1.8 x bare hop" in lines[1]
    assert lines[-1] == (
        "pinned: this tree costs 0.500 of the other's least, 0.625 of its batch beside it"
    )
    alone = beside.told({k: v for k, v in found.items() if not k.endswith("other")}, rows)
    assert len(alone) == 1 + len(rows)
