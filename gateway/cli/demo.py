"""`waterfall demo`: a real waterfall on this machine, with two tiny models and no key."""

from __future__ import annotations

import argparse


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command."""
    parser = commands.add_parser("demo", help="watch a waterfall at work, with two tiny models")
    parser.add_argument("--simulated", action="store_true", help="simulate the models")
    parser.add_argument("--exit", action="store_true", help="stop after the table")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the demo."""
    from gateway.demo.run import demo

    return demo(simulated=args.simulated, leave=args.exit)
