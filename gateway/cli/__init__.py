"""The `waterfall` command: one small file for each of its commands."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import entry_points
from types import ModuleType
from typing import Final

import gateway
from gateway.cli import (
    chat,
    check,
    completion,
    demo,
    doctor,
    init,
    keys,
    ledger,
    prices,
    route,
    serve,
    top,
)

_COMMANDS: Final = (
    *(serve, init, demo, check, doctor, chat, top),
    *(route, prices, ledger, keys, completion),
)
_OTHERS: Final = "waterfall.commands"
"""Entry points of more commands, each a module like ours: serving needs none of them."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code: 0 well, 1 failed, 2 used or configured wrongly."""
    args = _parser().parse_args(argv)
    try:
        return int(args.run(args))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="waterfall",
        description="An OpenAI-compatible gateway: easy requests are answered by a cheap model "
        "and judged; only hard or badly answered ones fall to a larger one.",
    )
    parser.add_argument("--version", action="version", version=gateway.__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in (*_COMMANDS, *_others()):
        module.add_to(commands)
    return parser


def _others() -> Iterator[ModuleType]:
    """The commands of what is installed beside us; one that cannot be imported stops no other."""
    for entry in entry_points(group=_OTHERS):
        try:
            yield entry.load()
        except ImportError as error:
            print(f"waterfall: without {entry.name}: {error}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
