"""`waterfall replay`: what another policy would have made of what is recorded."""

from __future__ import annotations

import argparse
from pathlib import Path

from router_models.commands import common


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command."""
    parser = common.add(commands, "replay", run, "run a policy over what a ledger has recorded")
    parser.add_argument(
        "--ledger",
        metavar="URL_OR_FILE",
        required=True,
        help="a ledger: sqlite:///waterfall.db, or its file",
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="run this configuration's policy over it (default: the one that each request was "
        "served under, which must come to the same)",
    )
    parser.add_argument("--route", help="whose requests (default: the busiest route's)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Replay. Exit code 1 where a request's own policy does not come to what was recorded, 2 for a
    wrong use."""
    from router_models.commands import replay_ledger

    return replay_ledger.run(args)
