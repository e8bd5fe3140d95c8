"""The rows that `waterfall tune` fits both thresholds to: a pair file's, or a ledger's."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from gateway.app import read_settings
from gateway.config import Settings
from gateway.config.bar import CHECKS
from gateway.core.database_url import DatabaseUrl
from gateway.core.routing import Route
from gateway.scorers.hashes import question_hash
from gateway.store.connection import Place
from gateway.store.histories import histories
from gateway.store.training import NothingToLearn, route_prompts
from router_models.cascade import ledger
from router_models.cascade.ground import Ground, by_scorer, folds_of, prepare
from router_models.cascade.options import read_evidence
from router_models.cascade.pairs import Pairs
from router_models.commands import common
from router_models.commands.ground import Ground as Opened
from router_models.commands.ground import open_ground
from router_models.commands.replay_ledger import reading_ledger
from router_models.difficulty.evaluate import seen_by
from router_models.difficulty.formats import DataError, is_ledger

AGREEMENT: Final = "agreement"
_OF_FILES: Final = ("samples", "sample_models", "sample_prompts", "sample_price", "check_price")
"""Options that say what a file does not; a ledger has it."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What is fitted to: `ground`, the name of the `source` that it is from, what there is to tell
    of how it was come by, and whether the gateway will come to rank scores among other traffic."""

    ground: Ground
    source: str
    moves: bool = False
    told: dict[str, Any] = field(default_factory=dict)


def rows_asked_for(args: argparse.Namespace) -> Rows:
    """Read what --data or --ledger names, else the configuration's ledger. Raises DataError,
    ConfigError, ArtefactError or UseError."""
    if args.ledger or not args.data or is_ledger(args.data[0]):
        return _of_ledger(args)
    settings = _settings(args)
    pairs = read_evidence(args, args.data[0])
    if args.write and settings is not None:
        _require_checks(args, settings, (*pairs.free, *pairs.paid))
    return _of_pairs(args, pairs)


# --------------------------------------------------------------------------- a pair file


def _settings(args: argparse.Namespace) -> Settings | None:
    """Read the configuration, where there is one: a wrong name is told before anything is fitted.
    Raises ConfigError or UseError."""
    path = args.config or common.CONFIG
    if args.config is None and not path.exists() and not args.write:
        if args.route is not None:
            raise common.UseError("--route is a configuration's: give --config FILE.")
        return None
    settings = read_settings(path, os.environ)
    if args.route is not None and args.route not in settings.routes:
        known = ", ".join(settings.routes)
        raise common.UseError(f"no route {args.route!r}; there is: {known}")
    return settings


def _require_checks(args: argparse.Namespace, settings: Settings, checks: Sequence[str]) -> None:
    """Refuse evidence of a check that the configuration could not put. Raises UseError."""
    known = {*CHECKS, *settings.checks}
    missing = [check for check in checks if check not in known]
    if not missing:
        return
    check = missing[0]
    _, _, samples = check.partition(f"{AGREEMENT}_")
    how = f"checks: {{{check}: {{kind: agreement, samples: {samples or 1}}}}}"
    told = f"write, for instance, {how}" if check == AGREEMENT or samples else "put it there"
    raise common.UseError(
        f"{args.config or common.CONFIG} defines no check {check!r} under `checks`, and what is "
        f"fitted may come to need it: {told}, or tune without --write."
    )


def _of_pairs(args: argparse.Namespace, pairs: Pairs) -> Rows:
    """The configuration's scorer says how difficult the rows are that it was not trained on;
    without a configuration one is trained on the other folds of the data itself."""
    source = args.data[0].name
    if not pairs.prompted:
        common.tell("no prompts: nothing says how difficult a request is, all start small")
        return Rows(prepare(pairs), source)
    if args.config is None and not common.CONFIG.exists():
        common.tell("no configuration: difficulty is by a scorer trained on the other folds")
        return Rows(prepare(pairs), source)
    opened = open_ground(args)
    known = seen_by(opened.scorer)
    fresh = [n for n, each in enumerate(pairs.signals) if question_hash(each.text) not in known]
    if met := len(pairs) - len(fresh):
        common.tell(f"{met:,} rows left out: the scorer was trained on their questions")
    if len(fresh) < 2:
        raise common.UseError(
            "the scorer was trained on all of these questions: tune on others, or without a "
            "configuration."
        )
    pairs = pairs.take(fresh)
    priors = by_scorer(opened.scorer, pairs)
    if opened.own:
        ranks = [opened.rank(opened.scorer.score(each).ranked) for each in pairs.signals]
        priors = replace(priors, difficulty=np.array(ranks))
    return Rows(folds_of(pairs, priors), source, opened.moves)


# --------------------------------------------------------------------------- a ledger


def _of_ledger(args: argparse.Namespace) -> Rows:
    """Read the labelled requests of the configuration's route."""
    _refuse_options_of_files(args)
    if args.config is None and not common.CONFIG.exists():
        raise common.UseError(
            "both thresholds are tuned on a pair file, --data FILE, or on the ledger of a "
            f"configuration's route: there is no {common.CONFIG} here; name it with --config."
        )
    opened = open_ground(argparse.Namespace(**{**vars(args), "data": None}))
    settings, route = opened.settings, opened.route
    if settings is None or route is None:  # open_ground has read the configuration
        raise common.UseError("a ledger is tuned on for a configuration's route: --config FILE.")
    wanted = _wanted(settings, route, opened)
    place = _place(args, settings)
    with reading_ledger(place):
        seen, told = ledger.read_seen(histories(place, route.name), wanted)
    try:
        prompts = route_prompts(place, route.name)
    except NothingToLearn as error:
        raise DataError(str(error)) from error
    used, pairs = ledger.as_pairs(seen, told, wanted, prompts, str(place))
    selection = {
        "requests": told.requests,
        "labelled_at_both": told.both,
        "used": told.used,
        "left_out": dict(told.left_out.most_common()),
    }
    said = {"route": route.name, "selection": selection}
    notes = ledger.notes(used, seen, told, pairs)
    if args.free is not None:
        pairs = pairs.with_free(*args.free)
    if args.price_ratio is not None:
        pairs = pairs.at_ratio(args.price_ratio)
    _tell(route, told)
    priors = ledger.priors_of(used, [opened.rank(each.score) for each in used])
    source = Path(str(place)).name if isinstance(place, Path) else place.name
    return Rows(folds_of(pairs, priors), source, opened.moves, {**said, "notes": notes})


