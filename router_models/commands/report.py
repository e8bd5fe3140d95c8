"""`waterfall report`: what a period cost, saved and lost, from the ledger."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from router_models.commands import common

if TYPE_CHECKING:
    from gateway.store.blocks import Period
    from gateway.store.connection import Place
    from router_models.report.document import Document

FORMATS = ("terminal", "markdown", "json", "html")
_ENDINGS = {".md": "markdown", ".json": "json", ".html": "html", ".htm": "html"}
SAMPLE = 300
_LONGEST = 36_525
"""Days of a period."""
_DEAREST = 1e9
"""US dollars in thirty days."""
_FLOORS = {
    "min_saving": "the least that is saved of the baseline's bill",
    "max_quality_loss": "the most quality that is lost against the baseline tier, by labels",
    "max_escalation": "the most that escalates of what starts under the baseline tier",
    "max_discarded": "the most of what was spent that goes into discarded drafts",
    "max_estimated": "the most of what was spent that rests on estimated tokens",
    "max_unsettled": "the most of what was spent on calls that never settled",
    "max_unpriced": "the most calls without a price, of all requests: 0%%",
    "max_unserved": "the most requests without an answer",
}


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command."""
    parser = common.add(commands, "report", run, "say what a period cost, saved and lost")
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help=f"default without --ledger: {common.CONFIG}"
    )
    parser.add_argument(
        "--ledger", metavar="URL_OR_FILE", help="another ledger than the configuration's"
    )
    parser.add_argument(
        "--since", type=common.moment, metavar="DATE", help="UTC: 2026-11-01[T12:00]"
    )
    parser.add_argument("--until", type=common.moment, metavar="DATE", help="UTC, not included")
    parser.add_argument(
        "--days",
        type=common.amount(0, _LONGEST),
        metavar="N",
        help="so many days before --until, or now",
    )
    parser.add_argument("--route", help="of this route alone")
    parser.add_argument("--format", choices=FORMATS, help="default: by --output, else terminal")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write it there")
    parser.add_argument(
        "--own-cost", type=common.amount(0, _DEAREST, least=True), default=0.0, metavar="USD",
        help="what the gateway itself costs in 30 days, beside what the ledger says",
    )  # fmt: skip
    parser.add_argument(
        "--sample", type=common.count(0), default=SAMPLE, metavar="N",
        help="requests to replay for what other thresholds would come to; 0: none "
        "(default: %(default)s)",
    )  # fmt: skip
    common.add_seed(parser)
    floors = parser.add_argument_group(
        "floors", "exit code 1 when one is broken; shares: 0.3 or 30%%"
    )
    for name, what in _FLOORS.items():
        option = f"--{name.replace('_', '-')}"
        floors.add_argument(option, type=_share, metavar="SHARE", help=what)


def _share(written: str) -> float:
    number = float(written.removesuffix("%")) / (100 if written.endswith("%") else 1)
    if not -10 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{written} is no share: 0.3 or 30%")
    return number


def run(args: argparse.Namespace) -> int:
    """Report. Exit code 1 when a floor is broken, 2 for a wrong use."""
    from gateway.core.money import nano
    from gateway.store.totals import totals
    from router_models.report.figures import Asked, figures
    from router_models.report.floors import judge
    from router_models.report.telling import document
    from router_models.report.telling_doubts import warnings

    settings, path = place(args.config, args.ledger)
    period = _period(args)
    asked = Asked(period, nano(args.own_cost), args.seed)
    prices = {} if settings is None else _cached_prices(settings)
    told: dict[str, Any] = {"ledger": str(path), **figures(totals(path, period), asked, prices)}
    told["floors"] = judge(told, {name: getattr(args, name) for name in _FLOORS})
    told["what_if"] = _what_if(args, path, period, told)
    write(args, told, document)
    for warning in warnings(told):
        common.tell(f"waterfall: {warning}")
    broken = [each for each in told["floors"] if not each["held"]]
    for each in broken:
        common.tell(f"waterfall: {each['what']}: {each['found']}, not {each['limit']}")
    return 1 if broken else 0


def place(config: Path | None, ledger: str | None) -> tuple[Any, Place]:
    """Find the configuration, where there is one, and the ledger. Raises UseError."""
    settings: Any = None
    if config is not None or ledger is None:
        import os

        from gateway.app import read_settings

        path = config or common.CONFIG
        if not path.is_file():
            raise common.UseError(f"there is no {path}; name another --config, or a --ledger.")
        settings = read_settings(path, os.environ)
    if ledger is None:
        return settings, settings.ledger.place
    return settings, common.ledger_place(ledger)


def _period(args: argparse.Namespace) -> Period:
    from gateway.store.blocks import Period

    since = args.since
    if args.days is not None:
        if since is not None:
            raise common.UseError("--days goes without --since.")
        until = args.until or datetime.now(tz=UTC).timestamp()
        since = until - args.days * 86_400.0
    if since is not None and args.until is not None and since >= args.until:
        raise common.UseError("--since comes before --until.")
    return Period(since, args.until, args.route)


def _cached_prices(settings: Any) -> dict[str, float]:
    """By tier, what a token saves for being cached, in nano-dollars, as configured."""
    prices = {name: tier.price for name, tier in settings.tiers.items()}
    return {
        name: (price.input - price.cached_input) / 1_000_000
        for name, price in prices.items()
        if price.cached_input is not None
    }


def _what_if(
    args: argparse.Namespace, path: Place, period: Period, told: dict[str, Any]
) -> dict[str, Any] | None:
    if not args.sample or not told["requests"]:
        return None
    from router_models.report.what_if import try_thresholds

    busiest = max(told["cost"]["route"], key=lambda row: row["requests"])["route"]
    return try_thresholds(path, period, args.route or busiest, args.sample, args.seed)


def write(
    args: argparse.Namespace,
    told: dict[str, Any],
    document: Callable[[dict[str, Any]], Document],
) -> None:
    """Show figures as --format and --output want them."""
    from router_models.report.showing import show

    wanted = args.format or (args.output and _ENDINGS.get(args.output.suffix)) or "terminal"
    text = show(told, document, wanted)
    if args.output is None:
        common.show(text.removesuffix("\n"))
    else:
        args.output.write_text(text, encoding="utf-8")
