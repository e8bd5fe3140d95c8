"""`waterfall check`: validate a configuration and show what it comes to; starts nothing.

With `--online` it also asks each upstream for its models, which costs nothing.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from gateway.cli import common, targets
from gateway.config import Settings
from gateway.core.money import dollars
from gateway.core.plan import Tier
from gateway.core.routing import Route
from gateway.core.scorer_spec import scorer_name

if TYPE_CHECKING:
    from gateway.cli.online import Found


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command."""
    parser = commands.add_parser("check", help="validate a configuration and show its routes")
    common.add_config(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--online", action="store_true", help="also ask each upstream for its models"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check. Exit code 2 for a configuration with a mistake, 1 for an upstream with one."""
    settings = common.read(args)
    if settings is None:
        return 2
    from gateway.api.doors import refuse_open_door
    from gateway.app import REFUSALS
    from gateway.checks.opening import try_examiners
    from gateway.scoring import notes, try_scorers

    try:
        refuse_open_door(settings)
        try_scorers(settings.routes).drop()
        try_examiners(settings.checks)
    except REFUSALS as error:
        common.tell(f"waterfall: {error}")
        return 2
    found = _asked(settings) if args.online else []
    if args.json:
        online = {each.upstream: asdict(each) for each in found}
        told = describe(settings) | ({"online": online} if args.online else {})
        common.show(json.dumps(told, indent=2))
    else:
        common.show(_text(settings))
        for note in notes(settings.routes):
            common.show(f"\n{note}")
        for each in found:
            common.show(f"upstream {each.upstream}: {'ok' if each.ok else 'FAILS'}, {each.told}")
    return 0 if all(each.ok for each in found) else 1


def _asked(settings: Settings) -> list[Found]:
    from gateway.cli.online import ask_all

    return ask_all(settings)


def describe(settings: Settings) -> dict[str, object]:
    """Return what a configuration comes to, as JSON values; money in dollars a million tokens."""
    return {
        "config": settings.digest,
        "routes": {name: _route(route) for name, route in settings.routes.items()},
        "aliases": dict(settings.aliases),
        "keys": [key.name for key in settings.keys],
        "warnings": list(settings.warnings),
    }


def _route(route: Route) -> dict[str, object]:
    return {
        "tiers": [_tier(tier) for tier in route.tiers],
        "thresholds": list(route.thresholds),
        "target": targets.describe(route),
        "reference": route.reference,
        "baseline": route.baseline_tier.name,
        "mode": route.mode,
        "scorer": scorer_name(route.scorer),
        "candidate": route.candidate,
        "deadline_seconds": route.deadline,
        "max_cost_usd": None if route.ceiling is None else dollars(route.ceiling),
    }


def _tier(tier: Tier) -> dict[str, object]:
    return {
        "tier": tier.name,
        "model": tier.model,
        "upstream": tier.upstream,
        "input_usd_per_million": dollars(tier.price.input),
        "output_usd_per_million": dollars(tier.price.output),
        "price_version": tier.price.version,
        "recipe": tier.recipe.label if tier.recipe else None,
        "hold": tier.hold.policy,
        "accept": tier.bar.accept,
        "checks": [spec.name for spec in tier.bar.checks],
    }


def _text(settings: Settings) -> str:
    lines = [f"This configuration is sound ({settings.digest})."]
    for route in settings.routes.values():
        lines.append(f"\nroute {route.name}: {targets.told(route)}; {route.mode}")
        tried = f"; candidate {route.candidate}" if route.candidate else ""
        lines.append(f"  scorer: {scorer_name(route.scorer)}{tried}")
        for tier in route.tiers:
            price = f"${dollars(tier.price.input)} in, ${dollars(tier.price.output)} out"
            recipe = f", recipe {tier.recipe.label}" if tier.recipe else ""
            where = " and ".join(tier.upstreams)
            lines.append(f"  {tier.name}: {tier.model} at {where}, {price}{recipe}")
            if tier is not route.tiers[-1]:
                asked = ", ".join(spec.name for spec in tier.bar.checks)
                hold = f"{tier.hold.policy} {tier.hold.tokens or ''}".strip()
                lines.append(f"    bar: accept {tier.bar.accept:g} by {asked}; hold {hold}")
    lines += [f"\nwarning: {warning}" for warning in settings.warnings]
    return "\n".join(lines)
