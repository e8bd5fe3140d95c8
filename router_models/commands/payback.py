"""`waterfall payback`: whether a fine-tuned model pays back, against what, and when never."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from router_models.commands import common
from router_models.commands.report import FORMATS, place, write

if TYPE_CHECKING:
    from router_models.payback.plan import Weighed

_GIVEN = {
    "tuned": "models.tuned",
    "prompted": "models.prompted",
    "large": "models.large",
    "volume": "volume",
    "instructions": "tokens.instructions",
    "cache_share": "cache.share",
    "horizon": "horizon",
}
"""Options that win over what the file says, and where that says it."""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command."""
    parser = common.add(
        commands, "payback", run, "say when a fine-tuned model pays back, and when not"
    )
    parser.add_argument("plan", type=Path, metavar="FILE", help="YAML, as docs/payback.md has it")
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="whose price book to use (default: the built-in)",
    )
    parser.add_argument(
        "--ledger", metavar="URL_OR_FILE",
        help="take volume, tokens and escalations from there: with --tier",
    )  # fmt: skip
    parser.add_argument("--tier", metavar="NAME", help="the ledger's tier that would be tuned")
    parser.add_argument(
        "--days", type=float, default=30.0, metavar="N", help="of the ledger (default: %(default)g)"
    )
    parser.add_argument("--tuned", metavar="MODEL", help="a model of the price book")
    parser.add_argument("--prompted", metavar="MODEL", help="the one that has the whole prompt")
    parser.add_argument("--large", metavar="MODEL", help="the one that needs neither")
    parser.add_argument("--volume", type=float, metavar="N", help="requests a month")
    parser.add_argument("--instructions", type=float, metavar="TOKENS")
    parser.add_argument("--cache-share", type=common.share, help="of the instructions")
    parser.add_argument("--horizon", type=float, metavar="MONTHS")
    parser.add_argument("--format", choices=FORMATS, help="default: by --output, else terminal")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write it there")
    parser.add_argument(
        "--must-pay", action="store_true",
        help="exit code 1 unless it pays back within the horizon, against the cheapest alternative",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Weigh. Exit code 1 where --must-pay is not met, 2 for a wrong use."""
    from router_models.commands.payback_file import open_plan, parse_plan
    from router_models.payback.telling import document
    from router_models.payback.weigh import weigh

    given = {place: getattr(args, name) for name, place in _GIVEN.items()}
    known = {place: value for place, value in given.items() if value is not None}
    measured, days = _measured(args)
    opened, book = open_plan(args.plan), _book(args.config)

    def plan_of(figures: Mapping[str, float | None] | None) -> Weighed:
        return parse_plan(deepcopy(opened), book, known, figures)

    told = weigh(plan_of(measured))
    told["measured"] = (
        None
        if measured is None
        else {
            "tier": args.tier,
            "says_volume": args.volume is None,
            **measured,
        }
    )
    told["band"] = None if measured is None else _band(told, plan_of, measured, days)
    write(args, told, document)
    best = min(told["against"].values(), key=lambda found: found["cost"])
    return 1 if args.must_pay and not best["within"] else 0


def _band(
    told: dict[str, Any],
    plan_of: Callable[[Mapping[str, float | None]], Weighed],
    measured: Mapping[str, float | None],
    days: Sequence[Mapping[str, float]],
) -> dict[str, int]:
    """Put beside what was told of each alternative what other days may have made of it, where there
    are days enough; return of how many days, and how often they were drawn."""
    from router_models.payback.band import LEAST, bands, drawn

    if len(days) < LEAST:
        return {"days": len(days), "draws": 0}
    plans = [plan_of(each) for each in drawn(days, measured)]
    for name, found in bands(plans).items():
        if name in told["against"]:
            told["against"][name]["band"] = found
    return {"days": len(days), "draws": len(plans)}


def _measured(
    args: argparse.Namespace,
) -> tuple[dict[str, float | None] | None, list[Mapping[str, float]]]:
    """What the ledger says of the tier, where it is asked, as a whole and by its days. Raises
    UseError."""
    if (args.ledger is None) != (args.tier is None):
        raise common.UseError("--ledger goes with --tier, whose calls it is asked for.")
    if args.ledger is None:
        return None, []
    from datetime import UTC, datetime

    from gateway.store.recorded import tier_usage, usage_by_day

    _, path = place(None, args.ledger)
    since = datetime.now(tz=UTC).timestamp() - args.days * 86_400
    found = tier_usage(path, args.tier, since)
    if not found["calls"]:
        raise common.UseError(f"{path} has no answered call of {args.tier} in {args.days:g} days.")
    return found, usage_by_day(path, args.tier, since)


def _book(config: Path | None) -> Any:
    """The prices of models: a configuration's book, or the built-in one."""
    import os

    from gateway.app import read_settings
    from gateway.config.settings import PriceSettings
    from gateway.prices import open_book

    settings = PriceSettings() if config is None else read_settings(config, os.environ).prices
    return open_book(settings)