def _refuse_options_of_files(args: argparse.Namespace) -> None:
    given = [name for name in _OF_FILES if getattr(args, name) is not None]
    if given:
        option = given[0].replace("_", "-")
        raise common.UseError(
            f"--{option} goes with a pair file, --data FILE: a ledger has what its checks said and "
            "cost."
        )


def _wanted(settings: Settings, route: Route, opened: Opened) -> ledger.Wanted:
    """Say whose labels. Raises UseError for a route of more tiers than are fitted together."""
    if len(route.tiers) != 2:
        names = ", ".join(tier.name for tier in route.tiers)
        raise common.UseError(
            f"both thresholds are fitted to two tiers, and route {route.name} has "
            f"{len(route.tiers)}: {names}. Tune its threshold alone, without --judge, --out and "
            "--ledger."
        )
    return ledger.Wanted(
        first=route.tiers[0],
        last=route.tiers[-1],
        scorer=opened.scorer.label,
        free=frozenset(CHECKS) - ledger.OF_FORM,
        paid=frozenset(settings.checks),
    )


def _place(args: argparse.Namespace, settings: Settings) -> Place:
    given = args.ledger or (args.data and args.data[0])
    if isinstance(given, DatabaseUrl):
        return given
    place = settings.ledger.place
    if given:
        return common.ledger_place(str(given))
    return common.ledger_place(str(place)) if isinstance(place, Path) else place


def _tell(route: Route, told: ledger.Told) -> None:
    why = "".join(f"; {n:,} {reason}" for reason, n in told.left_out.most_common())
    common.tell(
        f"route {route.name}: {told.requests:,} requests, {told.both:,} with a label at both "
        f"tiers, {told.used:,} used{why}"
    )
