"""`waterfall prices`: what models cost, and where their prices come from."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli import common, price_lengths
from gateway.config import ConfigError
from gateway.core.money import Price, dollars

if TYPE_CHECKING:
    from gateway.prices.book import Dated
    from gateway.prices.imported import Change, Draft

DEFAULT_FILE = Path("litellm-prices.yaml")
_WORDS = {"gone": "gone, kept", "later": "stays, from"}
_SHOWN = 8
"""Names told of those that were left out for one reason."""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command, and its own."""
    parser = commands.add_parser("prices", help="show, check and import what models cost")
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")
    show = verbs.add_parser("show", help="show the prices of a model, or all that are in force")
    common.add_config(show)
    show.add_argument("model", nargs="?", help="a name such as gpt-5*, or a price's hash")
    show.add_argument("--json", action="store_true", help="print JSON")
    show.set_defaults(run=run_show)
    check = verbs.add_parser("check", help="look for prices that are stale, missing or odd")
    common.add_config(check)
    check.set_defaults(run=run_check)
    add = verbs.add_parser("import", help="take prices over from litellm's price file")
    common.add_config(add)
    add.add_argument(
        "--from-litellm",
        nargs="?",
        const="",
        required=True,
        metavar="FILE",
        help="litellm's model_prices_and_context_window*.json; default: the installed litellm's",
    )
    add.add_argument(
        "--model",
        action="append",
        metavar="NAME",
        help="such as 'gpt-5*'; may be repeated; default: the models of the configuration's tiers",
    )
    add.add_argument(
        "--to", type=Path, default=DEFAULT_FILE, metavar="FILE", help="default: %(default)s"
    )
    add.add_argument(
        "--since", type=_day, metavar="DAY", help="from when changed prices hold; default: today"
    )
    add.add_argument("--yes", action="store_true", help="write without asking")
    add.set_defaults(run=run_import)
    price_lengths.add_to(verbs)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError("must be a day such as 2026-12-01") from error


# ------------------------------------------------------------------ show


def run_show(args: argparse.Namespace) -> int:
    """Show prices. Exit code 2 for a broken book, 1 where there is no such price."""
    from gateway.prices.survey import survey

    try:
        known = survey(args.config)
    except ConfigError as error:
        common.tell(str(error))
        return 2
    wanted = args.model or "*"
    rows = [
        row
        for row in known.rows
        if (args.model or row.in_force)
        and (fnmatchcase(row.model, wanted) or row.dated.price.digest == wanted)
    ]
    if not rows:
        common.tell(f"waterfall: no price is known for {wanted}")
        return 1
    if args.json:
        common.show(json.dumps([row.told() for row in rows], indent=2))
        return 0
    table = [("model", "", "in", "cached", "out", "since", "hash", "from")]
    table += [
        (row.model, "*" if row.in_force else "", *_rates(row.dated.price), *_origin(row.dated))
        for row in rows
    ]
    common.show(common.columns(table))
    if args.model:
        common.show("* in force; US dollars per million tokens. All of each price: --json")
    return 0


def _rates(price: Price) -> tuple[str, str, str]:
    cached = price.input if price.cached_input is None else price.cached_input
    return dollars(price.input), dollars(cached), dollars(price.output)


def _origin(dated: Dated) -> tuple[str, str, str]:
    since = "always" if dated.since == date.min else dated.since.isoformat()
    return since, dated.price.digest, f"{dated.price.version} {dated.source}".strip()


# ------------------------------------------------------------------ check


def run_check(args: argparse.Namespace) -> int:
    """Look for trouble. Exit code 2 for a broken book, 1 where something was found."""
    from gateway.prices.survey import survey

    try:
        known = survey(args.config)
    except ConfigError as error:
        common.tell(str(error))
        return 2
    for book in known.books:
        common.show(f"{book.name}: {book.version}, {book.models} models")
    findings = known.findings()
    for finding in findings:
        common.show(f"- {finding}")
    common.show("Nothing is wrong with these prices." if not findings else f"{len(findings)} found")
    return 1 if findings else 0


