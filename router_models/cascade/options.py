"""Options about evidence that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from router_models.cascade.pairs import Pairs


def add_evidence(parser: argparse._ActionsContainer) -> None:
    """Add what evidence there is, and what it costs; None is what nobody has given."""
    parser.add_argument(
        "--samples", type=Path, metavar="FILE", help="a long file of other models' answers"
    )
    parser.add_argument(
        "--sample-models",
        type=_names,
        metavar="A,B",
        help="whose answers the agreement check takes, each bought after the cheaper ones",
    )
    parser.add_argument(
        "--sample-prompts",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="pair files with the prompts of its ids (default: those beside it, by name)",
    )
    parser.add_argument(
        "--sample-price",
        type=_list_price,
        action="append",
        metavar="MODEL=IN:OUT",
        help="list price, USD per million tokens, of a sample without a recorded cost",
    )
    parser.add_argument(
        "--check-price",
        type=_check_price,
        action="append",
        metavar="NAME=USD",
        help="price a request of a recorded check that the tiers' costs do not include",
    )
    parser.add_argument(
        "--free",
        type=_some_names,
        metavar="A,B",
        help="the free checks that count, or none (default: all that say something)",
    )
    parser.add_argument(
        "--price-ratio",
        type=_ratio,
        metavar="R",
        help="as if the weak tier, and each paid check, cost this part of the strong tier",
    )


def read_evidence(args: argparse.Namespace, path: Path) -> Pairs:
    """Read a pair file with the evidence asked for. Raises DataError."""
    # The options are asked for by commands that load nothing until they are run.
    from router_models.cascade.pairs import read_pairs  # noqa: PLC0415
    from router_models.cascade.samples import read_samples  # noqa: PLC0415
    from router_models.difficulty.formats import DataError  # noqa: PLC0415

    if bool(args.samples) != bool(args.sample_models):
        raise DataError("--samples and --sample-models go together.")
    samples = None
    if args.samples:
        prices = dict(args.sample_price or ())
        samples = read_samples(args.samples, args.sample_models, args.sample_prompts or (), prices)
    elif args.sample_prompts or args.sample_price:
        raise DataError("--sample-prompts and --sample-price go with --samples.")
    pairs = read_pairs(path, samples, dict(args.check_price or ()))
    if args.free is not None:
        pairs = pairs.with_free(*args.free)
    return pairs if args.price_ratio is None else pairs.at_ratio(args.price_ratio)


def _names(written: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in written.split(","))
    if len(set(names)) != len(names) or not all(names):
        raise argparse.ArgumentTypeError("names, each once, like A,B")
    return names


def _some_names(written: str) -> tuple[str, ...]:
    return () if written == "none" else _names(written)


def _list_price(written: str) -> tuple[str, tuple[float, float]]:
    name, _, price = written.rpartition("=")
    into, _, out = price.partition(":")
    if not name or not out:
        raise argparse.ArgumentTypeError("like MODEL=0.15:0.60")
    return name, (_dollars(into), _dollars(out))


def _check_price(written: str) -> tuple[str, float]:
    name, _, price = written.rpartition("=")
    if not name:
        raise argparse.ArgumentTypeError("like judge=0.0004")
    return name, _dollars(price)


def _dollars(written: str) -> float:
    try:
        price = float(written)
    except ValueError:
        price = -1.0
    if not 0 <= price < float("inf"):
        raise argparse.ArgumentTypeError(f"{written!r} is no price in USD")
    return price


def _ratio(written: str) -> float:
    try:
        ratio = float(written)
    except ValueError:
        ratio = 0.0
    if not 0 < ratio < float("inf"):
        raise argparse.ArgumentTypeError(f"{written!r} is not over 0")
    return ratio
