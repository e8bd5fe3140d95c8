"""`waterfall tune`: a threshold from a share of the traffic, or from a quality to be kept."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from router_models.cascade.options import add_evidence
from router_models.commands import common, tune_jointly

if TYPE_CHECKING:
    from gateway.core.signals import Signals
    from router_models.commands.ground import Ground
    from router_models.difficulty.thresholds import Choice

LAST = 10_000


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command."""
    parser = common.add(commands, "tune", run, "choose a threshold for a share or a quality")
    parser.add_argument("--config", type=Path, metavar="FILE", help=f"default: {common.CONFIG}")
    parser.add_argument("--route", help="default: the first route")
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument(
        "--target-share",
        type=common.share,
        metavar="S",
        help="send this much of the traffic up; needs no labels",
    )
    target.add_argument(
        "--target-quality",
        type=common.share,
        metavar="Q",
        help="keep this part of the strong tier's quality; needs labels at both tiers",
    )
    target.add_argument(
        "--target-cost",
        type=common.share,
        metavar="C",
        help="spend at most this part of what the strong tier alone costs, judging answers too",
    )
    parser.add_argument(
        "--confidence",
        type=common.share,
        metavar="C",
        help="promise the quality with this probability, not only on average",
    )
    parser.add_argument(
        "--plug-in",
        action="store_true",
        help="what would have done on these very labels, which is not a promise",
    )
    common.add_data(parser, required=False)
    parser.add_argument(
        "--last",
        type=common.count(1),
        metavar="N",
        help=f"without --data: requests of the ledger looked at (default: {LAST:,})",
    )
    _add_judging(parser)
    parser.add_argument("--write", action="store_true", help="put it into the configuration")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_judging(parser: argparse.ArgumentParser) -> None:
    """Add what tunes the judging of answers, together with the threshold."""
    parser.add_argument(
        "--judge",
        action="store_true",
        help="fit both thresholds even where no evidence is named but what is free",
    )
    parser.add_argument(
        "--ledger",
        metavar="URL_OR_FILE",
        help="fit both to a ledger's labelled requests (with --judge or --out and without --data: "
        "to the configuration's)",
    )
    add_evidence(parser)
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="fit both thresholds, and keep the combiner there"
    )
    parser.add_argument("--label", help=f"the combiner's: {tune_jointly.LABEL}")
    parser.add_argument(
        "--min-gain", type=common.share, help=f"the bar's: {tune_jointly.MIN_GAIN:g}"
    )


def run(args: argparse.Namespace) -> int:
    """Tune. Exit code 1 when nothing can be promised or nothing is known yet, 2 for a wrong use."""
    from router_models.commands.ground import open_ground

    if tune_jointly.is_asked(args):
        return tune_jointly.run(args)
    _check(args)
    ground = open_ground(args)
    choice = _by_share(args, ground) if args.target_share is not None else _by_quality(args, ground)
    written = args.write and _write(args, ground, choice)
    told = _told(args, ground, choice, written=written)
    common.show(json.dumps(told, indent=1) if args.json else _text(args, told, choice))
    return 0 if choice.threshold is not None else 1


def _write(args: argparse.Namespace, ground: Ground, choice: Choice) -> bool:
    """Put the threshold into the configuration, if there are both."""
    from router_models.commands.edit import write_threshold

    if choice.threshold is None or ground.route is None:
        return False
    path, name = args.config or common.CONFIG, ground.route.name
    # The number is a rank among the artefact's reference, and would mean another among the own one.
    write_threshold(path, name, choice.threshold, pin=ground.moves)
    return True


def _check(args: argparse.Namespace) -> None:
    """Refuse options that would change nothing. Raises UseError."""
    if args.target_quality is None and (args.confidence is not None or args.plug_in):
        raise common.UseError("--confidence and --plug-in go with --target-quality.")
    if args.target_quality is None and args.tiers:
        raise common.UseError("--tiers goes with --target-quality: a share needs no labels.")
    if args.data and args.last is not None:
        raise common.UseError("--last is of the ledger, which --data takes the place of.")
    if args.confidence is not None and args.plug_in:
        raise common.UseError("a plug-in threshold has no confidence: leave one of the two out.")
    if args.confidence is not None and not 0 < args.confidence < 1:
        raise common.UseError("--confidence must be over 0 and under 1, like 0.95.")
    if args.target_quality is not None and not 0 < args.target_quality < 1:
        raise common.UseError("--target-quality must be over 0 and under 1, like 0.98.")


# --------------------------------------------------------------------------- the two targets


def _by_share(args: argparse.Namespace, ground: Ground) -> Choice:
    from router_models.difficulty.data import read_prompts
    from router_models.difficulty.thresholds import Choice, for_share

    values = _values(ground, read_prompts(args.data)) if args.data else _recent(args, ground)
    return for_share(values, args.target_share) if values else Choice(None, "share", 0, missing=1)


def _by_quality(args: argparse.Namespace, ground: Ground) -> Choice:
    from router_models.difficulty import thresholds

    if args.data:
        values, weak, strong = _labelled_rows(args, ground)
        traffic: list[float] = []
    else:
        values, weak, strong = _labelled_requests(args, ground)
        traffic = _recent(args, ground)
    if args.plug_in:
        if not values:
            return thresholds.Choice(None, "plug-in", 0, missing=1)
        return thresholds.plug_in(values, weak, strong, args.target_quality, traffic)
    return thresholds.for_quality(
        values, weak, strong, args.target_quality, args.confidence, traffic
    )


