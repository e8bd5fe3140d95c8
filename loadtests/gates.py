"""Relative gates: `python -m loadtests.gates [--repeats N] [--scale X]`.

Runs of the comparison only what gates.yaml asks about, ours beside the bare hop and the upstream
itself, and says which gates hold. Exit status 1 when one does not.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop

from loadtests.arrivals import ScenarioError, read_yaml
from loadtests.compare import LOADS, OURS, compare
from loadtests.compared import HOP, UPSTREAM, Compared, Figures
from loadtests.scenario import made

FILE = Path(__file__).parent / "gates.yaml"
ROWS = {"upstream": UPSTREAM, "hop": HOP, **OURS}


@dataclass(frozen=True, slots=True)
class Gate:
    """`figure` of row `of` may be `at_most` times that of row `over`, plus `plus`."""

    about: str
    of: str
    figure: str
    over: str
    at_most: float
    over_figure: str = ""
    plus: float = 0.0

    @property
    def sides(self) -> tuple[tuple[str, str], tuple[str, str]]:
        """The two sides: a row's label, a figure."""
        return (ROWS[self.of], self.figure), (ROWS[self.over], self.over_figure or self.figure)


def read(path: Path = FILE) -> list[Gate]:
    """Read the gates. Raises ScenarioError."""
    told = read_yaml(path).get("gates")
    if not isinstance(told, list) or not told:
        raise ScenarioError(f"{path}: wants a list of gates")
    gates = [made(Gate, each, f"{path}: gates[{i}]") for i, each in enumerate(told)]
    for gate in gates:
        if strange := {gate.of, gate.over} - set(ROWS):
            raise ScenarioError(f"{path}: no row {min(strange)!r}: one of {', '.join(ROWS)}")
        for _, figure in gate.sides:
            _load(figure, path)
    return gates


def _load(figure: str, path: Path = FILE) -> str:
    """Find the load that a figure is of. Raises ScenarioError."""
    name, _, suffix = figure.partition("_")
    known = {each.name for each in LOADS}
    if name not in known or suffix not in {"", "p50", "p99", "first", "eighth"}:
        raise ScenarioError(f"{path}: no figure {figure!r}: a load of {', '.join(sorted(known))}")
    return name


def judge(gates: Sequence[Gate], compared: Compared) -> list[tuple[bool, str]]:
    """Say of each gate whether it holds, and by what figures. What is missing does not hold, nor
    what a row was measured at before it stopped answering."""
    told = []
    for gate in gates:
        if broken := [
            why for label, figure in gate.sides if (why := _why(compared, label, figure))
        ]:
            told.append((False, f"{gate.about}: {'; '.join(dict.fromkeys(broken))}"))
            continue
        values = [
            compared.found[label].median(figure) if label in compared.found else None
            for label, figure in gate.sides
        ]
        mine, other = values
        if mine is None or other is None:
            told.append((False, f"{gate.about}: not measured"))
            continue
        most = gate.at_most * other + gate.plus
        sentence = (
            f"{gate.about}: {mine:,.1f} against {other:,.1f} ({mine / other:.2f} x), "
            f"at most {most:,.1f}"
        )
        told.append((mine <= most, sentence))
    return told


def _why(compared: Compared, label: str, figure: str) -> str:
    """Say why a row did not answer the load of a figure; nothing when it did."""
    found = compared.found.get(label, Figures())
    why = found.broken.get(_load(figure))
    return "" if why is None else f"{label} did not answer the load {_load(figure)}: {why}"


async def run(folder: Path, repeats: int, scale: float) -> list[tuple[bool, str]]:
    """Measure what the gates need, and judge them."""
    gates = read()
    wanted = {(label, _load(figure)) for gate in gates for label, figure in gate.sides}
    compared = await compare(folder, ["hop"], repeats, scale, pin=False, wanted=wanted)
    return judge(gates, compared)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.gates", description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--scale", type=float, default=0.3, help="of the comparison's requests")
    chosen = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory(prefix="waterfall-gates-") as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        told = runner.run(run(Path(folder), chosen.repeats, chosen.scale))
    for held, sentence in told:
        print(f"{'kept  ' if held else 'BROKEN'} {sentence}")
    return 0 if all(held for held, _ in told) else 1


if __name__ == "__main__":
    sys.exit(main())
