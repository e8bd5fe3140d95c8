"""The figures of a report: which there are, and where each is found.

A figure is a number, named by its way through the report: `phases.steady.all.latency.p99`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from loadtests.arrivals import ScenarioError
from loadtests.meter import Sample, machine
from loadtests.openloop import HISTOGRAMS, Tally, note
from loadtests.watch import left, used

_END = re.compile(r"\d{3}|left|broken|Broken|ConnectFailed|Stale|TimedOut|TooLarge")
"""How a request may end; none that ended so is 0, which the report does not write down."""


def figure(report: Mapping[str, Any], path: str) -> float:
    """Find a figure by its path. Raises ScenarioError naming the part that is not there.

    Names may hold dots: of those that fit, the longest is taken.
    """
    told: Any = report
    rest, before = path, ""
    while rest:
        if before == "ends" and _END.fullmatch(rest):
            return float(told.get(rest, 0))
        fits = [k for k in told if rest == k or rest.startswith(f"{k}.")] if told else []
        if not isinstance(told, Mapping) or not fits:
            raise ScenarioError(f"no figure {path!r}: nothing at {rest!r}{_others(told)}")
        before = max(fits, key=len)
        told, rest = told[before], rest[len(before) + 1 :]
    if isinstance(told, bool) or not isinstance(told, int | float):
        raise ScenarioError(f"{path!r} is no figure{_others(told)}")
    return float(told)


def _others(told: object) -> str:
    return f": one of {', '.join(map(str, told))}" if isinstance(told, Mapping) and told else ""


def blank(
    phases: Iterable[str], classes: Iterable[str], *, watched: bool, beside: bool
) -> dict[str, Any]:
    """Write a report with every figure that a run may have, to look a bound's up in.

    watched: with those of the processes, which only a gateway that is started here has; beside: and
    with those of a second one.
    """
    tally = Tally()
    for name in HISTOGRAMS:
        note(getattr(tally, name), 0.001)
    whole = tally.figures(1)
    del whole["hdr"]
    counters, nothing = machine().since(machine()), Sample(0, 0, 0, 0, 0)
    process = {"process": used(nothing, nothing, nothing, 1, [(0,)])} if watched else {}
    phase = {
        "seconds": 1,
        "offered": 1,
        "all": whole,
        "classes": dict.fromkeys(classes, whole),
        "machine": counters,
        **process,
    }
    report: dict[str, Any] = {"machine": counters, "phases": dict.fromkeys(phases, phase)}
    if watched:
        report["process"] = left(nothing, nothing, 0, (0, 0), 0, 0)
        if beside:
            report["beside"] = {name: report[name] for name in ("phases", "process")}
    return report
