"""The proofs about money notice what they are there to notice."""

from __future__ import annotations

from loadtests import kill, reconcile, tiers
from loadtests.harness import Proof


def line(user="r1", model="m-small", prompt=10, completion=5, at=1.0, **more):
    usage = {"prompt_tokens": prompt, "completion_tokens": completion}
    known = {"user": user, "model": model, "received_at": at, "usage": usage}
    return known | {"outcome": "complete", "tokens": completion, "fault": None} | more


def call(name="r1", model="m-small", prompt=10, completion=5, at=1.0, **more):
    known = {"name": name, "model": model, "tier": "small", "started_at": at, "attempt": 0}
    known |= {"prompt_tokens": prompt, "completion_tokens": completion, "cached_tokens": 0}
    whole = known | {"status": "ok", "error": "", "estimated": 0, "purpose": "serve"} | more
    return whole | {"cost": more.get("cost", reconcile.cost(whole))}


def calls_judged(calls, lines):
    proof = Proof("reconcile")
    reconcile.judge_calls(proof, calls, lines)
    return proof.holds


def test_a_call_too_few_or_too_many_is_noticed():
    two = [line(at=1.0), line(at=2.0)]
    assert calls_judged([call(at=1.0), call(at=2.0)], two)
    assert not calls_judged([call()], two)
    assert not calls_judged([call(), call(at=2.0), call(at=3.0)], two)
    assert not calls_judged([call(), call("r2")], two)


def test_tokens_that_differ_or_are_not_flagged_are_noticed():
    assert not calls_judged([call(completion=6)], [line()])
    assert not calls_judged([call(estimated=1)], [line()])
    assert not calls_judged([call()], [line(usage=None)])
    assert calls_judged([call(estimated=1)], [line(usage=None)])
    absurd = {"prompt_tokens": 10**18, "completion_tokens": -7}
    assert calls_judged([call(estimated=1)], [line(usage=absurd)])
    assert not calls_judged([call()], [line(usage=absurd)])


def money_judged(metrics, **changes):
    one = call(request=1)
    tables = {
        "call": [one],
        "check_result": [],
        "attempt": [{"request": 1, "seq": 0, "cost": one["cost"], "shadow": 0}],
        "request": [{"id": 1, "request_id": "r1", "cost": one["cost"], "shadow_cost": 0}],
    }
    for table, change in changes.items():
        tables[table][0] |= change
    proof = Proof("reconcile")
    reconcile._judge_money(proof, tables, metrics)
    return proof.holds


def test_a_nano_dollar_astray_is_noticed():
    cost = call()["cost"]
    assert cost == 4500  # 10 tokens at 0.15 and 5 at 0.6 dollars a million
    text = 'waterfall_cost_usd_total{{a="b"}} {}\nwaterfall_requests_total{{a="b"}} {}\n'
    right = text.format("4.5e-06", "1.0")
    assert money_judged(right)
    assert not money_judged(text.format("4.501e-06", "1.0"))
    assert not money_judged(text.format("4.5e-06", "2.0"))
    assert not money_judged(right, call={"cost": cost + 1})
    assert not money_judged(right, attempt={"cost": cost - 1})
    assert not money_judged(right, request={"cost": cost + 1})


_SUMS = """waterfall_attempts_total{{tier="small"}} {count}
waterfall_tokens_total{{tier="small",type="input"}} {prompt}
waterfall_tokens_total{{tier="small",type="output"}} {completion}
waterfall_tokens_total{{tier="small",type="reasoning"}} 3
waterfall_tokens_total{{tier="large",type="input"}} 0
waterfall_cost_usd_total{{tier="small",kind="input"}} {input}
waterfall_cost_usd_total{{tier="small",kind="output"}} 3e-06
"""


def tiers_judged(calls=None, lines=None, **changes):
    proof = Proof("reconcile")
    calls, lines = calls or [call(), call("r2", estimated=1)], lines or [line(), line("r2")]
    pairs = [pair for pair in zip(calls, lines, strict=True) if tiers.is_exact(pair[0])]
    sums = {"count": 2, "prompt": 20, "completion": 10, "input": "6e-06"} | changes
    tiers.judge_tiers(proof, calls, pairs, _SUMS.format(**sums))
    return proof.holds


def test_sums_of_a_tier_that_differ_are_noticed():
    assert tiers_judged(input="6e-06")
    for astray in ({"count": 3}, {"prompt": 21}, {"completion": 9}, {"input": "6.001e-06"}):
        assert not tiers_judged(**astray)
    assert not tiers_judged([call(cost=4501), call("r2", estimated=1)], input="6.001e-06")
    assert not tiers_judged(lines=[line(completion=6), line("r2")])


def test_calls_without_a_name_are_compared_by_their_tokens():
    one, other = (line(None, "m-referee", prompt=p, at=p) for p in (10, 11))
    mine, its = (call("r", "m-referee", prompt=p, tier="referee") for p in (11, 10))
    assert calls_judged([mine, its], [one, other])
    assert not calls_judged([mine, mine], [one, other])
    assert not calls_judged([mine], [one, other])


def kill_judged(calls, lines, instants=((50.0, 50.1), (60.0, 60.1))):
    proof = Proof("kill")
    kill.judge(proof, calls, lines, instants)
    return proof.holds


def test_a_lost_call_and_a_bare_mark_are_noticed():
    open_call = call("id", at=2.0, attempt=None, status="unsettled", estimated=1)
    lines = [line(at=1.0), line("r2", at=2.01, usage=None)]
    assert kill_judged([call(), open_call], lines)
    assert not kill_judged([open_call], lines)
    assert not kill_judged([call(), open_call | {"estimated": 0}], lines)
    assert not kill_judged([call(completion=6), open_call], lines)
    settled = call("id", at=2.0, attempt=None, completion=7)
    assert not kill_judged([call(), open_call, settled], [*lines, line("r3", at=2.0)])
    assert kill_judged([call(), open_call, settled], [*lines, line("r3", at=2.0, completion=7)])


def test_only_the_mark_of_the_last_instant_may_be_over():
    def over(*ages, **more):
        marks = [
            call(f"id{age}", at=50 - age, attempt=None, status="unsettled", estimated=1)
            for age in ages
        ]
        marks[-1] |= more
        return kill_judged([call(), *marks], [line()])

    assert over(0.01)
    assert not over(1.0)
    assert over(-0.05)
    assert not over(-0.2)
    assert not over(0.01, status="ok")
    assert not over(0.01, 0.02)
