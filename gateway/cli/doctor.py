"""`waterfall doctor`: looks for everything that would go wrong, and names each cure."""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict

from gateway.cli import common
from gateway.cli.findings import Finding, fail, ok, written
from gateway.config import ConfigError, Settings
from gateway.config.quantities import size as bytes_of


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command."""
    told = "look for what would go wrong, and name each cure; asks each tier for a few tokens"
    parser = commands.add_parser("doctor", help=told)
    common.add_config(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--offline", action="store_true", help="ask no upstream anything (and spend nothing)"
    )
    parser.add_argument(
        *("--need-free",), type=_size, default="1GB", metavar="SIZE", help="of disk; default: 1GB"
    )
    parser.set_defaults(run=run)


def _size(written: str) -> int:
    return bytes_of(written, most=1 << 50)


def run(args: argparse.Namespace) -> int:
    """Look. Exit code 0 when nothing fails (warnings are no failure), 1 when something does, 2
    when the configuration cannot be read."""
    found, code = _examine(args)
    if args.json:
        common.show(json.dumps({"findings": [asdict(each) for each in found]}, indent=2))
        return code
    common.show(written(found))
    failed = sum(each.grade == "fail" for each in found)
    warned = sum(each.grade == "warn" for each in found)
    common.show(f"\n{len(found)} looked at, {failed} failed, {warned} to think of.")
    return code


def _examine(args: argparse.Namespace) -> tuple[list[Finding], int]:
    from gateway.api.doors import refuse_open_door
    from gateway.app import REFUSALS, read_settings
    from gateway.cli.callings import callings
    from gateway.cli.surroundings import surroundings

    path = args.config
    if not path.exists():
        cure = "`waterfall init` writes one from the keys and servers that it finds"
        return [fail("config", f"there is no {path}", cure)], 2
    try:
        settings = read_settings(path, os.environ)
        refuse_open_door(settings)
    except REFUSALS as error:
        return _refused(error), 2
    found = [_sound(settings), *surroundings(settings, args.need_free)]
    if not args.offline:
        found += callings(settings)
    return found, 1 if any(each.grade == "fail" for each in found) else 0


def _refused(error: Exception) -> list[Finding]:
    cure = "mend that line; `waterfall check` says when it is right"
    told = error.problems if isinstance(error, ConfigError) else [error]
    return [fail("config", str(each), cure) for each in told]


def _sound(settings: Settings) -> Finding:
    routes = ", ".join(settings.routes)
    return ok("config", f"sound ({settings.digest}); routes: {routes}")
