"""Chooses the demo's threshold and accept, on questions that the demo does not ask.

    python -m gateway.demo.tune

It runs the demo's traffic over the half of the tune split that the scorer has not learnt from,
replays every pair of the two over the ledger, and
tells the cheapest that does better than all-large by a margin: on as many other questions, chance
alone moves the difference between the two by about a point.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sys
from collections.abc import Sequence

from rich.console import Console

from gateway import launcher
from gateway.core.verdict import Bar
from gateway.demo import stage
from gateway.demo.figures import Case, Point, cases, replay
from gateway.demo.questions import half, split
from gateway.demo.run import BETTER, JUDGED, LARGE
from gateway.demo.traffic import ask_all

DRAWN = 6000
SEED = 11
MARGINS = (0.015, 0.01, 0.005, 0.0)
THRESHOLDS = [step / 50 for step in range(27, 51)]
ACCEPTS = [step / 50 for step in range(10, 51)]


def _cheapest(
    met: Sequence[Case], thresholds: Sequence[float], goal: float
) -> tuple[float, Point] | None:
    points = ((t, replay(met, t, Bar(a))) for t, a in itertools.product(thresholds, ACCEPTS))
    good = [(t, point) for t, point in points if point.accuracy >= goal]
    return min(good, key=lambda each: each[1].cost, default=None)


def _told(best: tuple[float, Point], whole: int) -> str:
    threshold, point = best
    return (
        f"threshold {threshold:g}, accept {point.accept:g}: {point.accuracy:.1%} right at "
        f"{point.cost / whole:.1%} of all-large's cost, {point.up:.0%} by large"
    )


async def tune(console: Console, *, simulated: bool) -> int:
    """Print the choice, and the same with one knob only."""
    questions = [each for each in split(SEED, "tune", DRAWN) if half(each) == 1]
    models = stage.models(simulated=simulated, questions=questions)
    async with contextlib.AsyncExitStack() as stack:
        folder = stack.enter_context(stage.fresh_folder(simulated=simulated))
        stage.use_recipe(stage.BETTER)
        small, large, key = await stack.enter_async_context(models)
        settings = stage.settings(small, large, key)
        quiet = stack.enter_context((folder / "requests.log").open("ab"))
        running = launcher.running(settings, folder / "waterfall.yaml", quiet.fileno())
        served = await stack.enter_async_context(running)
        answers = {
            run.name: await ask_all(served.base_url, run, questions, lambda _: None)
            for run in (BETTER, LARGE, JUDGED)
        }
        await asyncio.to_thread(served.gateway.store.flush)
    small_right = [each.right for each in answers[BETTER.name]]
    large_right = [each.right for each in answers[LARGE.name]]
    met = cases(settings.ledger.path, JUDGED, LARGE, small_right, large_right)
    whole = sum(case.large_cost for case in met)
    level = sum(large_right) / len(large_right)
    console.print(f"small {sum(small_right) / len(met):.1%}, large {level:.1%} right")
    for margin in MARGINS:
        for name, thresholds in (("both", THRESHOLDS), ("accept alone", [1.0])):
            best = _cheapest(met, thresholds, level + margin)
            console.print(f"{margin:+.1%} {name}: {_told(best, whole) if best else 'nothing'}")
    return 0


if __name__ == "__main__":
    sys.exit(launcher.run(tune(Console(), simulated="--simulated" in sys.argv)))
