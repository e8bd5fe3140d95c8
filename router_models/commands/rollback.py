"""`waterfall rollback`: the version before into force again."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from router_models.commands import common


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command."""
    parser = common.add(commands, "rollback", run, "put the scorer in force that was before")
    parser.add_argument("--shelf", type=Path, required=True, metavar="DIR")


def run(args: argparse.Namespace) -> int:
    """Roll back. Exit code 2 when there is nothing to go back to."""
    from router_models.difficulty.shelf import rollback

    was, now = rollback(args.shelf, at=datetime.now(tz=UTC).isoformat(timespec="seconds"))
    common.show(f"{now} is in force again; {was} stays on the shelf.")
    return 0
