"""`waterfall scorers`: the versions on a shelf, and which one is in force."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from router_models.commands import common

if TYPE_CHECKING:
    from router_models.difficulty.shelf import Version

FIGURES = ("apgr", "cpt50", "cpt80", "ece")


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command."""
    parser = common.add(commands, "scorers", run, "list the scorers on a shelf")
    parser.add_argument("--shelf", type=Path, required=True, metavar="DIR")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """List. Exit code 1 when nothing that can be served is in force, 2 for what is no folder."""
    from router_models.difficulty.shelf import versions

    found = versions(args.shelf)
    if args.json:
        common.show(json.dumps([_told(each) for each in found], indent=1))
    elif found:
        _print(found)
    if not found:
        common.tell(
            f"{args.shelf} holds no artefact yet: train one into a folder (waterfall train --out "
            "DIR) and put it there (waterfall promote DIR --shelf SHELF)."
        )
    return 0 if any(each.in_force and not each.fault for each in found) else 1


def _told(version: Version) -> dict[str, Any]:
    provenance = version.provenance
    return {
        "name": version.name,
        "label": version.label,
        "in_force": version.in_force,
        "date": provenance.get("date"),
        "rows": provenance.get("rows"),
        "figures": provenance.get("figures", {}),
        "fault": version.fault or None,
    }


def _print(found: list[Version]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("in force", "label", "folder", "date", "rows", *(f.upper() for f in FIGURES)):
        table.add_column(name, no_wrap=True)
    for each in found:
        figures = each.provenance.get("figures", {})
        rows = each.provenance.get("rows")
        table.add_row(
            "*" if each.in_force else "",
            each.label,
            each.name,
            str(each.provenance.get("date", "")),
            f"{rows:,}" if isinstance(rows, int) else "",
            *("" if figures.get(name) is None else f"{figures[name]:.3f}" for name in FIGURES),
        )
    out = Console(highlight=False)
    if not out.is_terminal:
        out.width = max(out.width, 120)
    out.print(table)
    for each in found:
        if each.fault:
            common.tell(f"{each.name} would be refused: {each.fault}")
