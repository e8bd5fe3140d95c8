"""`waterfall replay --ledger`: a policy run again over what a ledger has recorded."""

from __future__ import annotations

import argparse
import json
import os
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway.app import read_settings
from gateway.core.routing import Route
from gateway.scoring import open_plain
from gateway.store.connection import LedgerUnusable, Place
from gateway.store.histories import histories, routes
from router_models.commands import common
from router_models.replay.again import UNKNOWN, decide_again
from router_models.replay.figures import Tally
from router_models.replay.policy import Policy, Under, as_recorded
from router_models.replay.recorded import Record, read_records

_OF_SAMPLE = ("seed", "threshold", "since", "until")


def run(args: argparse.Namespace) -> int:
    """Replay. Exit code 1 where a request's own policy does not come to what was recorded."""
    if args.sample is None and (alone := [n for n in _OF_SAMPLE if getattr(args, n) is not None]):
        raise common.UseError(f"--{alone[0]} goes with --sample.")
    if args.threshold is not None and args.config is not None:
        raise common.UseError("--threshold goes without --config.")
    place = common.ledger_place(args.ledger)
    with reading_ledger(place):
        name, without, others = _route(place, args.route)
        policy, notes = _policy(args.config, name)
        if args.sample is None:
            figures = _replay(place, name, policy, prices=args.config is not None).figures()
        else:
            figures = _of_sample(args, place, name, policy)
    told = {
        "ledger": str(place),
        "route": name,
        "policy": _told(args),
        "left_out": without,
        **figures,
        "notes": [*_of_others(name, others), *notes],
    }
    common.show(json.dumps(told, indent=1) if args.json else _text(told))
    other = args.config is not None or args.threshold is not None
    reproduced = other or not figures["otherwise"]
    return 0 if reproduced else 1


@contextmanager
def reading_ledger(place: Place) -> Iterator[None]:
    """Turn what a ledger's reading raises into a UseError that says what to do."""
    try:
        yield
    except (OSError, LedgerUnusable) as error:
        raise common.UseError(
            f"{place} cannot be read as a ledger: {error} If an older version wrote it, start this "
            "one on it once."
        ) from error


def _route(place: Place, wanted: str | None) -> tuple[str, int, list[str]]:
    """Choose the route; say how many of its requests hold nothing to decide them on, and which
    others nobody has chosen between."""
    known = routes(place)
    name = wanted or next(iter(known), "")
    if name not in known:
        there = ", ".join(known) or "nothing"
        raise common.UseError(f"{place} has no requests of a route {name!r}; there is: {there}.")
    total, without = known[name]
    if total == without:
        raise common.UseError(
            f"none of the {total} requests of {name} says what it was decided on: an older version "
            "kept them. Those that come from now on will."
        )
    return name, without, [] if wanted else [each for each in known if each != name]


def _of_others(name: str, others: Sequence[str]) -> list[str]:
    """Say which route was taken where nobody said."""
    if not others:
        return []
    return [f"{name} is the busiest route; --route takes another: {', '.join(others)}"]


def _policy(config: Path | None, name: str) -> tuple[Policy, list[str]]:
    """Return the policy, and what to know of it."""
    if config is None:
        return as_recorded, []
    settings = read_settings(config, os.environ)
    route = settings.routes.get(name)
    if route is None:
        if len(settings.routes) > 1:
            raise common.UseError(f"{config} has no route {name!r}, and several others.")
        route = next(iter(settings.routes.values()))
    scorer = open_plain(route.scorer).label if isinstance(route.scorer, str) else ""
    return Under(route, scorer), _notes(route, name)


def _notes(route: Route, name: str) -> list[str]:
    notes = ["a session's past is as it was recorded: another policy would have latched otherwise"]
    if route.name != name:
        notes.append(f"the policy is that of the route {route.name}")
    if any(tier.bar.early.repetition for tier in route.tiers[:-1]):
        notes.append("a draft that nobody watched and that passed shape is taken not to loop")
    if route.target is not None:
        notes.append("the threshold follows a target: the values that were in force are used")
    if not isinstance(route.scorer, str):
        notes.append("the scorer waits for somebody: the recorded difficulty is used")
    return notes


