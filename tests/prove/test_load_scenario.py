"""What a scenario may say, and what its bounds make of a report."""

from __future__ import annotations

import pytest
import yaml

from loadtests import scenario
from loadtests.arrivals import ScenarioError
from loadtests.compare import PAGE
from loadtests.figures import figure
from loadtests.plan import plan
from loadtests.tables import broken, judged

SMALL = {
    "about": "a test",
    "upstream": {"kind": "instant"},
    "classes": {
        "a": {"weight": 3, "prompt": 50},
        "b": {"stream": True, "simulate": {"m": "empty"}},
    },
    "phases": [{"name": "one", "seconds": 10, "arrivals": {"constant": 40}}],
}


# ------------------------------------------------------------------ scenarios


def test_the_page_lists_every_scenario():
    text = PAGE.read_text("utf-8")
    rows = [f"| `{name}` | {scenario.load(name).about} |" for name in scenario.names()]
    assert "\n".join(rows) in text


@pytest.mark.parametrize("name", scenario.names())
def test_every_scenario_can_be_laid_out(name):
    read = scenario.load(name)
    short = scenario.shortened(read)
    for number, phase in enumerate(short.phases):
        assert plan(short, phase, number)
    assert read.about
    seconds = sum(phase.seconds for phase in short.phases)
    assert seconds <= 8, "a short form is of seconds"


@pytest.mark.parametrize("name", scenario.names())
def test_a_gateway_that_refuses_everything_breaks_every_scenario_in_each_of_its_phases(name):
    """Its latency is the best there is: only the share of good replies tells."""
    read = scenario.load(name)
    report = scenario.full(read)
    sides = [report, *filter(None, [report.get("beside")])]
    for each in (told for side in sides for told in side["phases"].values()):
        for tally in (each["all"], *each["classes"].values()):
            tally |= {"sent": 100, "good": 0, "left": 0, "failed": 100, "ends": {"500": 100}}
    said = " ".join(broken(read, report, quiet=False))
    assert [phase.name for phase in read.phases if f"phases.{phase.name}." not in said] == []


P = SMALL["phases"][0]
SENT = "phases.one.all.sent"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"clases": {}}, "no key 'clases': one of name, about, classes"),
        ({"classes": {"a": {"wait": 1}}}, "s.yaml: classes.a: no key 'wait': one of weight"),
        ({"phases": []}, "wants classes and a list of phases"),
        ({"phases": [P | {"seconds": "2"}]}, r"s.yaml: phases\[0\].seconds: .*number, not '2'"),
        ({"phases": [P | {"seconds": 0}]}, r"phases\[0\].seconds: .*greater than 0, not 0"),
        ({"phases": [P, P]}, "s.yaml: phases: two of one name"),
        (
            {"phases": [P | {"weights": {"a": 0, "b": 0}}]},
            "phase one: no class has a weight",
        ),
        (
            {"phases": [P | {"weights": {"a": -1}}]},
            r"phases\[0\].weights.a: .*to 0, not -1",
        ),
        ({"classes": {"a": {"weight": True}}}, "s.yaml: classes.a.weight: .*number, not True"),
        ({"classes": {"a": {"leave": [1]}}}, r"s.yaml: classes.a.leave: .*at least 2 items"),
        ({"classes": {"a": {"pace": "1/2"}}}, r"s.yaml: classes.a.pace: .*match pattern"),
        ({"seed": "x"}, "s.yaml: seed: .*integer, not 'x'"),
        ({"bounds": [{"figure": SENT}]}, r"s.yaml: bounds\[0\]: wants at_most, at_least"),
        (
            {"bounds": [{"figure": "phases.one.all.godo", "at_least": 1}]},
            r"s.yaml: bounds\[0\]: no figure 'phases.one.all.godo': nothing at 'godo': one of ",
        ),
        (
            {"bounds": [{"figure": SENT, "at_least": 1, "times": "proces.fds_more"}]},
            r"s.yaml: bounds\[0\]: no figure 'proces.fds_more'",
        ),
        ({"bounds": [{"figure": "beside.process.fds_more", "at_most": 1}]}, "no figure 'beside"),
        ({"upstream": {"kind": "simulated", "sigma": "x"}}, "s.yaml: upstream.sigma: .*not 'x'"),
        ({"gateway": {"server": 5}}, "s.yaml: gateway.server: wants a mapping"),
        ({"beside": {"upstreams": {"p": 5}}}, "s.yaml: beside.upstreams.p: wants a mapping"),
        ({"upstream": {"kind": "real"}}, "upstream.kind is instant or simulated"),
        ({"upstream": {"kind": "simulated", "pace": 1}}, "s.yaml: upstream: no key 'pace': one of"),
        ({"phases": [{"name": "x", "seconds": 1}]}, r"phases\[0\]: missing 1 required .*arrivals"),
        ({"phases": [P | {"weights": {"c": 1}}]}, "phase one: no class 'c'"),
        ({"phases": [P | {"arrivals": {"x": 1}}]}, "phase one: no arrivals 'x'"),
    ],
)
def test_a_scenario_that_is_none(change, said):
    with pytest.raises(ScenarioError, match=said):
        scenario.read(SMALL | change, "s", "s.yaml")


