"""`waterfall init`: writes a working configuration from the keys and servers that it finds."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from gateway.cli import common


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command."""
    parser = commands.add_parser("init", help="write a configuration from what is found here")
    common.add_config(parser)
    parser.add_argument("--force", action="store_true", help="write over a file that is there")
    parser.add_argument(
        "--from-litellm",
        type=Path,
        metavar="FILE",
        help="carry over the configuration of LiteLLM's proxy",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write. Exit code 1 when there is nothing to write it from, 2 when it may not be written or
    what was to be carried over cannot be read."""
    if not _may_write(args):
        return 2
    if args.from_litellm is not None:
        return _carry_over(args.from_litellm, args.config)
    return from_surroundings(args.config)


def from_surroundings(path: Path) -> int:
    """Look around, write what was found to `path`, and say so; return an exit code."""
    from gateway.cli.composing import compose, nothing, told
    from gateway.cli.finding import look

    found = look(os.environ)
    for line in told(found):
        common.show(line)
    text = compose(found)
    if text is None:
        common.tell(nothing())
        return 1
    return _write(path, text)


def _may_write(args: argparse.Namespace) -> bool:
    path: Path = args.config
    if args.force or not path.exists():
        return True
    if sys.stdin.isatty() and input(f"{path} is there. Write over it? [y/N] ").lower() == "y":
        return True
    common.tell(f"waterfall: {path} is there and stays as it is; --force writes over it.")
    return False


def _carry_over(source: Path, path: Path) -> int:
    from gateway.cli.from_litellm import CannotCarry, carried

    try:
        text, left = carried(source.read_text("utf-8"), os.environ)
    except OSError as error:
        common.tell(f"waterfall: {source} cannot be read: {error.strerror}")
        return 2
    except UnicodeDecodeError as error:
        common.tell(f"waterfall: {source} is no text in UTF-8 (byte {error.start})")
        return 2
    except CannotCarry as error:
        common.tell(f"waterfall: {source}: {error}")
        return 2
    code = _write(path, text)
    for each in left:
        common.show(f"not carried over: {each}")
    return code


def _write(path: Path, text: str) -> int:
    """Write a configuration, readable by its owner alone, once it is known to be sound."""
    from gateway.config import ConfigError, parse
    from gateway.prices import open_book

    try:
        settings = parse(text, path.name, os.environ, open_book, path.parent)
    except ConfigError as error:
        common.tell(f"waterfall: what would be written is not sound:\n{error}")
        return 2
    try:
        path.write_text(text, "utf-8")
        path.chmod(0o600)
    except OSError as error:
        common.tell(f"waterfall: {path} cannot be written: {error.strerror}")
        return 2
    for route in settings.routes.values():
        ladder = " -> ".join(f"{tier.name} ({tier.model})" for tier in route.tiers)
        common.show(f"wrote {path}: {route.name}: {ladder}")
    common.show("next: waterfall doctor, then waterfall serve")
    return 0
