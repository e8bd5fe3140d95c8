"""`waterfall reconcile`: the ledger held against what a provider billed."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any

from gateway.store.connection import Place
from router_models.commands import common
from router_models.commands.report import FORMATS, place, write


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command."""
    parser = common.add(commands, "reconcile", run, "hold the ledger against a provider's bill")
    parser.add_argument(
        "--invoice", type=Path, nargs="+", required=True, metavar="FILE",
        help="usage and cost exports, of one provider: OpenAI's or Anthropic's CSV or JSON, or a "
        "CSV with date, model, input_tokens, cached_tokens, output_tokens, cost_usd",
    )  # fmt: skip
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help=f"default without --ledger: {common.CONFIG}"
    )
    parser.add_argument(
        "--ledger", metavar="URL_OR_FILE", help="another ledger than the configuration's"
    )
    parser.add_argument(
        "--same", action="append", type=_pair, default=[], metavar="BILLED=OURS",
        help="a model that the bill calls otherwise than the ledger; may be given again",
    )  # fmt: skip
    parser.add_argument(
        "--timezone", type=zone, default="UTC", metavar="ZONE",
        help="whose midnight ends the bill's days: +02:00 or Europe/Berlin (default: UTC)",
    )  # fmt: skip
    parser.add_argument("--upstream", metavar="NAME", help="the ledger's calls of this one alone")
    parser.add_argument(
        "--min-capture", type=_ratio, metavar="SHARE",
        help="exit code 1 when less of the bill was recorded: 97%%",
    )  # fmt: skip
    parser.add_argument(
        "--max-capture", type=_ratio, metavar="SHARE", help="the same when more was: 103%%"
    )
    parser.add_argument("--format", choices=FORMATS, help="default: by --output, else terminal")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write it there")


def zone(written: str) -> tzinfo:
    """Read a zone: UTC, a name, or hours and minutes from it."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    if written[:1] in {"+", "-"}:
        try:
            found = datetime.strptime(written, "%z").tzinfo
        except ValueError:
            raise argparse.ArgumentTypeError(f"{written} is no zone: +02:00") from None
        return found or UTC
    try:
        return UTC if written == "UTC" else ZoneInfo(written)
    except (ZoneInfoNotFoundError, ValueError):
        raise argparse.ArgumentTypeError(f"{written} is no zone: Europe/Berlin") from None


def _pair(written: str) -> tuple[str, str]:
    billed, equals, ours = written.partition("=")
    if not (billed and equals and ours):
        raise argparse.ArgumentTypeError(f"{written} is not BILLED=OURS")
    return billed, ours


def _ratio(written: str) -> float:
    number = float(written.removesuffix("%")) / (100 if written.endswith("%") else 1)
    if not 0 <= number <= 10:
        raise argparse.ArgumentTypeError(f"{written} is no share: 0.97 or 97%")
    return number


def run(args: argparse.Namespace) -> int:
    """Reconcile. Exit code 1 when too little, or too much, was recorded, 2 for a wrong use."""
    from gateway.store.recorded import recorded_calls
    from router_models.invoice.billed import InvoiceError, table
    from router_models.invoice.days import better_zone
    from router_models.invoice.exports import read_export
    from router_models.invoice.hold import by_day, hold
    from router_models.invoice.telling import document

    _, path = place(args.config, args.ledger)
    try:
        read = {each: read_export(each) for each in args.invoice}
    except InvoiceError as error:
        raise common.UseError(str(error)) from error
    billed = table(line for _, lines in read.values() for line in lines)
    since, until = _span([day for _, day in billed])
    _require_kept(path, [day for _, day in billed], args.timezone)
    rows = [
        row
        for row in recorded_calls(path, since, until)
        if args.upstream in {None, row["upstream"]}
    ]
    same = dict(args.same)
    offset = datetime.fromtimestamp(since, UTC).astimezone(args.timezone).utcoffset() or timedelta()
    told: dict[str, Any] = {
        "ledger": str(path),
        "exports": [f"{each.name} ({kind})" for each, (kind, _) in read.items()],
        "timezone": str(args.timezone),
        **hold(billed, by_day(rows, args.timezone), same),
        "better_zone": better_zone(rows, billed, same, offset.total_seconds() / 3600),
    }
    total = told["total"]
    told["captured"] = total["captured_tokens"] if total["billed"] is None else total["captured"]
    told["held"] = _held(args, told["captured"], told["without_cost"])
    write(args, told, document)
    if told["without_cost"]:
        names = ", ".join(told["without_cost"])
        common.tell(f"waterfall: the export has no cost of {names}: no floor is held by that")
    return 0 if told["held"] else 1


def _require_kept(path: Place, days: list[str], zone: tzinfo) -> None:
    """Refuse days whose calls have been deleted: they would be told as never recorded. Raises
    UseError."""
    from gateway.store.recorded import recorded_from

    start = recorded_from(path)
    gone = sorted(
        {
            day
            for day in days
            if datetime.fromisoformat(day).replace(tzinfo=zone).timestamp() < start
        }
    )
    if gone:
        before = datetime.fromtimestamp(start, UTC).strftime("%Y-%m-%d %H:%M")
        raise common.UseError(
            f"{path} has no calls of before {before} UTC any more (ledger.retention, or export "
            f"--delete), and the bill has {gone[0]} to {gone[-1]}: leave those days out of it."
        )


def _held(args: argparse.Namespace, captured: float | None, without_cost: list[str]) -> bool:
    if captured is None:
        return args.min_capture is None
    if without_cost and not (args.min_capture is None and args.max_capture is None):
        return False
    low = args.min_capture is None or captured >= args.min_capture
    return low and (args.max_capture is None or captured <= args.max_capture)


def _span(days: list[str]) -> tuple[float, float]:
    """The hours that any zone's days of the bill lie in."""
    if not days:
        return 0.0, 0.0
    first = datetime.fromisoformat(min(days)).replace(tzinfo=timezone(timedelta(hours=14)))
    last = datetime.fromisoformat(max(days)).replace(tzinfo=timezone(timedelta(hours=-12)))
    return first.timestamp(), (last + timedelta(days=1)).timestamp()
