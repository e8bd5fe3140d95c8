"""`waterfall route "prompt"`: what would happen to a prompt, and why; calls no model."""

from __future__ import annotations

import argparse
import json
from typing import Any

from gateway.cli import common, targets
from gateway.core.chat import ChatRequest
from gateway.core.errors import GatewayError
from gateway.core.routing import Overrides, Route, make_plan
from gateway.core.signals import measure
from gateway.store.connection import Place


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command."""
    parser = commands.add_parser("route", help="show where a prompt would start, and why")
    common.add_config(parser)
    parser.add_argument("prompt")
    parser.add_argument("--route", default=None, help="default: the first route")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Plan a prompt. Exit code 2 for a wrong configuration or route, 1 where nothing can serve."""
    settings = common.read(args)
    if settings is None:
        return 2
    name = args.route or next(iter(settings.routes))
    if name not in settings.routes:
        common.tell(f"waterfall: no route {name!r}; there is: {', '.join(settings.routes)}")
        return 2
    from gateway.scoring import UNUSABLE

    try:
        told = plan(settings.routes[name], args.prompt, settings.ledger.place)
    except GatewayError as error:
        common.tell(f"waterfall: {error.message}")
        return 1
    except UNUSABLE as error:
        common.tell(f"waterfall: {error}")
        return 2
    common.show(json.dumps(told, indent=2) if args.json else _text(told))
    return 0


def plan(route: Route, prompt: str, ledger: Place) -> dict[str, Any]:
    """Plan a one-message request for `route`, as JSON values, by the thresholds that a ledger says
    are in force, and by the base of a scorer that waits, which `asks` names where it would be
    asked. Raises GatewayError, or one of scoring.UNUSABLE."""
    from gateway.scoring import try_scorers

    body = {"model": route.name, "messages": [{"role": "user", "content": prompt}]}
    signals = measure(ChatRequest(body))
    opened = try_scorers({route.name: route})
    opened.drop()
    difficulty = opened.bases[route.name].score(signals)
    assessor = opened.assessors.get(route.name)
    settled = assessor.settle(difficulty) if assessor else difficulty
    tuned = targets.in_force(ledger, route, opened.deciding[route.name])
    difficulty, thresholds = tuned.apply(route, settled or difficulty)
    made = make_plan(route, signals, difficulty, Overrides(thresholds=thresholds))
    return {
        "route": route.name,
        "difficulty": difficulty.value,
        "gain": difficulty.gain,
        "scorer": difficulty.scorer,
        "asks": assessor.label if assessor and settled is None else None,
        "thresholds": list(thresholds),
        "tuning": tuned.describe(route.name),
        "start": {"tier": made.tiers[0].name, "reason": made.reason},
        "tiers": [tier.name for tier in made.tiers],
        "p_good": dict(made.p_good),
    }


def _text(told: dict[str, Any]) -> str:
    gain = "" if told["gain"] is None else f", gain {told['gain']:+.3f}"
    chances = ", ".join(f"{name} {value:.2f}" for name, value in told["p_good"].items())
    start = told["start"]
    lines = [
        f"difficulty {told['difficulty']:.3f}{gain} by {told['scorer']}",
        f"starts at {start['tier']} ({start['reason']}), {_thresholds(told)}",
        f"then may fall through {' -> '.join(told['tiers'])}",
    ]
    if told["asks"]:
        lines.insert(1, f"but {told['asks']} would be asked first, and may say otherwise")
    return "\n".join([*lines, f"expected to be good: {chances}"] if chances else lines)


def _thresholds(told: dict[str, Any]) -> str:
    tuning = told["tuning"]
    if tuning is None:
        return "no threshold"
    among = "its own traffic" if tuning["reference"] == "own" else "the scorer's reference"
    return f"thresholds {told['thresholds']} ({tuning['basis']}), ranked among {among}"