def _labelled_rows(
    args: argparse.Namespace, ground: Ground
) -> tuple[list[float], list[float], list[float]]:
    """Values and labels of --data, without what the scorer was trained on: that it knows by heart,
    so a promise of it would say nothing of other requests."""
    from gateway.scorers.hashes import question_hash
    from router_models.difficulty.evaluate import seen_by

    outcomes = common.read_data(args, once=True)
    known = seen_by(ground.scorer)
    rows = [row for row in outcomes.rows if question_hash(row.signals.text) not in known]
    if met := len(outcomes.rows) - len(rows):
        common.tell(f"{met:,} rows left out: the scorer was trained on their questions")
    values = _values(ground, [row.signals for row in rows])
    return values, [row.scores[0] for row in rows], [row.scores[-1] for row in rows]


def _labelled_requests(
    args: argparse.Namespace, ground: Ground
) -> tuple[list[float], list[float], list[float]]:
    """The same from the configuration's ledger: requests with a label at both ends of the route."""
    if ground.route is None:
        raise common.UseError("without a configuration, give --data.")
    first, last = args.tiers[:1] + args.tiers[-1:] or (
        ground.route.tiers[0].name,
        ground.route.tiers[-1].name,
    )
    found = ground.archive.labelled(ground.route.name, ground.scorer.label, args.last or LAST)
    fresh = [each for each in found if not each.met]
    if met := len(found) - len(fresh):
        common.tell(
            f"{met:,} labelled requests left out: the scorer was trained on their questions"
        )
    both = [each for each in fresh if first in each.good and last in each.good]
    common.tell(f"{len(fresh):,} labelled requests, {len(both):,} of them at {first} and {last}")
    values = [ground.rank(each.score) for each in both]
    return values, [each.good[first] for each in both], [each.good[last] for each in both]


def _recent(args: argparse.Namespace, ground: Ground) -> list[float]:
    if ground.route is None:
        raise common.UseError("without a configuration, give --data.")
    found = ground.archive.recent(ground.route.name, ground.scorer.label, args.last or LAST)
    return [ground.value(each.score, each.value) for each in found]


def _values(ground: Ground, prompts: Sequence[Signals]) -> list[float]:
    values = []
    with common.progress("scoring", len(prompts)) as advance:
        for signals in prompts:
            said = ground.scorer.score(signals)
            values.append(ground.value(said.ranked, said.value))
            advance()
    return values


# --------------------------------------------------------------------------- telling


def _told(
    args: argparse.Namespace, ground: Ground, choice: Choice, *, written: bool
) -> dict[str, Any]:
    return {
        "route": ground.route.name if ground.route else None,
        "scorer": ground.scorer.label,
        "reference": "own" if ground.own else "artefact",
        "target": {"share": args.target_share}
        if args.target_share is not None
        else {"quality": args.target_quality, "confidence": args.confidence},
        "threshold": choice.threshold,
        "kind": choice.kind,
        "promise": choice.promises,
        "n": choice.n,
        "missing": choice.missing,
        "share": _figure(choice.share),
        "quality": _figure(choice.quality),
        "written": written,
        "note": MOVES if ground.moves and choice.threshold is not None else None,
    }


def _figure(found: tuple[float, float, float] | None) -> dict[str, float | None]:
    value, low, high = found or (None, None, None)
    return {"value": value, "low": low, "high": high}


MOVES = (
    "once the gateway has seen 200 requests it ranks by its own traffic, and this number stands "
    "for another share: `reference: artefact` beside it keeps its meaning (--write puts it there), "
    "`threshold: {target_share: ...}` and `{target_quality: ...}` follow traffic"
)
MEANINGS = {
    "share": "label-free: it keeps the share, and says nothing of quality",
    "expectation": "a promise on average over such calibrations (conformal risk control), as long "
    "as the traffic stays like these requests",
    "probability": "a promise with the confidence asked for (Learn then Test), as long as the "
    "traffic stays like these requests",
    "plug-in": "not a promise: about half of such thresholds miss their target on other requests",
}


def _text(args: argparse.Namespace, told: dict[str, Any], choice: Choice) -> str:
    if choice.threshold is None:
        kind = "requests" if choice.kind == "share" else "labels"
        behind = f"{choice.n:,} {kind} are there, at least {choice.missing:,} more are needed"
        return f"no threshold: {behind}."
    lines = [f"threshold {choice.threshold:g} ({choice.kind}: {MEANINGS[choice.kind]})"]
    lines.append(f"sends up  {_percent(choice.share)}")
    if choice.quality:
        lines.append(f"quality   {_percent(choice.quality)} of the strong tier's")
    lines.append(f"behind it {choice.n:,} {'requests' if choice.kind == 'share' else 'labels'}")
    lines.append(f"scorer    {told['scorer']}, ranked by its {told['reference']} reference")
    if told["note"]:
        lines.append(f"note      {told['note']}")
    if told["written"]:
        lines.append(f"written   to {args.config or common.CONFIG}, route {told['route']}")
    return "\n".join(lines)


def _percent(found: tuple[float, float, float] | None) -> str:
    if found is None:
        return "unknown"
    value, low, high = found
    return f"{value:.1%} (95 %: {low:.1%} to {high:.1%})"
