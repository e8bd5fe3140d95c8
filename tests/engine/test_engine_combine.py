"""A bar's combiner in the engine: what it says of a whole reply, and of a draft's beginning."""

from __future__ import annotations

from dataclasses import replace

import pytest
from engine.scripted import chunk, says
from engine.serving import LARGE, SMALL, Setting, holding, serve

from gateway.core.combine import Combiner, Curve, Stage
from gateway.core.verdict import ABSTAIN, Bar, CheckSpec, Early, Finding

A, B = says("small ", "answer", used=(10, 7)), says("large ", "answer", used=(10, 7))


def curve(offset, *checks, prior=0.0):
    return Curve(offset, prior, 0.0, dict.fromkeys(checks, 1.0), dict.fromkeys(checks, 0.0))


def bar(*, prior=0.0, accept=0.7):
    stages = (
        Stage(curve(0.0, "taste", prior=prior), curve(3.0, "taste")),
        Stage(curve(0.0, "taste", "panel"), curve(3.0, "taste", "panel")),
    )
    combiner = Combiner("own@1", ("taste",), ("panel",), stages, {"panel": (0.3, 0.8)})
    return Bar(accept, 0.05, (CheckSpec("taste"), CheckSpec("panel", 70)), combiner=combiner)


def setting(bar, *, taste, panel=None, hold="reply", **more):
    """Two tiers under this bar, whose free check and paid one find these."""
    found = {"taste": taste, "panel": panel}
    checks = {name: lambda request, reply, name=name: found[name] for name in found}
    tiers = holding(hold, replace(SMALL, bar=bar), replace(LARGE, bar=bar))
    return Setting(tiers=tiers, checks=checks, **more)


def sure(confidence):
    return Finding("pass", confidence=confidence)


@pytest.mark.parametrize(
    ("taste", "panel", "served", "asked"),
    [
        (sure(0.95), None, "small", ["taste"]),
        (sure(0.1), None, "large", ["taste"]),
        (sure(0.5), sure(0.9), "small", ["taste", "panel"]),
        (sure(0.5), sure(0.2), "large", ["taste", "panel"]),
        (sure(0.75), sure(0.2), "large", ["taste", "panel"]),
    ],
)
async def test_evidence_is_bought_in_the_middle_and_changes_the_verdict(
    taste, panel, served, asked
):
    story = await serve(setting(bar(), taste=taste, panel=panel), {"small": A, "large": B})
    assert story.ending == served
    first = story.entry.outcome.attempts[0]
    assert [item.check for item in first.evidence] == asked


@pytest.mark.parametrize(("p_good", "served"), [((0.9, 0.95), "small"), ((0.3, 0.95), "large")])
async def test_what_the_scorer_says_of_the_tier_counts(p_good, served):
    with_prior = setting(bar(prior=1.0), taste=ABSTAIN, panel=ABSTAIN, p_good=p_good)
    story = await serve(with_prior, {"small": A, "large": B})
    assert story.ending == served


async def test_a_prefix_is_held_on_while_a_check_could_still_save_it():
    """On its beginning it would be deferred; what is bought for the whole reply turns that."""
    held = setting(bar(), taste=sure(0.5), panel=sure(0.9), hold=("tokens", 1), stream=True)
    story = await serve(held, {"small": A, "large": B})
    assert (story.called, story.ending) == ("small", "small")


async def test_a_prefix_that_nothing_could_save_is_left_at_once():
    lost = setting(bar(), taste=sure(0.1), hold=("tokens", 1), stream=True)
    story = await serve(lost, {"small": A, "large": B})
    assert (story.called, story.ending) == ("small large", "large")
    assert story.entry.outcome.attempts[0].left


async def test_a_prefix_of_which_nobody_has_a_word_passes():
    silent = setting(bar(), taste=ABSTAIN, panel=sure(0.1), hold=("tokens", 1), stream=True)
    story = await serve(silent, {"small": A, "large": B})
    assert (story.called, story.ending) == ("small", "small")
    assert story.entry.outcome.served.verdict.reason == "prefix_passed"


async def test_a_draft_that_is_lost_to_a_check_it_does_not_weigh_is_left_early():
    """No check that could be bought would save it."""
    early = replace(bar(), checks=(*bar().checks, CheckSpec("refusal")), early=Early(refusal=True))
    refused = [chunk("I'm sorry, but I can"), chunk("never"), chunk(finish="stop")]
    lost = setting(early, taste=sure(0.5), panel=sure(0.9), stream=True)
    story = await serve(lost, {"small": refused, "large": B})
    assert (story.ending, story.upstream.left) == ("large", ["small"])
    assert [item.check for item in story.entry.outcome.attempts[0].evidence] == ["early"]
