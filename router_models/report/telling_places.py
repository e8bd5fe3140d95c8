"""The parts of a report that are about places: where requests started, what was lost, what other
thresholds would have come to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from router_models.report.document import Line, Lines, Section, Table, digits_for, percent, usd

Figures = Mapping[str, Any]


def escalation(told: Figures) -> Section | None:
    """The escalation rate beside the break-even."""
    if not told["starts"]:
        return None
    digits = digits_for(row["saved"] for row in told["starts"])
    rows = [
        (f"{row['route']}, {row['tier']}", f"{row['requests']:,}", percent(row["rate"]),
         percent(row["weighed"]), percent(row["break_even"]), usd(row["saved"], digits),
         _verdict(row["saved_share"]))
        for row in told["starts"]
    ]  # fmt: skip
    head = ("started at", "requests", "e", "e in money", "e*", "saved", "")
    text = (
        "e is the share that a higher tier had to answer. In money it is what came after the first "
        "tier, of the baseline's bill: dear requests escalate more. Under e* the first tier pays."
    )
    return Section("Escalation beside its break-even", [text], [Table(head, rows, "lrrrrrl")])


def _verdict(share: Mapping[str, Any]) -> str:
    if share["value"] is None:
        return ""
    return "pays" if share["low"] > 0 else "loses" if share["high"] < 0 else "unclear"


def money_lost(told: Figures) -> Section | None:
    """What was spent and not served, and where that made a loss."""
    losing = [row for row in told["starts"] if row["saved"] < 0]
    text = [_losing(row) for row in losing]
    text = text or ["No route loses where it starts under the baseline's tier."]
    digits = digits_for(row["cost"] for row in told["losses"])
    rows = [
        (f"{row['route']}, {row['tier']}", row["reason"], f"{row['attempts']:,}",
         usd(row["cost"], digits))
        for row in told["losses"]
    ]  # fmt: skip
    head = ("draft of", "not served for", "drafts", "cost")
    return Section("Where money is lost", text, [Table(head, rows, "llrr")] if rows else [])


def _losing(row: Mapping[str, Any]) -> str:
    rates = f"{percent(row['rate'])} escalated ({percent(row['weighed'])} in money)"
    return (
        f"Starting {row['route']} at {row['tier']} lost {usd(-row['saved'])}: {rates}, over e* = "
        f"{percent(row['break_even'])}. Start fewer there, judge less, or take a cheaper or better "
        "tier."
    )


def what_if(told: Figures) -> Section | None:
    """Other thresholds, by replay."""
    found = told.get("what_if")
    if found is None:
        return None
    if found["why"]:
        return Section("What if the threshold were another", [found["why"]])
    rows = [
        (f"{row['threshold']:g}{' (now)' if row['threshold'] == found['now'] else ''}",
         percent(row["above"], 0), percent(row["known"], 0), _between(row["cost_per_1000"]),
         f"{percent(row['saved']['low'])} to {percent(row['saved']['high'])}", _quality(row))
        for row in found["rows"]
    ]  # fmt: skip
    head = ("threshold", "above", "known", "USD/1,000", "saved, 95 %", "quality")
    name, count = found["route"], found["sample"]
    method = (
        f"Route {name}: {count:,} of its requests, drawn by chance, are decided again at each. "
        "Known: of so many nobody has to guess; the others cost at least a draft, at most a "
        "draft and the baseline's answer. All of them: waterfall replay."
    )
    table = Table(head, rows, "lrrrrr")
    title = "What if the threshold were another"
    return Section(title, [method, _best(found)], [table], [_curve(found)])


def _best(found: Mapping[str, Any]) -> str:
    best, now = found["best"], found["now"]
    if best is None:
        return "No other threshold is the cheaper one for sure."
    row = next(each for each in found["rows"] if each["threshold"] == best)
    risk = "what it does to the answers is unknown: too few labels"
    if row["quality"]["value"] is not None:
        risk = f"its answers, where labelled: {_quality(row)}"
    sure = "even where all that nobody knows comes out badly"
    return f"{best:g} is cheaper than {now:g} {sure}; {risk}."


def _between(ends: list[int]) -> str:
    low, high = (usd(end, 3) for end in ends)
    return low if low == high else f"{low} to {high.removeprefix('$')}"


def _quality(row: Mapping[str, Any]) -> str:
    found = row["quality"]
    if found["value"] is None:
        return f"{found['labels']} labels"
    return f"{percent(found['value'])} ({found['labels']})"


def _curve(found: Mapping[str, Any]) -> Lines:
    rows = found["rows"]
    middle = [(row["saved"]["at_least"] + row["saved"]["at_most"]) / 2 for row in rows]
    line = Line(
        "saved: what is unknown, and chance, make the band",
        [(row["threshold"], value) for row, value in zip(rows, middle, strict=True)],
        [row["saved"]["low"] for row in rows],
        [row["saved"]["high"] for row in rows],
    )
    title = f"Saved of the baseline's bill, route {found['route']}"
    mark = None if found["now"] is None else (found["now"], "now")
    return Lines(title, "threshold", [line], percent=True, mark=mark)


def spent(told: Figures) -> Section | None:
    """What 1,000 requests cost."""
    tables = []
    for names in (("route",), ("tier",), ("tier", "recipe")):
        rows = told["cost"][names[-1]]
        if not rows:
            continue
        digits = digits_for(row["cost"] for row in rows)
        head = (f"by {'tier that served' if names == ('tier',) else names[-1]}", "requests",
                "USD/1,000", "cost", "saved")  # fmt: skip
        tables.append(
            Table(
                head,
                [
                    (", ".join(row[name] for name in names), f"{row['requests']:,}",
                     usd(row["cost_per_1000"], 4), usd(row["cost"], digits),
                     "" if row["saved"] is None else percent(row["saved"]))
                    for row in rows
                ],
                "lrrrr",
            )
        )  # fmt: skip
    return Section("What 1,000 requests cost", tables=tables) if tables else None
