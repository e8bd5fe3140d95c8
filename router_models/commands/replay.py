"""`waterfall replay`: what another policy would have made of what is recorded."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from router_models.commands import common, replay_pairs

_LEDGERS = ("config", "route", "sample", "seed", "since", "until")
"""The options that go with --ledger; those of the other kind are replay_pairs' own."""
_EITHER = "threshold"
MOST = 20_000
"""The largest sample: they are all in memory."""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command."""
    parser = common.add(commands, "replay", run, "run another policy over what is recorded")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--data", type=Path, metavar="FILE", help="a pair file")
    what.add_argument(
        "--ledger", metavar="URL_OR_FILE", help="a ledger: sqlite:///waterfall.db, or its file"
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="with --ledger: run this configuration's policy over it (default: the one that each "
        "request was served under, which must come to the same)",
    )
    parser.add_argument(
        "--route", help="with --ledger: whose requests (default: the busiest route's)"
    )
    _add_sample(parser.add_argument_group("with --ledger: of some requests, drawn by chance"))
    replay_pairs.add_options(parser.add_argument_group("with --data"))
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_sample(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--sample", type=common.count(1, MOST), metavar="N", help="at most so many (default: all)"
    )
    group.add_argument(
        "--seed", type=common.count(0, common.LAST_SEED), help="for what is drawn (default: 0)"
    )
    group.add_argument("--since", type=common.moment, metavar="DATE", help="with --sample; UTC")
    group.add_argument("--until", type=common.moment, metavar="DATE", help="UTC, not included")


def run(args: argparse.Namespace) -> int:
    """Replay. Exit code 1 where a request's own policy does not come to what was recorded, 2 for a
    wrong use, or data that cannot be used."""
    if args.ledger is None:
        if args.data is None:
            raise common.UseError("say what to replay: --data FILE, or --ledger FILE.")
        _refuse(args, _LEDGERS, "--ledger")
        return replay_pairs.run(args)
    _refuse(args, _of_pairs(), "--data")
    from router_models.commands import replay_ledger

    return replay_ledger.run(args)


def _of_pairs() -> Iterable[str]:
    """The options that go with --data."""
    alone = argparse.ArgumentParser()
    replay_pairs.add_options(alone)
    return vars(alone.parse_args([])).keys() - {_EITHER}


def _refuse(args: argparse.Namespace, alone: Iterable[str], beside: str) -> None:
    """Refuse options that would change nothing; what nobody gave is None. Raises UseError."""
    for name in alone:
        if getattr(args, name) is not None:
            raise common.UseError(f"--{name.replace('_', '-')} goes with {beside}.")
