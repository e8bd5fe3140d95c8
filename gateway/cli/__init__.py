"""The `waterfall` command: one small file for each of its commands."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import gateway
from gateway.cli import check, demo, route, serve

_COMMANDS = (serve, demo, check, route)


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
    for module in _COMMANDS:
        module.add_to(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
