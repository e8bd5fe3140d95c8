"""`waterfall demo` from its first line to its last."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Coroutine, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from gateway import launcher
from gateway.app import REFUSALS
from gateway.demo import stage
from gateway.demo.figures import Figures, Point, by_accept, by_threshold, cases, figures
from gateway.demo.llama import ModelNotServed
from gateway.demo.picture import Curve, Mark, as_svg, in_characters
from gateway.demo.questions import Question, split
from gateway.demo.traffic import Answered, Run, ask_all
from gateway.demo.view import View, table, verdict

QUESTIONS = 1000
SEED = 20261123
PLAIN = Run("small-plain", "small, plain recipe", "small")
BETTER = Run("small-better", "small, better recipe", "small")
LARGE = Run("all-large", "large alone", "large")
JUDGED = Run("judged", "waterfall, no scorer", "waterfall", {"x-waterfall-threshold": "1"})
FALL = Run("waterfall", "waterfall", "waterfall")
RUNS = (PLAIN, BETTER, LARGE, JUDGED, FALL)
_RELOAD_WITHIN = 15.0
_INTERRUPTED = 130


def demo(*, simulated: bool, leave: bool) -> int:
    """Run the demo; return the exit code. Without llama.cpp the models are simulated, and it says
    so."""
    logging.basicConfig(level=logging.WARNING, format="waterfall: %(message)s")
    console = Console()
    try:
        return launcher.run(_demo(console, simulated=simulated, leave=leave))
    except ModelNotServed as error:
        console.print(f"[yellow]The real models cannot be served here:[/] {error}")
        console.print("The same with simulated ones (waterfall demo --simulated):\n")
        return launcher.run(_demo(console, simulated=True, leave=leave))
    except (RuntimeError, OSError, *REFUSALS) as error:
        console.print(f"[red]The demo cannot run:[/] {error}")
        return 1


async def _demo(console: Console, *, simulated: bool, leave: bool) -> int:
    questions = split(SEED, "demo", QUESTIONS)
    kind = "simulated" if simulated else "real, served by llama.cpp on this machine"
    console.print(
        f"Two tiny models ({kind}), a gateway in front, {len(questions):,} questions with known "
        "answers, half of them hard."
    )
    models = stage.models(simulated=simulated, questions=questions)
    async with contextlib.AsyncExitStack() as stack:
        folder = stack.enter_context(stage.fresh_folder(simulated=simulated))
        small, large, key = await stack.enter_async_context(models)
        settings = stage.settings(small, large, key)
        log = stack.enter_context((folder / "requests.log").open("ab"))
        config = folder / "waterfall.yaml"
        served = await stack.enter_async_context(launcher.running(settings, config, log.fileno()))
        answers = await _unless_stopped(served, _runs(console, served, questions))
        if answers is None:
            return _INTERRUPTED
        await asyncio.to_thread(served.gateway.store.flush)
        # Apart: it reads the whole ledger, and the gateway would tell of a loop that is blocked.
        await asyncio.to_thread(
            _report, console, settings.ledger.path, answers, simulated=simulated
        )
        if not leave:
            _farewell(console, served)
            await served.stopping.wait()
    return 0


async def _unless_stopped(
    served: launcher.Running, runs: Coroutine[Any, Any, dict[str, list[Answered]]]
) -> dict[str, list[Answered]] | None:
    """Wait for the runs; None when Ctrl-C comes first."""
    asking = asyncio.create_task(runs)
    stopping = asyncio.create_task(served.stopping.wait())
    await asyncio.wait({asking, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not served.stopping.is_set():
        return asking.result()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)  # turned away by a stop, or cancelled
    return None


async def _runs(
    console: Console, served: launcher.Running, questions: Sequence[Question]
) -> dict[str, list[Answered]]:
    answers: dict[str, list[Answered]] = {}
    with View(console, RUNS, len(questions)) as view:
        for run in RUNS:
            if run is BETTER:
                await _edit_recipe(served)
            tell = partial(view.told, run)
            answers[run.name] = await ask_all(served.base_url, run, questions, tell)
            view.finished(run)
    return answers


async def _edit_recipe(served: launcher.Running) -> None:
    """Edit the recipe as a user would, and wait until the gateway has noticed."""
    noticed = asyncio.Event()
    served.gateway.on_settings.append(lambda _: noticed.set())
    stage.use_recipe(stage.BETTER)
    async with asyncio.timeout(_RELOAD_WITHIN):
        await noticed.wait()


def _report(
    console: Console, ledger: Path, answers: dict[str, list[Answered]], *, simulated: bool
) -> None:
    found = {run.name: figures(ledger, run, answers[run.name]) for run in RUNS}
    large = found[LARGE.name]
    told = {name: asdict(each) for name, each in found.items()}
    (ledger.parent / "figures.json").write_text(json.dumps(told, indent=2), encoding="utf-8")
    console.print()
    console.print(table(list(found.values()), large))
    sentences = verdict(found[PLAIN.name], found[BETTER.name], large, found[FALL.name])
    console.print("\n".join(sentences))
    console.print(
        "Prices: gpt-4o-mini's and gpt-4.1's list prices of 2026-11-22, on the tokens used."
    )
    _draw(console, ledger, answers, found, simulated=simulated)


def _draw(
    console: Console,
    ledger: Path,
    answers: dict[str, list[Answered]],
    found: dict[str, Figures],
    *,
    simulated: bool,
) -> None:
    """Draw what either knob would do, replayed over the ledger, and where this setting sits."""
    small_right = [answer.right for answer in answers[BETTER.name]]
    large_right = [answer.right for answer in answers[LARGE.name]]
    met = cases(ledger, JUDGED, LARGE, small_right, large_right)
    whole = found[LARGE.name].cost
    settings = stage.current()
    route = settings.routes["waterfall"]
    bar = route.tiers[0].bar
    threshold = route.thresholds[0]
    curves = [
        _curve("judge alone: accept 0 to 1", ".", "#adb5bd", by_accept(met, bar), whole),
        _curve(
            f"scorer too: threshold 1 to 0, accept {bar.accept:g}",
            "o",
            "#0b7285",
            by_threshold(met, bar),
            whole,
        ),
    ]
    marks = [
        _mark(found[BETTER.name], whole, "s", "all small"),
        _mark(found[LARGE.name], whole, "L", "all large"),
        _mark(found[FALL.name], whole, "W", f"waterfall at threshold {threshold:g}"),
    ]
    console.print("\nThe knobs, replayed over the ledger's drafts:\n")
    console.print(in_characters(curves, marks), highlight=False, markup=False)
    title = "What the waterfall costs and gets right" + (" (simulated models)" if simulated else "")
    target = ledger.parent / "curve.svg"
    target.write_text(as_svg(title, curves, marks), encoding="utf-8")
    console.print(f"\nThe same as a picture: {target}")


def _curve(label: str, sign: str, colour: str, points: Sequence[Point], whole: int) -> Curve:
    line = sorted((point.cost / whole, point.accuracy) for point in points)
    return Curve(label, sign, colour, line)


def _mark(found: Figures, whole: int, letter: str, name: str) -> Mark:
    share = found.cost / whole
    label = f"{name}: {found.accuracy:.1%} right, {share:.0%} of the cost"
    return Mark(share, found.accuracy, letter, label)


def _farewell(console: Console, served: launcher.Running) -> None:
    root = served.base_url
    console.print(
        f"""
Still serving on {root} (Ctrl-C stops it). Ask it yourself:

  curl -i {root}/chat/completions -H 'content-type: application/json' \\
    -d '{{"model": "waterfall", "messages": [{{"role": "user", "content": "What is 47+38?"}}]}}'

  from openai import OpenAI
  client = OpenAI(base_url="{root}", api_key="none needed here")
  reply = client.chat.completions.create(
      model="waterfall", messages=[{{"role": "user", "content": "What is 47+38?"}}]
  )

The x-waterfall headers say which tier answered, why, and what it cost. What this demo came to, in
a browser (the token is for this run):

  {served.admin_url}/dashboard/#token={served.gateway.admin_secret}

Next: {stage.FOLDER}/waterfall.yaml is its configuration and {stage.FOLDER}/recipes/small.yaml the
small tier's recipe (edit either while it runs), {stage.FOLDER}/waterfall.db its ledger,
{served.admin_url}/metrics its metrics; docs/map.md says how it works.""",
        highlight=False,
        markup=False,
    )
