"""The same waterfall under other policies and at another pace: holds, early decisions, hedges,
speculation, latches, and who is slow."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from random import Random

from engine.scripted import Unsent
from properties.drafts import Waterfall, taste

from gateway.core.plan import Hedge, Hold
from gateway.core.routing import Speculation
from gateway.core.verdict import CheckSpec, Early

HOLDS = (Hold(), Hold("tokens", 1), Hold("tokens", 3), Hold("sentence"), Hold("none"))
AFTER = (0.0, 0.0, 0.0, 0.0005)


async def turns():
    """Let the others have a few turns."""
    for _ in range(3):
        await asyncio.sleep(0)


def varied(fall, seed, *, calm=False):
    """Another case of it; `calm` keeps the holds."""
    chance = Random(seed)
    setting = fall.setting
    tiers = tuple(_tier(tier, chance, calm=calm) for tier in setting.tiers)
    low = chance.choice([0.0, 0.0, 0.4])
    guess = Speculation((low, low + 0.6), chance.choice(AFTER)) if chance.random() < 0.6 else None
    setting = replace(
        setting,
        tiers=tiers,
        speculate=guess,
        latched=chance.choice([0, 0, 0, 1, 2]),
        ceiling=chance.choice([setting.ceiling, None, 9_000_000]),
        checks={**setting.checks, "refusal": taste},
    )
    scripts = {name: _scripts(several, chance) for name, several in fall.scripts.items()}
    return Waterfall(setting, scripts, fall.hangs_up)


def _tier(tier, chance, *, calm):
    hedge = Hedge(chance.choice(AFTER), chance.choice(["same", "next"]), 1.0)
    early = Early(
        logprob=chance.choice([None, 0.9]),
        refusal=chance.random() < 0.5,
        repetition=chance.random() < 0.5,
        format=chance.random() < 0.5,
    )
    checks = (*tier.bar.checks, CheckSpec("refusal")) if early.refusal else tier.bar.checks
    return replace(
        tier,
        hold=tier.hold if calm else chance.choice([tier.hold, *HOLDS]),
        hedge=hedge if chance.random() < 0.4 else None,
        bar=replace(tier.bar, early=Early() if calm else early, checks=checks),
    )


def _scripts(several, chance):
    """The scripts, in an order of chance and with silences between their events."""
    ordered = chance.sample(several, len(several)) + chance.choices(several, k=chance.randint(0, 1))
    return [_paced(script, chance) for script in ordered]


def _paced(script, chance):
    slowness = chance.choice([0.0, 0.2, 0.6, 1.0])
    paced = []
    for at, item in enumerate(script):
        if not (at == 0 and isinstance(item, Unsent)) and chance.random() < slowness:
            paced.append(turns)
        paced.append(item)
    return paced
