"""`waterfall serve`: the gateway itself."""

from __future__ import annotations

import argparse
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.cli import common

if TYPE_CHECKING:
    from gateway.launcher import Served


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command."""
    parser = commands.add_parser("serve", help="serve a configuration until stopped")
    common.add_config(parser)
    parser.add_argument(
        "--auto",
        action="store_true",
        help="where there is no configuration, write what `waterfall init` finds, and serve that",
    )
    parser.add_argument("--host", help="in place of server.host")
    parser.add_argument("--port", type=_port, help="in place of server.port; 0 takes a free one")
    parser.add_argument("--workers", type=_workers, help="in place of server.workers: processes")
    parser.set_defaults(run=run)


def _port(written: str) -> int:
    return _whole(written, 0, 65535)


def _workers(written: str) -> int:
    return _whole(written, 1, 64)


def _whole(written: str, least: int, most: int) -> int:
    number = int(written)
    if not least <= number <= most:
        raise argparse.ArgumentTypeError(f"{number} is not from {least} to {most}")
    return number


def run(args: argparse.Namespace) -> int:
    """Serve. Exit code 2 for a configuration that cannot be served."""
    if args.auto and not args.config.exists():
        from gateway.cli.init import from_surroundings

        if code := from_surroundings(args.config):
            return code
    settings = common.read(args)
    if settings is None:
        return 2
    from gateway import launcher
    from gateway.app import REFUSALS

    logging.basicConfig(level=logging.INFO, format="waterfall: %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    changed = {"host": args.host, "port": args.port, "workers": args.workers}
    server = replace(settings.server, **{k: v for k, v in changed.items() if v is not None})
    try:
        return launcher.run(launcher.serve(settings, args.config, announce, server))
    except REFUSALS as error:
        common.tell(f"waterfall: {error}")
        return 2


def announce(served: Served) -> None:
    """Say where it listens."""
    from gateway.launcher import describe

    for line in describe(served):
        common.tell(f"waterfall: {line}")
