"""`waterfall prices lengths`: how long the baseline tier's replies are, by pairs in the ledger."""

from __future__ import annotations

import argparse

from gateway.cli import common
from gateway.core.reply_length import Length, estimate_error, fit_length
from gateway.core.routing import Route

_LEAST = 30
"""Pairs under which a ratio is told, and not recommended."""


def add_to(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command."""
    parser = verbs.add_parser(
        "lengths", help="measure how long the baseline tier's replies are, by pairs in the ledger"
    )
    common.add_config(parser)
    parser.add_argument("--days", type=int, default=30, help="how far back; default: %(default)s")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure. Exit code 2 for a wrong configuration, 1 where there are no pairs."""
    from gateway.app import wall
    from gateway.store.connection import LedgerUnusable
    from gateway.store.ledgers import reading
    from gateway.store.pairs import shadow_pairs

    settings = common.read(args)
    if settings is None:
        return 2
    since, some = wall() - args.days * 86_400, False
    try:
        with reading(settings.ledger.place) as connection:
            for route in settings.routes.values():
                baseline = route.baseline_tier.name
                for tier, pairs in shadow_pairs(connection, baseline, since).items():
                    length = fit_length(pairs)
                    if length is not None and route.tier(tier) is not None:
                        some = True
                        common.show(_told(route, tier, length, pairs))
    except (LedgerUnusable, OSError) as error:
        common.tell(f"waterfall: the ledger {settings.ledger.place} cannot be read: {error}")
        return 1
    if not some:
        common.tell(
            f"waterfall: no request of {args.days} days was answered by two tiers: set shadow"
        )
    return 0 if some else 1


def _told(route: Route, tier: str, length: Length, pairs: list[tuple[int, int]]) -> str:
    inside, base = route.reply_ratio(tier), route.baseline_tier.name
    off = estimate_error(pairs, inside) or 0.0
    lines = [
        f"route {route.name}, {tier}: {length.pairs} replies that {base} has given too",
        f"  its are {length.ratio:.3f} times as long, standard error {length.error:.3f}",
        f"  estimated with {inside:g}, as configured: {off:+.1%} in sum",
        f"  a single one is off by {length.typical:.0%} on average, whatever the ratio",
    ]
    if length.pairs >= _LEAST:
        lines.append(f"  baseline: {{reply: {{{tier}: {length.ratio:.3f}}}}}")
    else:
        lines.append(f"  too few to go by: {_LEAST} are wanted")
    return "\n".join(lines)
