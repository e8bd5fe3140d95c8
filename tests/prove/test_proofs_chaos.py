"""What the proofs of faults, floods and endings must notice, shown to each judge."""

from __future__ import annotations

import orjson
import pytest

from loadtests import bulkhead, chaos_judge, chaos_plan, ending, overload
from loadtests.chaos_client import End
from loadtests.chaos_client import ending as how_it_ended
from loadtests.harness import Answer, Proof
from loadtests.meter import Sample

EVENTS, JSON = ({b"content-type": kind} for kind in (b"text/event-stream", b"application/json"))
ERROR = b'event: error\ndata: {"error": {}}\n\n'
TOLD = orjson.dumps({"error": {"message": "m", "type": "t", "param": None, "code": "c"}})


@pytest.mark.parametrize(
    ("status", "headers", "body", "ended"),
    [
        (200, EVENTS, b"data: {}\n\ndata: [DONE]\n\n", "served"),
        (200, EVENTS, b"data: {}\n\n" + ERROR, "broken"),
        (200, EVENTS, b"data: {}\n\n" + ERROR + b"data: [DONE]\n\n", "strange"),
        (200, EVENTS, b"data: [DONE]\n\ndata: {}\n\n", "strange"),
        (200, EVENTS, b"data: {}\n\n", "strange"),
        (200, JSON, b'{"choices": [{}]}', "served"),
        (200, JSON, b"{}", "strange"),
        (502, JSON, TOLD, "refused"),
        (502, JSON, b'{"error": {"message": "m"}}', "strange"),
        (502, JSON, b"<html>", "strange"),
    ],
)
def test_how_a_request_ended(status, headers, body, ended):
    assert how_it_ended(Answer(status, headers, body, whole=True)) == ended
    assert how_it_ended(Answer(status, headers, body)) == "cut"
    assert how_it_ended(Answer(status, headers, body, left_at=1.0)) == "left"


def end(name="a", ending="served", status=200, began=50.0, ended=51.0, *, recorded=True):
    return End(name, ending, status, began, ended, recorded)


def clients_judged(ends, *names, instants=((60.0, 60.1),)):
    proof = Proof("chaos")
    chaos_judge.judge_clients(proof, ends, instants, [{"request_id": name} for name in names])
    return proof.holds


def test_clients_and_the_ledger_are_compared():
    assert clients_judged([end()], "a", "01a2-known-by-its-mark")
    assert not clients_judged([end()], "b"), "lost"
    assert not clients_judged([end()], "a", "a"), "doubled"
    assert not clients_judged([end(ending="strange")], "a")
    assert not clients_judged([end(ending="refused", status=500)], "a")
    cut = end(ending="cut", status=0, ended=60.2, recorded=False)
    assert clients_judged([cut])
    for other in (
        end(ending="cut", ended=59.0, recorded=False),
        end(ending="cut", ended=64.0, recorded=False),
        end(ending="cut", began=60.2, ended=60.3, recorded=False),
    ):
        assert not clients_judged([other])


def rest_judged(metrics, *fell):
    proof = Proof("chaos")
    chaos_judge.judge_rest(proof, metrics, fell)
    return proof.holds


def test_what_is_left_is_noticed():
    zero = "waterfall_ledger_open_calls 0\nwaterfall_ledger_unmarked_calls_total 0\n"
    assert rest_judged(zero)
    assert not rest_judged(zero, "a: 2 -> 1")
    assert not rest_judged(zero.replace("open_calls 0", "open_calls 1"))
    assert not rest_judged(zero.replace("calls_total 0", "calls_total 1"))
    assert not rest_judged(f"{zero}waterfall_in_flight_requests 1\n")
    assert not rest_judged(f"{zero}waterfall_ledger_rows_dropped 1\n")


def test_a_counter_that_falls_is_noticed():
    head = "# TYPE a counter\n# TYPE g gauge\n"
    before = chaos_judge.counters(f'{head}a_total{{x="y"}} 2\na_created 9\ng 5\n')
    assert before == {'a_total{x="y"}': 2.0}
    for now, fell in (("2", False), ("3", False), ("1", True)):
        told = chaos_judge.counters(f'{head}a_total{{x="y"}} {now}\ng 1\n')
        assert bool(chaos_judge.fallen(before, told)) == fell
    assert chaos_judge.fallen(before, {})