# ------------------------------------------------------------------ import


def run_import(args: argparse.Namespace) -> int:
    """Import. Exit code 2 for a file that cannot be read, 1 where nothing was approved."""
    from gateway.prices.book import today
    from gateway.prices.from_litellm import find_file, read_prices
    from gateway.prices.imported import NotOurs, merge
    from gateway.prices.survey import models_of, survey

    path = Path(args.from_litellm) if args.from_litellm else find_file()
    if path is None:
        common.tell("waterfall: litellm is not installed here: name its price file")
        return 2
    patterns = args.model or models_of(args.config)
    if not patterns:
        common.tell(f"waterfall: there are no tiers in {args.config}: say which --model")
        return 2
    since = args.since or today()
    try:
        found = read_prices(path, patterns)
        draft = merge(args.to, found, since)
        own = survey(args.config, without=args.to).in_force()
    except (ConfigError, NotOurs) as error:
        common.tell(f"waterfall: {error}")
        return 2
    except ValueError as error:
        common.tell(f"waterfall: {path} is no price file of litellm's: {error}")
        return 2
    except OSError as error:
        common.tell(f"waterfall: {error.filename}: {error.strerror}")
        return 2
    for reason, models in found.left_out.items():
        more = f" and {len(models) - _SHOWN} more" if len(models) > _SHOWN else ""
        common.show(f"left out, {reason}: {', '.join(models[:_SHOWN])}{more}")
    return _settle(args, draft, own)


def _settle(args: argparse.Namespace, draft: Draft, own: dict[str, Price]) -> int:
    shown = [change for change in draft.changes if change.kind != "same"]
    same = len(draft.changes) - len(shown)
    later = sum(change.kind == "later" for change in shown)
    if shown:
        common.show(
            common.columns([("", "model", "in", "out", "else", "yours"), *_told(shown, own)])
        )
    common.show(f"{len(shown) - later} differ from {args.to}, {same} are the same")
    if later:
        common.show(
            f"{later} prices that are to hold from a later day on stay in it: remove them by "
            "hand if they are no more to come"
        )
    if not draft.differs:
        return 0
    if not args.yes and not _approved(args.to):
        common.tell("waterfall: nothing was written; --yes writes without asking")
        return 1
    args.to.write_text(draft.text, encoding="utf-8")
    common.show(f"{args.to} is written; it counts where prices.file names it")
    return 0


def _approved(path: Path) -> bool:
    if not sys.stdin.isatty():
        return False
    return input(f"Write {path}? [y/N] ").strip().lower() in {"y", "yes"}


def _told(changes: list[Change], own: dict[str, Price]) -> list[tuple[str, ...]]:
    return [
        (
            _WORDS.get(change.kind, change.kind) + (f" {change.since}" if change.since else ""),
            change.model,
            _moved(change, "input"),
            _moved(change, "output"),
            _others(change),
            _against(change.after, own.get(change.model)),
        )
        for change in changes
    ]


def _moved(change: Change, name: str) -> str:
    """Write a rate, and what it was before."""
    before = None if change.before is None else getattr(change.before, name)
    after = None if change.after is None else getattr(change.after, name)
    if after is None or before is None or before == after:
        return dollars((before if after is None else after) or 0)
    return f"{dollars(before)} -> {dollars(after)}{_percent(before, after)}"


def _percent(before: int, after: int) -> str:
    return f" ({(after - before) / before:+.0%})" if before else ""


def _others(change: Change) -> str:
    """Name what else has changed, or what else there is."""
    before = change.before.figures() if change.before else {}
    after = change.after.figures() if change.after else before
    names = [
        name
        for name, value in after.items()
        if name not in {"input", "output"} and value and value != before.get(name)
    ]
    return ", ".join(names)


def _against(after: Price | None, own: Price | None) -> str:
    """Say what the user's own books have, which win over this one."""
    if after is None or own is None or own.figures() == after.figures():
        return ""
    return f"{dollars(own.input)} / {dollars(own.output)} ({own.version})"
