"""`waterfall keys`: makes, lists, rotates and revokes keys of the store."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gateway.cli import common

if TYPE_CHECKING:
    from gateway.config import Settings
    from gateway.store.key_desk import KeyDesk, Made

_OFF = "The keys of the store are off: write `key_store: {enabled: true}` into the configuration."


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its own."""
    parser = commands.add_parser(
        "keys",
        help="keys that clients may come with: made, listed, rotated, revoked",
        description="Keys in the ledger's database. A change is known everywhere within 2 seconds.",
    )
    inner = parser.add_subparsers(required=True, metavar="WHAT")
    create = _command(inner, "create", "make a key, and show it this once", _create)
    create.add_argument("name", metavar="NAME", help="for the record, and to revoke it by")
    create.add_argument("--routes", metavar="A,B", help="those it may use (default: all)")
    create.add_argument("--allow", metavar="A,B", help="of tier, threshold, mode (default: none)")
    create.add_argument(
        "--limits",
        metavar="YAML",
        help="as in the configuration: '{rpm: 60, budget_usd: {day: 5}}'",
    )
    create.add_argument("--expires", metavar="30d", help="after this time (default: never)")
    _command(inner, "list", "every key, without its text", _list)
    rotate = _command(inner, "rotate", "another text in a key's place, shown this once", _rotate)
    rotate.add_argument("name", metavar="NAME")
    rotate.add_argument("--grace", metavar="1h", help="the old one is good so much longer")
    revoke = _command(inner, "revoke", "make a key good no more", _revoke)
    revoke.add_argument("name", metavar="NAME")


def _command(
    inner: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    about: str,
    run: Callable[[argparse.Namespace, Settings, KeyDesk], int],
) -> argparse.ArgumentParser:
    parser = inner.add_parser(name, help=about)
    common.add_config(parser)
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(run=lambda args: _run(args, run))
    return parser


def _run(
    args: argparse.Namespace, run: Callable[[argparse.Namespace, Settings, KeyDesk], int]
) -> int:
    from gateway.app import CLOCKS
    from gateway.core.errors import GatewayError
    from gateway.spending import key_desk

    settings = common.read(args)
    if settings is None:
        return 2
    desk = key_desk(settings, CLOCKS)
    if desk is None:
        common.tell(_OFF)
        return 2
    try:
        return run(args, settings, desk)
    except ValueError as error:
        common.tell(str(error))
        return 2
    except (GatewayError, OSError) as error:
        common.tell(str(error))
        return 1


def _create(args: argparse.Namespace, settings: Settings, desk: KeyDesk) -> int:
    from gateway.config import ConfigError
    from gateway.config.stored_keys import stored_key
    from gateway.config.text import read

    wanted: dict[str, Any] = {
        word: getattr(args, word).split(",") for word in ("routes", "allow") if getattr(args, word)
    }
    try:
        if args.limits:
            wanted["limits"] = read(args.limits, "--limits", {}).data
        stored_key(args.name, wanted, settings.routes)
    except ConfigError as error:
        raise ValueError(str(error)) from error
    if any(key.name == args.name for key in settings.keys):
        raise ValueError(f"The configuration has a key {args.name!r} already.")
    _show(args, desk.create(args.name, wanted, _seconds("--expires", args.expires)))
    return 0


def _list(args: argparse.Namespace, settings: Settings, desk: KeyDesk) -> int:
    from gateway.app import CLOCKS
    from gateway.store.key_desk import told

    del settings
    rows = [told(key, CLOCKS.wall()) for key in desk.list()]
    if args.json:
        common.show(json.dumps({"keys": rows}))
        return 0
    head = ["name", "key", "state", "made", "expires", "may"]
    table = [[r["name"], r["shown"], r["state"], *_times(r), _may(r)] for r in rows]
    common.show(common.columns([head, *table]) if rows else "There are no keys.")
    return 0


def _rotate(args: argparse.Namespace, settings: Settings, desk: KeyDesk) -> int:
    del settings
    _show(args, desk.rotate(args.name, _seconds("--grace", args.grace) or 0.0))
    return 0


def _revoke(args: argparse.Namespace, settings: Settings, desk: KeyDesk) -> int:
    del settings
    desk.revoke(args.name)
    told = {"name": args.name, "state": "revoked"}
    common.show(json.dumps(told) if args.json else f"{args.name} is revoked.")
    return 0


def _show(args: argparse.Namespace, made: Made) -> None:
    """The text alone goes to standard output, so that it can be piped where it belongs."""
    if args.json:
        common.show(json.dumps({"name": made.key.name, "key": made.text}))
        return
    common.tell(f"The key {made.key.name}, shown this once:")
    common.show(made.text)


def _seconds(option: str, written: str | None) -> float | None:
    from gateway.config.quantities import kept_for

    if written is None:
        return None
    try:
        return kept_for(written)
    except ValueError as error:
        raise ValueError(f"{option} {error}") from error


def _times(row: dict[str, Any]) -> list[str]:
    return [_day(row["created_at"]), _day(row["expires_at"])]


def _day(at: float | None) -> str:
    return "" if at is None else f"{datetime.fromtimestamp(at, tz=UTC):%Y-%m-%d %H:%M}"


def _may(row: dict[str, Any]) -> str:
    told = {word: row[word] for word in ("routes", "allow", "limits") if row.get(word)}
    return json.dumps(told) if told else "everything but overrides"
