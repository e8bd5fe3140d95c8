"""What the workshop's commands share: options, progress, and how they fail."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.core.database_url import SCHEMES, DatabaseUrl

if TYPE_CHECKING:
    from gateway.store.connection import Place
    from router_models.difficulty.data import Outcomes

Run = Callable[[argparse.Namespace], int]
Advance = Callable[[], None]
CONFIG = Path("waterfall.yaml")
LAST_SEED = 2**31 - 1
"""scikit-learn takes twice as many; there are commands that count on from theirs."""
MOST_RUNS = 10_000
"""Seeds or draws to average over."""
_URL = "sqlite:///"
MISSING = """\
waterfall: {command} needs {module}, which is not installed:
    pip install 'waterfall-gateway[train]'"""


class UseError(ValueError):
    """Options that do not go together, or name what is not there. The message says what to do."""


def ledger_place(written: str) -> Place:
    """Find the ledger that is meant. Raises UseError."""
    if "://" in written and not written.startswith(_URL):
        try:
            return DatabaseUrl(written)
        except ValueError as error:
            raise UseError(f"--ledger {error}, {_URL}path or a file.") from error
    path = Path(written.removeprefix(_URL))
    if not path.is_file():
        raise UseError(f"there is no ledger at {path}.")
    return path


def guarded(run: Run) -> Run:
    """Tell what went wrong in a sentence, with exit code 2: a wrong use, bad data, or a library
    that is missing."""

    def running(args: argparse.Namespace) -> int:
        try:
            return run(args)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] in {"gateway", "router_models"}:
                raise
            tell(MISSING.format(command=args.command, module=error.name))
        except Exception as error:
            if not _is_told(error):
                raise
            tell(f"waterfall: {error}")
        return 2

    return running


def _is_told(error: Exception) -> bool:
    """Is its message meant for a person?"""
    from gateway.config import ConfigError
    from gateway.config.combiner_file import CombinerError
    from gateway.scorers import ArtefactError
    from router_models.difficulty.formats import DataError

    told = DataError | ArtefactError | CombinerError | ConfigError | UseError | OSError
    return isinstance(error, told) and not isinstance(error, BrokenPipeError)


def add(commands: Any, name: str, run: Run, summary: str) -> argparse.ArgumentParser:
    """Add a command."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=summary, description=summary)
    parser.set_defaults(run=guarded(run), command=name)
    return parser


def add_data(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Add --data and --tiers."""
    parser.add_argument(
        "--data",
        type=file_or_ledger,
        nargs="+",
        required=required,
        metavar="FILE",
        help="outcomes: CSV, JSONL (either .gz) or Parquet with prompt, weak_score and "
        "strong_score (or score_TIER for each tier), or a ledger: a file or a postgresql:// URL",
    )
    parser.add_argument(
        "--tiers",
        type=_names,
        default=(),
        metavar="A,B",
        help="the tiers to compare, cheap to strong (default: the file's, in its order); a file of "
        "weak_score and strong_score has two, and two other names are what they are called",
    )


def file_or_ledger(written: str) -> Path | DatabaseUrl:
    """Read a file's path, or the address of a ledger on a server."""
    if not written.startswith(tuple(f"{scheme}://" for scheme in SCHEMES)):
        return Path(written)
    try:
        return DatabaseUrl(written)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def count(least: int, most: int | None = None) -> Callable[[str], int]:
    """Return a reader of whole numbers from `least` to `most`."""

    def read(written: str) -> int:
        number = int(written)
        if number < least:
            raise argparse.ArgumentTypeError(f"{number} is less than {least}")
        if most is not None and number > most:
            raise argparse.ArgumentTypeError(f"{number} is more than {most}")
        return number

    read.__name__ = "whole number"
    return read


def amount(over: float, most: float, *, least: bool = False) -> Callable[[str], float]:
    """Return a reader of numbers over one and up to another; from it on, where `least` says so."""

    def read(written: str) -> float:
        number = float(written)
        if not (over < number <= most or (least and number == over)):
            low = f"{over:g}" if least else f"over {over:g}"
            raise argparse.ArgumentTypeError(f"{written} is not {low} to {most:,.0f}")
        return number

    read.__name__ = "number"
    return read


def add_seed(parser: argparse.ArgumentParser) -> None:
    """Add --seed."""
    reader = count(0, LAST_SEED)
    parser.add_argument("--seed", type=reader, default=0, help="default: %(default)s")


def moment(written: str) -> float:
    """Read a date, a date with a time (UTC unless it says otherwise), or @ and a UNIX time."""
    if written.startswith("@"):
        return float(written[1:])
    found = datetime.fromisoformat(written)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def share(written: str) -> float:
    """Read a share: 0.2 or 20%."""
    number = float(written.removesuffix("%")) / (100 if written.endswith("%") else 1)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{written} is not from 0 to 1")
    return number


def _names(written: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in written.split(","))
    if len(set(names)) != len(names) or len(names) < 2 or not all(names):
        raise argparse.ArgumentTypeError("two tiers or more, each once, like small,large")
    return names


def read_data(args: argparse.Namespace, *, once: bool = False) -> Outcomes:
    """Read --data, and tell what was read; `once` as in read_files. Raises DataError."""
    from router_models.difficulty.data import read_files

    with progress("reading", len(args.data)) as advance:
        outcomes = read_files(args.data, args.tiers, advance, once=once)
    tell(f"{outcomes.told}; tiers {', '.join(outcomes.tiers)}")
    return outcomes


@contextmanager
def progress(what: str, steps: int) -> Iterator[Advance]:
    """Show a bar on standard error, where that is a terminal; it goes when all is done."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    )  # fmt: skip
    console = Console(stderr=True)
    shown = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    with shown as bar:
        task = bar.add_task(what, total=steps)
        yield lambda: bar.advance(task)


def tell(text: str) -> None:
    """Write to standard error."""
    print(text, file=sys.stderr, flush=True)


def show(text: str) -> None:
    """Write to standard output."""
    print(text, flush=True)