def _replay(place: Place, name: str, policy: Policy, *, prices: bool) -> Tally:
    tally = Tally()
    with common.progress("replaying", routes(place)[name][0]) as advance:
        for record in read_records(histories(place, name)):
            _add(tally, record, policy, prices=prices)
            advance()
    return tally


def _told(args: argparse.Namespace) -> str:
    if args.threshold is not None:
        return f"recorded, at threshold {args.threshold:g}"
    return str(args.config) if args.config else "recorded"


def _of_sample(args: argparse.Namespace, place: Place, name: str, policy: Policy) -> dict[str, Any]:
    """Replay some requests, drawn by chance."""
    from gateway.store.blocks import Period
    from gateway.store.sample import sample
    from router_models.report.what_if import drawn, tried

    period, seed = Period(args.since, args.until, name), args.seed or 0
    drawn_as = {"seed": seed, "since": args.since, "until": args.until}
    if args.threshold is not None:
        figures = tried(*drawn(place, period, args.sample, seed), args.threshold)
        return drawn_as | figures
    tally = Tally()
    for record in read_records(sample(place, period, args.sample, random.Random(seed))):
        _add(tally, record, policy, prices=args.config is not None)
    return drawn_as | tally.figures()


def _add(tally: Tally, record: Record, policy: Policy, *, prices: bool) -> None:
    plan = policy(record)
    tally.add(record, plan if isinstance(plan, str) else decide_again(plan, record, prices=prices))


def _text(told: dict[str, Any]) -> str:
    """Say it to a person."""
    unknown = "; ".join(f"{n:,} {UNKNOWN[why]}" for why, n in told["unknown"].items())
    starts = ", ".join(f"{n:,} {tier}" for tier, n in told["start"].items())
    escalated = told["escalated"]
    spread = f"{_percent(escalated['at_least'])} to {_percent(escalated['at_most'])}"
    cost = f"{_dollars(told['cost_usd'])}; as recorded {_dollars(told['recorded_cost_usd'])}"
    quality = (
        f"{_quality(told['quality'])}; of the same as recorded {_quality(told['recorded_quality'])}"
    )
    same = f"{told['same']:,} of {told['requests']:,} as recorded"
    lines = [
        f"route      {told['route']}, policy: {told['policy']}",
        f"requests   {told['requests']:,}, known what would come of {told['known']:,}",
        f"unknown    {_percent(told['unknown_share'])}" + (f" ({unknown})" if unknown else ""),
        f"start      {starts}; above the first tier {_range(told['share_up'])}",
        f"escalated  {_range(escalated)}; of all, the unknown either way: {spread}",
        f"cost       {cost}, a request of those that are known",
        f"saved      {_range(told['saved'])} of the baseline's",
        f"quality    {quality}",
        f"the same   {same}, {told['otherwise']:,} otherwise, {told['same_unknown']:,} unknown",
    ]
    if told["left_out"]:
        lines.append(
            f"left out   {told['left_out']:,} that were said again, or that an older version kept"
        )
    return "\n".join([*lines, *(f"note       {note}" for note in told["notes"])])


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1%}"


def _range(found: dict[str, Any]) -> str:
    if found["value"] is None:
        return "unknown"
    return f"{found['value']:.1%} ({found['low']:.1%} to {found['high']:.1%})"


def _dollars(found: dict[str, Any]) -> str:
    if found["value"] is None:
        return "unknown"
    return f"${found['value']:.6f} ({found['low']:.6f} to {found['high']:.6f})"


def _quality(found: dict[str, Any]) -> str:
    if not found["labels"]:
        return "unknown (no labels)"
    return f"{_range(found)} over {found['labels']:,} labels"
