"""Early decisions under another policy: what a replay knows of them is what really comes of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from engine.scripted import chunk, says
from engine.serving import BAR, Setting, holding, job_for, serve
from engine.test_engine_early import JSON, LOOP, NO, REST
from properties.test_replay_ledger import recorded

from gateway.core.verdict import CheckSpec, Early, Finding
from router_models.replay.again import UNKNOWN, decide_again
from router_models.replay.policy import Under

CHECKS = (CheckSpec("refusal"), CheckSpec("format"))
SAID = {
    "good": [chunk("All"), chunk(" is well.")],
    "refusal": [chunk("Well. "), chunk(NO)],
    "loop": LOOP,
    "prose": [chunk("Sure: ")],
    "doubt": [chunk("x", logprobs=-2.0)] * 16,
}
POLICIES = {
    "nothing": Early(),
    "refusal": Early(refusal=True),
    "repetition": Early(repetition=True),
    "format": Early(format=True),
    "logprob": Early(logprob=0.5),
    "lax": Early(logprob=0.1),
    "all": Early(0.5, refusal=True, repetition=True, format=True),
}


def declines(request, reply):
    """As the gateway's own check does: by the opening of the first choice."""
    del request
    return Finding("fail", "refusal") if NO in reply.text[:160] else Finding("pass")


def is_json(request, reply):
    if "response_format" not in request.body:
        return Finding("abstain")
    fine = reply.text.startswith("{")
    return Finding("pass") if fine else Finding("fail", "schema_invalid", broken=True)


def setting(early, body, checks=CHECKS, **bar):
    tiers = holding("reply", bar=replace(BAR, checks=checks, early=early, **bar))
    own = Setting(stream=True, tiers=tiers, body=body)
    return replace(own, checks={**own.checks, "refusal": declines, "format": is_json})


async def served(asked, said):
    said = {"small": [*said, *REST], "medium": says("{}", used=(10, 7)), "large": None}
    return (await serve(asked, said)).entry


def again(entry, asked):
    (record,) = recorded(entry)
    return decide_again(Under(job_for(asked).route)(record), record)


@pytest.mark.parametrize("said", SAID)
@pytest.mark.parametrize("then", POLICIES)
async def test_what_is_known_is_what_comes_of_it(said, then):
    body = JSON if said == "prose" else {}
    entry = await served(setting(POLICIES[then], body), SAID[said])
    known = set()
    for name, early in POLICIES.items():
        asked = setting(early, body)
        told = again(entry, asked)
        if told.unknown:
            assert told.unknown == "early"
            continue
        known.add(name)
        really = await served(asked, SAID[said])
        assert told.called == tuple(each.tier.name for each in really.outcome.attempts)
        assert told.served == really.outcome.served.tier.name
        assert told.cost == really.outcome.spent
    assert then in known, "its own policy"
    assert UNKNOWN["early"]


@pytest.mark.parametrize(
    ("said", "then", "now", "known"),
    [
        ("good", "all", "nothing", True),
        ("good", "all", "refusal", True),
        ("good", "nothing", "refusal", True),  # the check of the whole says that it is none
        ("good", "nothing", "format", True),
        ("good", "nothing", "logprob", False),
        ("good", "logprob", "lax", True),
        ("good", "lax", "logprob", False),
        ("good", "nothing", "repetition", False),  # no check would have been failed by a loop
        ("refusal", "nothing", "refusal", False),  # deferred either way, at which cost?
        ("refusal", "refusal", "nothing", False),
        ("loop", "repetition", "nothing", False),
        ("loop", "repetition", "all", False),
        ("doubt", "logprob", "logprob", True),
        ("doubt", "logprob", "lax", False),
    ],
)
async def test_what_is_known(said, then, now, known):
    entry = await served(setting(POLICIES[then], {}), SAID[said])
    assert (again(entry, setting(POLICIES[now], {})).unknown == "") == known


async def test_whole_and_not_cut_off_it_is_taken_not_to_loop():
    checks = (CheckSpec("shape"), *CHECKS)
    entry = await served(setting(Early(), {}, checks), SAID["good"])
    assert not again(entry, setting(POLICIES["repetition"], {}, checks)).unknown


async def test_a_bar_or_a_ceiling_that_would_have_let_it_go_on_or_not():
    """No gain by the next tier, or no money for it: nobody is left then."""
    early = POLICIES["repetition"]
    free = replace(setting(early, {}), p_good=(0.5, 0.6, 0.9))
    tight, poor = (
        replace(setting(early, {}, min_gain=0.7), p_good=free.p_good),
        replace(free, ceiling=10_000),
    )
    left = await served(free, LOOP)
    assert left.outcome.attempts[0].left
    for other in (tight, poor):
        kept = await served(other, LOOP)
        assert not kept.outcome.attempts[0].left
        assert again(left, other).unknown == again(kept, free).unknown == "early"