@pytest.mark.parametrize(
    ("rss", "fds", "holds"), [(110, 18, True), (111, 10, False), (100, 19, False)]
)
def test_what_does_not_go_back_is_noticed(rss, fds, holds):
    proof = Proof("chaos")
    base, last = Sample(0.0, 0, 100, 10, 1), Sample(1.0, 0, rss, fds, 1)
    chaos_judge.judge_return(proof, base, last, 1.0)
    assert proof.holds == holds


def test_the_same_seed_plans_the_same():
    happens, again, other = (chaos_plan.blows(600.0, seed, redis=True) for seed in (5, 5, 6))
    assert happens == again != other
    kinds = [blow.what for blow in happens]
    assert (kinds.count("kill"), kinds.count("database"), kinds.count("redis")) == (10, 1, 1)
    assert [int(b.at // 60) for b in happens if b.what == "kill"] == list(range(10))
    due = chaos_plan.load(600.0, 50.0, 5, happens)
    assert len({each.ask.name for each in due}) == len(due) > 29_000


# ------------------------------------------------------------------ a flood


def told(due, took=0.2, status=200):
    return overload.Told(due, due, due + took, status)


def flood_judged(answers, peak=1.0):
    proof = Proof("overload")
    overload._judge(proof, "the process", peak, answers, 10.0, strict=True)
    return proof.holds


def test_a_flood_is_judged():
    inside, shed = [told(float(n)) for n in range(9)], [told(1.0, 0.04, 503)] * 50
    assert flood_judged([*inside, *shed])
    assert not flood_judged([*inside[1:], *shed]), "goodput"
    assert not flood_judged([*inside, *shed, told(1.0, 0.06, 503), told(1.0, 0.06, 503)])
    assert not flood_judged([*inside, *shed, told(1.0, 0.01, -503)]), "told not when to come back"
    assert not flood_judged([*inside, *shed, told(1.0, 0.01, 0)]), "cut"


def test_calm_is_the_first_second_without_trouble():
    calm = [told(n / 4, 2.0 if n < 5 else 0.2) for n in range(20)]
    assert overload._easy_from(calm, 0.4) == 1.25
    assert overload._easy_from(calm, 0.1) is None
    assert overload._easy_from([told(0.0, 0.1, 503), told(0.5)], 0.4) == 0.5


def test_health_is_judged():
    def judged(*seen):
        proof = Proof("overload")
        overload._judge_health(proof, "p", seen, strict=True)
        return proof.holds

    assert judged((200, 0.1))
    assert not judged((200, 0.1), (503, 0.1))
    assert not judged((200, 1.1))


# ------------------------------------------------------------------ an ending


def ending_judged(answers, names="ab", calls=2, unsettled=0):
    proof = Proof("ending")
    status = ["unsettled"] * unsettled + ["ok"] * (2 - unsettled)
    tables = {
        "request": [{"request_id": name} for name in names],
        "call": [{"name": name, "status": s} for name, s in zip("ab", status, strict=True)],
    }
    ending._judge(proof, answers, tables, calls)
    return proof.holds


def test_an_ending_is_judged():
    whole = Answer(200, EVENTS, b"data: {}\n\ndata: [DONE]\n\n", whole=True)
    broken = Answer(200, EVENTS, b"data: {}\n\n" + ERROR, whole=True)
    assert ending_judged([whole, broken])
    assert not ending_judged([whole, whole]), "the drain's end came for nobody"
    assert not ending_judged([broken, broken]), "nobody ended by itself"
    assert not ending_judged([whole, Answer(200, EVENTS, b"data: {}\n\n")]), "cut"
    assert not ending_judged([whole, broken], "a"), "not in the ledger"
    assert not ending_judged([whole, broken], calls=3)
    assert not ending_judged([whole, broken], unsettled=1)


# ------------------------------------------------------------------ a storm


def storm(p99, good):
    times = {"p50": 100.0, "p99": p99}
    direct = {"latency": times, "good": good, "sent": 10}
    return {"classes": {"direct": direct, "cascade": {"ends": {"200": 1}}}}


def storm_judged(p99, good=10):
    proof = Proof("bulkhead")
    report = {"phases": {"base": storm(200.0, 10), "storm": storm(p99, good)}}
    bulkhead.judge(proof, report, report, short=False)
    return proof.holds


def test_a_storm_is_judged():
    assert storm_judged(400.0)
    assert not storm_judged(401.0)
    assert not storm_judged(300.0, good=9)