def test_a_scenario_that_is_not_there_names_those_that_are():
    with pytest.raises(ScenarioError, match=r"no scenario 'hopp': one of .*hop"):
        scenario.load("hopp")


def test_a_trace_lies_where_its_scenario_does_and_is_read_to_its_end(tmp_path):
    phase = {"name": "one", "seconds": 2, "arrivals": {"trace": "t.jsonl"}}
    file = tmp_path / "there" / "s.yaml"
    file.parent.mkdir()
    file.write_text(yaml.safe_dump(SMALL | {"phases": [phase]}))

    def trace(*lines):
        (file.parent / "t.jsonl").write_text("\n".join(lines))
        return scenario.load(str(file))

    read = trace('{"at": 1.5, "class": "b"}', '{"at": 0.1, "class": "a"}')
    assert [(at, kind.name) for at, kind in plan(read, read.phases[0], 0)] == [
        (0.1, "a"),
        (1.5, "b"),
    ]
    short = scenario.shortened(read)
    assert [at for at, _ in plan(short, short.phases[0], 0)] == [0.1], "its beginning"
    for line, said in {
        '{"at": 2}': r"s.yaml: phase one: .*t.jsonl:2: at 2: the phase ends at 2",
        '{"at": 1, "class": "c"}': r"t.jsonl:2: no class 'c'",
    }.items():
        with pytest.raises(ScenarioError, match=said):
            trace('{"at": 1}', line)
    (file.parent / "t.jsonl").unlink()
    with pytest.raises(ScenarioError, match=r"s.yaml: phase one: trace: .*t.jsonl: .*No such file"):
        scenario.load(str(file))
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ScenarioError, match=r"s.yaml: "):
        scenario.load(str(file))


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
    with pytest.raises(ScenarioError, match=r"nothing at 'late\.p99': one of latency"):
        figure(REPORT, "phases.a.b.all.late.p99")


def test_what_was_not_measured_does_not_hold_and_an_end_that_nobody_met_is_none():
    report = {"phases": {"p": {"all": {"latency": {"n": 0}, "ends": {"500": 3}}}}}
    gone = scenario.Bound("phases.p.all.latency.p99", at_most=15)
    assert judged(gone, report) == "phases.p.all.latency.p99 was not measured"
    assert figure(report, "phases.p.all.ends.500") == 3
    assert figure(report, "phases.p.all.ends.429") == 0
    with pytest.raises(ScenarioError, match="no figure"):
        figure(report, "phases.p.all.ends.4o9")


def test_bounds_of_a_quiet_machine_and_of_a_process_of_ours_are_left_where_they_cannot_be_held():
    bounds = [
        {"figure": "phases.one.all.sent", "at_least": 9},
        {"figure": "phases.one.all.latency.p99", "at_most": 1, "quiet": True},
        {"figure": "process.fds_more", "at_most": 1},
    ]
    read = scenario.read(SMALL | {"bounds": bounds}, "s", "s.yaml")
    report = {"phases": {"one": {"all": {"sent": 1, "latency": {"p99": 2}}}}}
    whole = report | {"process": {"fds_more": 2}}
    assert len(broken(read, whole)) == 3
    assert len(broken(read, whole, quiet=False)) == 2
    assert len(broken(read, report)) == 2
