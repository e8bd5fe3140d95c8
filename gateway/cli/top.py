"""`waterfall top`: how a running gateway stands, in a terminal, anew every two seconds."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from gateway.cli import common

if TYPE_CHECKING:
    import httpx

URL: Final = "http://127.0.0.1:9090"
KEY: Final = "WATERFALL_ADMIN_KEY"
DAY: Final = 86_400.0
MONEY_EVERY: Final = 10.0
"""Seconds between two looks at what was saved, which reads the ledger."""
_CLEAR: Final = "\x1b[H\x1b[J"
_LATE: Final = 5.0
Series = Mapping[str, Sequence[Mapping[str, Any]]]


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command."""
    parser = commands.add_parser("top", help="how a running gateway stands, anew all the time")
    parser.add_argument("--url", default=URL, help="its admin listener (default: %(default)s)")
    common.add_key_file(parser, "the admin key, or this run's token,", KEY)
    parser.add_argument(
        "--every", type=float, default=2.0, metavar="SECONDS", help="default: %(default)s"
    )
    parser.add_argument("--once", action="store_true", help="once, as text, and end")
    parser.add_argument("--json", action="store_true", help="once, as JSON, and end")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Show it until interrupted. Exit code 1 where the gateway cannot be asked."""
    import httpx

    key = common.read_key(args, KEY)
    if key is None:
        return 2
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        with httpx.Client(base_url=args.url, headers=headers, timeout=_LATE * 2) as client:
            if args.once or args.json:
                told = _look(client)
                common.show(json.dumps(told, indent=1) if args.json else "\n".join(_lines(told)))
            else:
                _follow(client, max(0.2, args.every))
    except (httpx.HTTPError, _Refused) as error:
        common.tell(f"waterfall: {args.url} cannot be asked: {error}")
        return 1
    return 0


class _Refused(Exception):
    """The gateway has answered, and not with figures."""


def _follow(client: httpx.Client, every: float) -> None:
    before, money, asked = None, None, 0.0
    while True:
        now = time.monotonic()
        if now - asked >= MONEY_EVERY:
            money, asked = None, now
        told = _look(client, before, money)
        before, money = told, told["money"]
        sys.stdout.write(_CLEAR + "\n".join(_lines(told)) + "\n")
        sys.stdout.flush()
        time.sleep(every)


def _look(
    client: httpx.Client,
    before: Mapping[str, Any] | None = None,
    money: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Ask for how things stand; rates are since `before`, and `money` is what is known of it."""
    now: Series = _get(client, "now")
    at = time.monotonic()
    until = datetime.now(tz=UTC).timestamp()
    money = money or _get(client, f"money?since={until - DAY}&until={until}")
    tiers = {
        tier: {
            "requests": _sum(now, "waterfall_requests_total", tier=tier),
            "errors": _sum(now, "waterfall_upstream_errors_total", tier=tier),
            "rate": None,
        }
        for tier in sorted({each["labels"]["tier"] for each in now["waterfall_requests_total"]})
    }
    for tier, told in tiers.items() if before else ():
        was = before["tiers"].get(tier) if before else None
        if was and before:
            told["rate"] = max(0.0, told["requests"] - was["requests"]) / (at - before["at"])
    return {
        "at": at,
        "url": str(client.base_url),
        "version": _get(client, "about")["version"] if before is None else before["version"],
        "workers": _sum(now, "waterfall_workers"),
        "under_way": _sum(now, "waterfall_in_flight_requests"),
        "ledger_behind": _sum(now, "waterfall_ledger_oldest_unflushed_seconds"),
        "tiers": tiers,
        "thresholds": {
            each["labels"]["route"]: each["value"] for each in now.get("waterfall_threshold", ())
        },
        "alarms": [
            f"{each['labels']['route']}: {each['labels']['kind']}"
            for each in now.get("waterfall_drift_alarm", ())
            if each["value"]
        ],
        "money": {name: money[name] for name in ("requests", "bill", "saved_share", "sums")},
    }


def _get(client: httpx.Client, name: str) -> Any:
    answer = client.get(f"/dashboard/api/{name}")
    if answer.status_code == 401:
        raise _Refused(f"it wants its admin key, or this run's token: --key-file, or ${KEY}")
    if answer.status_code != 200:
        raise _Refused(f"it says {answer.status_code}: {answer.text[:200]}")
    return answer.json()


def _sum(now: Series, name: str, **labels: str) -> float:
    rows = (row for row in now.get(name, ()) if labels.items() <= row["labels"].items())
    return float(sum(row["value"] for row in rows))


def _lines(told: Mapping[str, Any]) -> Iterator[str]:
    """Say it to a person."""
    money, bill = told["money"], told["money"]["bill"]
    yield f"waterfall {told['version']}  {told['url']}  {told['workers']:.0f} process(es)"
    rates = [each["rate"] for each in told["tiers"].values() if each["rate"] is not None]
    rate = f"{sum(rates):.1f}" if rates else "..."
    behind = f"the record {told['ledger_behind']:.1f} s behind"
    yield f"{rate} requests/s, {told['under_way']:.0f} under way, {behind}"
    yield ""
    count = money["requests"]
    yield f"last 24 hours  {count:,} requests, {_part(money['sums']['escalated'], count)} escalated"
    share = money["saved_share"]["value"]
    saved = "no baseline" if share is None else f"saved {_usd(bill['saved'])}, {share:.1%}"
    yield f"               {saved}; spent {_usd(bill['actual'])} of {_usd(bill['baseline'])}"
    yield ""
    total = sum(each["requests"] for each in told["tiers"].values())
    rows = [("since the start", "requests", "share", "a second", "failed calls")]
    rows += [
        (
            "no answer" if tier == "none" else tier,
            f"{each['requests']:,.0f}",
            _part(each["requests"], total),
            "..." if each["rate"] is None else f"{each['rate']:.1f}",
            f"{each['errors']:,.0f}",
        )
        for tier, each in told["tiers"].items()
    ]
    yield from common.columns(rows).splitlines()
    yield ""
    for route, threshold in sorted(told["thresholds"].items()):
        yield f"{route}: starts higher from difficulty {threshold:g}"
    for alarm in told["alarms"]:
        yield f"drift: {alarm}"


def _part(count: float, of: float) -> str:
    return f"{count / of:.1%}" if of else "-"


def _usd(nano: int) -> str:
    value = nano / 1e9
    return f"{'-' if value < 0 else ''}${abs(value):,.{2 if abs(value) >= 1 else 6}f}"
