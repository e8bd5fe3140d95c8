"""What a load is made of, before anything is sent: arrivals, plans, gates; and the meter."""

from __future__ import annotations

import json
from itertools import pairwise

import orjson
import pytest

from loadtests import beside, gates, scenario
from loadtests.arrivals import Arrival, ScenarioError, arrivals
from loadtests.compare import OURS
from loadtests.compared import HOP, NGINX, Compared, Figures, page, picture_of, table
from loadtests.meter import cpu_ns, machine, sample, tree
from loadtests.plan import PROMPTS, plan

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
    with pytest.raises(ScenarioError, match=r"trace: .*none.jsonl: .*No such file"):
        arrivals("trace", str(tmp_path / "none.jsonl"), 2, 1)


@pytest.mark.parametrize(
    "line",
    [
        '{"when": 1}',
        '{"at": -5}',
        '{"at": 1e400}',
        '{"at": NaN}',
        '{"at": "1"}',
        '{"at": true}',
        '{"at": 1, "class": 2}',
        '{"at": 1, "clas": "a"}',
        "[1]",
        "at",
    ],
)
def test_a_line_of_a_trace_that_is_none(tmp_path, line):
    path = tmp_path / "trace.jsonl"
    path.write_text(f'{{"at": 0.5}}\n{line}\n')
    with pytest.raises(ScenarioError, match=r"trace.jsonl:2: wants"):
        arrivals("trace", str(path), 2, 1)


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        ("poison", 5, "no arrivals 'poison': one of constant"),
        ("poisson", 0, "wants a number above 0"),
        ("constant", True, "wants a number above 0"),
        ("constant", float("inf"), "wants a number above 0"),
        ("burst", {"every": 1}, "wants {every, size}"),
        ("ramp", {"from": 1, "to": "x"}, "ramp: to: wants a number"),
    ],
)
def test_arrivals_that_are_none(kind, value, said):
    with pytest.raises(ScenarioError, match=said):
        arrivals(kind, value, 1, 1)


# ------------------------------------------------------------------ plans

SMALL = {
    "about": "a test",
    "upstream": {"kind": "instant"},
    "classes": {
        "a": {"weight": 3, "prompt": 50},
        "b": {"stream": True, "simulate": {"m": "empty"}},
    },
    "phases": [{"name": "one", "seconds": 10, "arrivals": {"constant": 40}}],
}


def test_classes_come_by_weight_and_carry_what_goes_wrong():
    read = scenario.read(SMALL, "s", "s.yaml")
    laid = plan(read, read.phases[0], 0)
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
    kinds = {kind for _, kind in plan(read, read.phases[0], 0)}
    assert {kind.name for kind in kinds} == {"b"}
    assert all(kind.stream for kind in kinds)
    assert orjson.loads(kinds.pop().body)["simulate"] == {"m": "empty", "n": "status=503"}


def test_a_class_has_many_prompts_and_the_same_ones_each_time():
    read = scenario.read(SMALL, "s", "s.yaml")
    laid = plan(read, read.phases[0], 0)
    assert laid == plan(read, read.phases[0], 0)
    bodies = {kind.body for _, kind in laid if kind.name == "a"}
    assert PROMPTS * 0.9 < len(bodies) <= PROMPTS
    assert len({orjson.loads(body)["messages"][0]["content"][:20] for body in bodies}) > 50


@pytest.mark.parametrize("number", range(4))
def test_neither_class_nor_prompt_follows_from_the_time_since_the_request_before(number):
    """Drawn of the same dice, the short gaps were all of one class."""
    phase = {"name": "p", "seconds": 100, "arrivals": {"poisson": 40}}
    classes = {"a": {}, "b": {}}
    read = scenario.read(SMALL | {"classes": classes, "phases": [phase]}, "s", "s.yaml")
    laid = plan(read, read.phases[0], number)
    gaps = [after - before for (before, _), (after, _) in pairwise(laid)]
    middle = sorted(gaps)[len(gaps) // 2]
    prompts = {body: place for place, body in enumerate(sorted({k.body for _, k in laid}))}
    for lag in (0, 1):  # the gap before a request, and the one after it
        pairs = list(zip(gaps, laid[1 - lag :], strict=False))
        short = [kind for gap, (_, kind) in pairs if gap < middle]
        # Half, and five deviations of so many throws: (n/4) ** .5 / n.
        near = pytest.approx(0.5, abs=2.5 / len(short) ** 0.5)
        assert sum(kind.name == "a" for kind in short) / len(short) == near
        assert sum(prompts[kind.body] % 2 for kind in short) / len(short) == near


def test_a_phase_in_which_nothing_is_sent_is_an_error():
    phase = {"name": "p", "seconds": 1, "arrivals": {"constant": 0.5}}
    read = scenario.read(SMALL | {"phases": [phase]}, "s", "s.yaml")
    with pytest.raises(ScenarioError, match="phase p: nothing would be sent in 1 s"):
        plan(read, read.phases[0], 0)


# ------------------------------------------------------------------ gates


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


def test_a_row_that_stopped_answering_breaks_its_gates_whatever_it_was_measured_at_before():
    for gate in gates.read():
        for label, figure in gate.sides:
            found = {each: Figures() for each, _ in gate.sides}
            for each, its in gate.sides:
                found[each].note(its, 1.0)
            told = Compared(found, {}, [], {}, 3)
            other = next(load for load in ("plain", "stream") if not figure.startswith(load))
            found[label].broken[other] = "status 500"
            assert gates.judge([gate], told)[0][0], "of another load"
            found[label].broken[figure.partition("_")[0]] = "status 500"
            ((held, sentence),) = gates.judge([gate], told)
            assert not held
            assert f"{label} did not answer the load" in sentence


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gates: []", "wants a list"),
        ("gates: [{about: x, of: us, figure: plain, over: hop, at_most: 1}]", "no row 'us'"),
        ("gates: [{about: x, of: live, figure: pl, over: hop, at_most: 1}]", "no figure 'pl'"),
        ("gates: [{about: x, of: live, figure: plain, over: hop, at_most: '1'}]", "valid number"),
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
    assert 40e6 < used < 400e6  # in ticks of 10 ms, where a thread has ended
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
