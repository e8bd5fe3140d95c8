"""Run a scenario: `python -m loadtests.run NAME|FILE ... [--url URL] [--short] [--json FILE]`.

Starts a gateway and its upstream, sends what the scenario says at the times it says, prints a table
and, with --json, writes everything, histograms in HDR's own encoding included. With --url the
gateway of that address is asked instead, and what only the process can tell is left out. Exit
status 1 when a bound does not hold, 2 when the scenario cannot be run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import uvloop

from loadtests.arrivals import ScenarioError
from loadtests.harness import ProofError
from loadtests.scenario import load, names, shortened
from loadtests.stage import perform
from loadtests.tables import broken, table


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.run", description=__doc__)
    parser.add_argument("names", nargs="+", metavar="NAME", help=f"of {', '.join(names())}")
    parser.add_argument("--url", help="a gateway that runs already, as http://host:port")
    parser.add_argument("--key", default="", help="the bearer token for --url")
    parser.add_argument("--short", action="store_true", help="the short form, of seconds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the whole report there")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    chosen = parser.parse_args(arguments)
    _many_files()
    reports, worst = [], 0
    for name in chosen.names:
        try:
            scenario = shortened(load(name)) if chosen.short else load(name)
            bar = sys.stderr.isatty() and not chosen.quiet
            with (
                tempfile.TemporaryDirectory(prefix="waterfall-load-") as folder,
                asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
            ):
                report = runner.run(
                    perform(scenario, Path(folder), chosen.url, chosen.key, bar=bar)
                )
        except (ScenarioError, ProofError) as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 2
        print(table(scenario, report))
        missed = broken(scenario, report, quiet=not chosen.short)
        for sentence in missed:
            print(f"  BROKEN {sentence}")
        worst = max(worst, bool(missed))
        reports.append(report)
    if chosen.json:
        whole = reports[0] if len(reports) == 1 else reports
        chosen.json.write_text(json.dumps(whole, indent=1), encoding="utf-8")
    return worst


def _many_files() -> None:
    """Allow as many sockets as the system lets us have; the children inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(main())
