"""`waterfall ledger`: what waits for the ledger and what is in it, its days as files, questions."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli import common

if TYPE_CHECKING:
    from gateway.config import Settings
    from gateway.store.status import Status

_NO_PARQUET = "Parquet needs pyarrow and duckdb: pip install 'waterfall-gateway[parquet]'."


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its own."""
    parser = commands.add_parser(
        "ledger",
        help="what waits for the ledger; its days as Parquet; questions to those",
        description="Looks at a ledger, whether it can be had or not, and keeps its closed days.",
    )
    inner = parser.add_subparsers(required=True, metavar="WHAT")
    status = inner.add_parser("status", help="what is waiting, and what is there")
    common.add_config(status)
    status.add_argument("--json", action="store_true", help="as JSON")
    status.set_defaults(run=_status)
    _add_export(inner)
    find = inner.add_parser("find", help="what goes by an id: a request, an entry, a trace")
    common.add_config(find)
    find.add_argument("id", metavar="ID", help="x-request-id, entry_id, or a trace's 32 digits")
    find.set_defaults(run=_find)
    query = inner.add_parser("query", help="ask exported days in SQL, by DuckDB")
    query.add_argument(
        "sql", metavar="SQL", help="over request, attempt, call, check_result, label"
    )
    query.add_argument("--from", dest="folder", type=Path, required=True, metavar="DIR")
    query.set_defaults(run=_query)


def _add_export(inner: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    export = inner.add_parser("export", help="write closed days as Parquet files")
    common.add_config(export)
    export.add_argument("--to", type=Path, required=True, metavar="DIR", help="the files' folder")
    export.add_argument(
        "--before",
        type=date.fromisoformat,
        metavar="DAY",
        help="days before this one, as 2026-11-25, in UTC (default: all that are over)",
    )
    export.add_argument(
        "--delete",
        action="store_true",
        help="then delete those days from the ledger, each once its files have been read back",
    )
    export.set_defaults(run=_export)


def _status(args: argparse.Namespace) -> int:
    """Exit code 1 where the ledger cannot be had."""
    from gateway.store.status import status
    from gateway.store.store import spool_of

    settings = common.read(args)
    if settings is None:
        return 2
    place = settings.ledger.place
    found = status(place, spool_of(place, settings.ledger.spool))
    print(json.dumps(asdict(found), indent=1) if args.json else _told(found))
    return 0 if found.held else 1


def _find(args: argparse.Namespace) -> int:
    """Exit code 1 where nothing goes by that id."""
    from gateway.store.read import find

    settings = common.read(args)
    if settings is None:
        return 2
    try:
        found = find(settings.ledger.place, args.id)
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    if not found:
        print(f"Nothing in {settings.ledger.place} goes by {args.id}.", file=sys.stderr)
        return 1
    print(json.dumps(found, indent=1))
    return 0


def _export(args: argparse.Namespace) -> int:
    settings = common.read(args)
    if settings is None:
        return 2
    if find_spec("pyarrow") is None:
        common.tell(_NO_PARQUET)
        return 2
    today = datetime.now(tz=UTC).date()
    before = min(args.before or today, today)
    return _keep(settings, args.to, before, delete=args.delete)


def _keep(settings: Settings, folder: Path, before: date, *, delete: bool) -> int:
    from gateway.store.connection import LedgerUnusable
    from gateway.store.deletion import delete_exported
    from gateway.store.parquet import ExportError, export

    place = settings.ledger.place
    try:
        export(place, folder, before, lambda day, what: print(f"{day}  {what}", flush=True))
        if delete:
            delete_exported(place, folder, before, lambda day: print(f"{day}  deleted"))
    except (ExportError, LedgerUnusable, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _query(args: argparse.Namespace) -> int:
    if find_spec("duckdb") is None:
        common.tell(_NO_PARQUET)
        return 2
    from gateway.store.duck import ask

    try:
        print(ask(args.folder, args.sql))
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _told(found: Status) -> str:
    """Say it to a person."""
    rows = sum(each.rows for each in found.waiting)
    size = sum(each.bytes for each in found.waiting)
    most = "" if found.exact else " at most"
    oldest = min((each.oldest for each in found.waiting if each.oldest), default=None)
    calls = sum(each.open_calls for each in found.waiting)
    lines = [
        f"ledger     {found.ledger}",
        f"spool      {found.spool}",
        f"waiting    {rows:,} rows{most} ({_size(size)}), {_ago(oldest)}; {calls:,} open calls",
    ]
    for each in found.waiting:
        state = {True: "alive", False: "dead: the next start takes over", None: "unknown"}
        if each.rows or each.open_calls or each.settled_calls or each.alive is False:
            lines.append(
                f"  {each.process}  {state[each.alive]}, {each.rows:,} rows, {each.open_calls:,} "
                f"open calls, {each.settled_calls:,} settled, {each.torn_bytes:,} bytes torn"
            )
    held = found.held
    if held is None:
        return "\n".join([*lines, f"not to be had: {found.why}"])
    lines += [
        f"layout     {held.layout} (this version's: {found.layout})",
        f"size       {_size(held.bytes)}",
        f"requests   {_day(held.oldest)} to {_day(held.newest)}",
        "rows       " + ", ".join(f"{name} {count:,}" for name, count in held.rows.items()),
        f"roll-ups   {held.due_hours:,} hours due",
    ]
    if held.kept_from:
        lines.append(f"deleted    what began before {_day(held.kept_from)}")
    lines += [f"  {name}  {_size(each)}" for name, each in held.partitions.items()]
    return "\n".join(lines)


def _ago(at: float | None) -> str:
    if at is None:
        return "none old"
    seconds = max(0.0, datetime.now(tz=UTC).timestamp() - at)
    return f"the oldest for {timedelta(seconds=round(seconds))}"


def _day(at: float | None) -> str:
    return "none" if at is None else f"{datetime.fromtimestamp(at, tz=UTC):%Y-%m-%d %H:%M} UTC"


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
