"""The same waterfall where combiners judge, and say which checks are worth their price."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from properties.drafts import Waterfall

from gateway.core.combine import Combiner, Curve, Stage
from gateway.core.verdict import ABSTAIN, CheckSpec, Finding

FREE, PAID = ("taste", "sure"), ("second", "panel")
PRICES = {"second": 900_000, "panel": 300_000}


def asked(places):
    """A check that is bought: its confidence hangs on what it reads, which is a few places."""

    def check(request, reply):
        confidence = sum(map(ord, "".join(choice.text for choice in reply.choices))) % places
        return Finding("pass", confidence=confidence / places) if confidence else ABSTAIN

    return check


def weighed(fall, seed):
    """Another case of it: each tier has a combiner, and paid checks with bands or without."""
    chance = Random(seed)
    setting = fall.setting
    setting = replace(
        setting,
        tiers=tuple(_tier(tier, chance) for tier in setting.tiers),
        p_good=tuple(sorted(chance.random() for _ in setting.tiers)) if seed % 3 else (),
        ceiling=chance.choice([setting.ceiling, None, 1_500_000]),
        checks={**setting.checks, "second": asked(5), "panel": asked(7)},
    )
    return Waterfall(setting, fall.scripts, fall.hangs_up)


def _tier(tier, chance):
    paid = tuple(chance.sample(PAID, chance.randint(0, 2)))
    loose = tuple(name for name in PAID if name not in paid and chance.random() < 0.3)
    specs = tuple(CheckSpec(name, PRICES[name]) for name in (*paid, *loose))
    stages = tuple(_stage(FREE + paid[:bought], chance) for bought in range(len(paid) + 1))
    bands = {name: _band(chance) for name in paid if chance.random() < 0.7}
    combiner = Combiner("drawn@1", FREE, paid, stages, bands)
    checks = (*tier.bar.checks, *specs)
    bar = replace(
        tier.bar,
        accept=chance.uniform(0.3, 0.8),
        checks=checks,
        combiner=combiner if chance.random() < 0.9 else None,
        at_once=chance.random() < 0.3,
    )
    return replace(tier, bar=bar)


def _stage(checks, chance):
    return Stage(_curve(checks, chance), _curve(checks, chance, offset=1.5))


def _curve(checks, chance, offset=0.0):
    said = {check: chance.uniform(0.0, 1.2) for check in checks}
    silent = {check: chance.uniform(-0.3, 0.3) for check in checks}
    return Curve(offset + chance.uniform(-1, 1), chance.random(), chance.random(), said, silent)


def _band(chance):
    low, high = sorted((chance.random(), chance.random()))
    return low, high
