"""A scenario's report for whoever ran it: the bar while it runs, the table, the bounds."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from loadtests.arrivals import ScenarioError
from loadtests.figures import figure
from loadtests.scenario import Bound, Phase, Scenario, full

_WIDTH = 30


def progress(phase: Phase) -> Callable[[float, int], None]:
    """Make what draws a bar on stderr for a phase."""

    def tell(elapsed: float, under_way: int) -> None:
        share = min(1.0, elapsed / phase.seconds)
        done = "━" * round(share * _WIDTH)
        line = f"{phase.name:<14} {done:<{_WIDTH}} {elapsed:5.0f}/{phase.seconds:.0f} s"
        end = "\n" if share >= 1 else ""
        print(f"\r{line}  {under_way} under way ", end=end, file=sys.stderr, flush=True)

    return tell


def table(scenario: Scenario, report: Mapping[str, Any]) -> str:
    """Write a row for each class of each phase; milliseconds from the intended sending."""
    head = (
        f"{'phase':<14}{'class':<14}{'sent':>7}{'good':>7}{'good/s':>8}{'p50':>9}{'p99':>9}{'max':>9}"
        f"{'first p50':>11}{'p99':>9}{'gap p99':>9}  ends"
    )
    machine = report["machine"]
    lines = [
        f"\n{scenario.name}: {scenario.about}",
        (
            f"load average {machine['load_before']} before and {machine['load_after']} after, "
            f"steal {machine['steal']:.0%}; times in ms from the intended sending"
        ),
        head,
    ]
    lines += _side(report)
    if "beside" in report:
        lines += ["beside it, the same by the second gateway:", *_side(report["beside"])]
    return "\n".join(lines)


def _side(report: Mapping[str, Any]) -> list[str]:
    """Write what one gateway did."""
    lines = []
    for name, phase in report["phases"].items():
        rows = phase["classes"]
        both = rows if len(rows) == 1 else {**rows, "all": phase["all"]}
        lines += [_row(name, key, told) for key, told in both.items()]
        if "process" in phase:
            own = phase["process"]
            lines.append(
                f"{'':<14}{phase['offered']:.0f}/s offered; gateway: {own['cpu_us']:.0f} µs of CPU "
                f"each, RSS {_mb(own['rss_before'])} → {_mb(own['rss_after'])} "
                f"(peak {_mb(own['rss_peak'])}), at most {own['fds_peak']} file descriptors"
            )
            if "connections" in own:
                lines[-1] += (
                    f"; of {own['connections']} connections each worker has "
                    f"{own['share_least']:.0%} to {own['share_most']:.0%}"
                )
    if "process" in report:
        own = report["process"]
        lines.append(
            f"afterwards: RSS {_mb(own['rss_before'])} → {_mb(own['rss_after'])}, "
            f"file descriptors {own['fds_before']} → {own['fds_after']}, "
            f"tasks {own['tasks_before']} → {own['tasks_after']}, "
            f"{own['under_way_after']} requests under way, {own['tracebacks']} tracebacks"
        )
    return lines


def _row(phase: str, name: str, told: Mapping[str, Any]) -> str:
    def at(key: str, place: str) -> str:
        return f"{told[key][place]:.1f}" if place in told[key] else "-"

    ends = " ".join(f"{end}:{count}" for end, count in told["ends"].items())
    return (
        f"{phase:<14}{name:<14}{told['sent']:>7}{told['good']:>7}{told['goodput']:>8.1f}"
        f"{at('latency', 'p50'):>9}{at('latency', 'p99'):>9}{at('latency', 'max'):>9}"
        f"{at('first_byte', 'p50'):>11}{at('first_byte', 'p99'):>9}{at('gap', 'p99'):>9}  {ends}"
    )


def _mb(size: float) -> str:
    return f"{size / 2**20:.0f} MB"


def broken(scenario: Scenario, report: Mapping[str, Any], *, quiet: bool = True) -> list[str]:
    """Say which of the scenario's bounds do not hold; without `quiet` those of a quiet machine are
    left, and without a gateway of ours those that only its processes can tell."""
    due = [bound for bound in scenario.bounds if quiet or not bound.quiet]
    if "process" not in report:
        theirs = full(scenario, watched=False)
        due = [bound for bound in due if not _missing(theirs, bound)]
    return [told for bound in due if (told := judged(bound, report))]


def _missing(report: Mapping[str, Any], bound: Bound) -> str:
    """Name the figure of a bound that a report does not have."""
    for path in filter(None, (bound.figure, bound.times)):
        try:
            figure(report, path)
        except ScenarioError:
            return path
    return ""


def judged(bound: Bound, report: Mapping[str, Any]) -> str:
    """Say how a bound is broken; nothing when it holds. What was not measured does not hold: where
    no request is answered there is no latency."""
    if missing := _missing(report, bound):
        return f"{missing} was not measured"
    value = figure(report, bound.figure)
    base = figure(report, bound.times) if bound.times else 1.0
    unit = f" x {bound.times} ({base:g})" if bound.times else ""
    if bound.at_most is not None and not value <= bound.at_most * base:
        return f"{bound.figure} is {value:g}, at most {bound.at_most:g}{unit}"
    if bound.at_least is not None and not value >= bound.at_least * base:
        return f"{bound.figure} is {value:g}, at least {bound.at_least:g}{unit}"
    return ""
