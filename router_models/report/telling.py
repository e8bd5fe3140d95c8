"""A report's figures as a document: what is said first, what beside it, and in which words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from router_models.report.document import (
    Document,
    Line,
    Lines,
    Section,
    Steps,
    Table,
    Tone,
    digits_for,
    percent,
    points,
    usd,
)
from router_models.report.telling_doubts import doubts, warnings
from router_models.report.telling_places import escalation, money_lost, spent, what_if

Figures = Mapping[str, Any]
STEPS = (
    ("routing", "cheaper tiers, at list price", -1),
    ("cache", "providers' caches", -1),
    ("kept", "replies said again", -1),
    ("discarded", "discarded drafts", 1),
    ("checks", "checks", 1),
    ("scoring", "scorer's calls", 1),
    ("cut_off", "cut off by a dead process", 1),
    ("shadow", "shadows", 1),
    ("gateway", "the gateway's own", 1),
)
"""The bill's steps from the baseline to what was spent."""


def document(told: Figures) -> Document:
    """Tell the figures."""
    sections = [
        _floors(told),
        _bill(told),
        doubts(told),
        _quality(told),
        escalation(told),
        money_lost(told),
        what_if(told),
        spent(told),
        _bad_answers(told),
        _sensitivity(told),
        _assumptions(told),
    ]
    verdict, tone = verdict_of(told)
    verdict = " ".join([verdict, *warnings(told)])
    if tone == "good" and told["certainty"]["unpriced"]:
        tone = "open"
    return Document(
        title="Waterfall report",
        about=_about(told),
        verdict=verdict,
        tone=tone,
        sections=[section for section in sections if section is not None],
    )


def _about(told: Figures) -> str:
    period = told["period"]
    if period["first"] is None:
        return f"{told['ledger']}: no requests in this period"
    first, last = (_day(period[name]) for name in ("first", "last"))
    route = f", route {told['route']}" if told["route"] else ""
    count = f"{told['requests']:,} requests over {period['days']:.1f} days{route}"
    return f"{first} to {last} UTC, {count}; {told['ledger']}"


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")


def verdict_of(told: Figures) -> tuple[str, Tone]:
    """The one sentence, and how it sounds: good only where the interval is all on one side."""
    bill, share = told["bill"], told["saved_share"]
    if not told["requests"]:
        return "There is nothing to report: no requests.", "open"
    if not bill["baseline"]:
        return f"Spent {usd(bill['actual'])}; nothing was served that a baseline has.", "open"
    saved, low, high = share["value"], share["low"], share["high"]
    names = " or ".join(told["baseline_tiers"])
    spread = f"95 % interval {percent(low)} to {percent(high)}"
    whole = f"{usd(bill['actual'])}, where {names} alone would have cost {usd(bill['baseline'])}"
    tone: Tone = "good" if low > 0 else "bad" if high < 0 else "open"
    word = "saved" if saved >= 0 else "lost"
    amount = f"{usd(abs(bill['saved']))}, {percent(abs(saved))} ({spread})"
    unsure = "" if tone != "open" else " It cannot be told from no saving."
    return f"Spent {whole}: {word} {amount}.{unsure} {_quality_sentence(told)}", tone


def _quality_sentence(told: Figures) -> str:
    quality = told["quality"]
    found = quality["difference"]
    if found["value"] is None:
        return "What that did to the answers is unknown: too few labels."
    if quality.get("why"):
        return f"Nothing was lost by that: {quality['why']}."
    spread = f"{points(found['low'])} to {points(found['high'])}"
    against = f"points of quality against {told['baseline_tier']} ({spread})"
    unsure = ", not to be told from none" if found["low"] <= 0 <= found["high"] else ""
    return f"Answers: {points(found['value'])} {against}{unsure}."


def _floors(told: Figures) -> Section | None:
    floors = told.get("floors", ())
    if not floors:
        return None
    rows = [
        (each["what"], each["limit"], each["found"], "held" if each["held"] else "BROKEN")
        for each in floors
    ]
    return Section("Floors", tables=[Table(("floor", "limit", "found", ""), rows, "lrrl")])


def _bill(told: Figures) -> Section | None:
    bill = told["bill"]
    if not bill["baseline"] and not bill["actual"]:
        return None
    names = " or ".join(told["baseline_tiers"])
    steps, at = [(f"{names} alone", 0, bill["baseline"])], bill["baseline"]
    for key, name, sign in STEPS:
        if bill[key]:
            steps.append((name, at, at + sign * bill[key]))
            at += sign * bill[key]
    steps.append(("spent", 0, at))
    digits = digits_for(end for _, *both in steps for end in both)
    rows = [
        (name, _signed(end - begin, digits, whole=number in {0, len(steps) - 1}),
         percent((end - begin) / bill["baseline"]) if bill["baseline"] else "")
        for number, (name, begin, end) in enumerate(steps)
    ]  # fmt: skip
    ends = [end for _, *both in steps for end in both]
    low, high = min(0, *ends), max(ends)
    bars = [((b - low) / (high - low), (e - low) / (high - low)) for _, b, e in steps]
    dollars = [(name, begin / 1e9, end / 1e9) for name, begin, end in steps]
    return Section(
        "The bill, step by step",
        text=_said_again(told),
        tables=[Table(("step", "USD", "of baseline"), rows, "lrr", bars)],
        plots=[Steps("From the baseline's bill to what was spent", dollars), *_over_time(told)],
    )


def _said_again(told: Figures) -> list[str]:
    """What the cache of replies and the budgets came to, where they came to anything."""
    said = []
    if told["kept"]:
        share = percent(told["kept"] / told["requests"])
        said.append(
            f"{told['kept']:,} requests ({share}) were answered by a kept reply, at no cost."
        )
    if told["by_budget"]:
        said.append(f"{told['by_budget']:,} requests started lower, for a budget was nearly spent.")
    return said


def _signed(nano: int, digits: int, *, whole: bool) -> str:
    return usd(nano, digits) if whole or nano < 0 else f"+{usd(nano, digits)}"


def _over_time(told: Figures) -> Iterator[Lines]:
    blocks, days = told["over_time"], told["period"]["days"]
    if len(blocks) < 5 or not days:
        return
    names = {"baseline": f"{' or '.join(told['baseline_tiers'])} alone", "cost": "spent"}
    place = [days * (number + 0.5) / len(blocks) for number in range(len(blocks))]
    lines = [
        Line(name, [(x, each[key] / max(1, each["requests"]) / 1e6)
                    for x, each in zip(place, blocks, strict=True)])
        for key, name in names.items()
    ]  # fmt: skip
    yield Lines("USD for 1,000 requests, block by block", "days from the start", lines)


def _quality(told: Figures) -> Section:
    quality = told["quality"]
    served = sum(told["served"].values())
    rows = [
        (tier, percent(told["served"].get(tier, 0) / served if served else None),
         f"{each['labels']:,}", _spread(each))
        for tier, each in quality["tiers"].items()
    ]  # fmt: skip
    head = ("served by", "of answers", "labels", "mean label, 95 %")
    text = [_quality_sentence(told)]
    if quality["difference"]["value"] is None:
        text = [f"Unknown against {told['baseline_tier']}: {quality['why']}."]
    elif not quality["why"]:
        text.append(
            f"By {quality['pairs']:,} answers of other tiers to requests of which the answer of "
            f"{told['baseline_tier']} is labelled too; as far as those were labelled by chance."
        )
    return Section("Quality, by labels", text, [Table(head, rows, "lrrr")] if rows else [])


def _spread(found: Mapping[str, Any]) -> str:
    if found["value"] is None:
        return "too few"
    return f"{percent(found['value'])} ({percent(found['low'])} to {percent(found['high'])})"


def _bad_answers(told: Figures) -> Section | None:
    found = told["bad_answers"]
    if not told["requests"]:
        return None
    each = found["saved_per_request_usd"]
    if each <= 0:
        text = ["Nothing is saved that a bad answer could be weighed against."]
        return Section("What a bad answer may cost", text)
    text = [f"A request saves {usd(each * 1e9, 6)} on average."]
    if found["measured"] is not None:
        text.append(_measured(found["measured"]))
    rows = [
        (percent(row["extra_bad"]), usd(row["limit_usd"] * 1e9, 2)) for row in found["supposed"]
    ]
    head = ("more bad answers", "it pays while each costs less than")
    return Section("What a bad answer may cost", text, [Table(head, rows, "rr")])


def _measured(measured: Mapping[str, Any]) -> str:
    words = {
        "always": "it pays whatever a bad answer costs",
        "never": "it does not pay at any price",
        "below": "it pays as long as a bad answer costs less than {}",
        "above": "it pays from {} for a bad answer on",
    }

    def say(found: Mapping[str, Any]) -> str:
        limit = "" if found["limit_usd"] is None else usd(found["limit_usd"] * 1e9, 2)
        return words[found["when"]].format(limit)

    worst, best = say(measured["low"]), say(measured["high"])
    return (
        f"By the labels {say(measured['value'])}; at the worse end of their interval {worst}, at "
        f"the better {best}."
    )


def _sensitivity(told: Figures) -> Section | None:
    digits = digits_for(row["saved"] for row in told["sensitivity"])
    rows = [
        (row["what"], usd(row["saved"], digits), percent(row["share"]))
        for row in told["sensitivity"]
    ]
    if not told["bill"]["baseline"]:
        return None
    text = []
    if told["least_volume"] is not None:
        text.append(f"The gateway's own cost comes in from {told['least_volume']:,.0f} a day on.")
    return Section(
        "What would change the answer", text, [Table(("if", "saved", "share"), rows, "lrr")]
    )


def _assumptions(told: Figures) -> Section:
    return Section("What this rests on", items=list(_rests_on(told)))


def _rests_on(told: Figures) -> Iterator[str]:
    found, bill = told["certainty"], told["bill"]
    prices = ", ".join(f"{name} ({n:,})" for name, n in found["price_versions"].items()) or "none"
    yield f"Prices by version, with the requests that they served: {prices}."
    baselines = "; ".join(f"{name}: {n:,}" for name, n in found["baseline"].items())
    yield f"Baseline (tier, prompt, basis): {baselines}."
    yield (
        "The interval draws the period's "
        f"{told['blocks']} blocks of consecutive requests anew, 2,000 times, seed {told['seed']}: "
        "what another such period may come to. The sums themselves are booked."
    )
    part = found["estimated_cost"] / bill["actual"] if bill["actual"] else 0.0
    yield (
        f"Tokens were estimated in {found['estimated_requests']:,} requests; calls of "
        f"{usd(found['estimated_cost'])} ({percent(part)} of what was spent) rest on that."
    )
    unsettled = usd(found["unsettled_cost"])
    yield f"{found['unsettled_calls']:,} calls never settled: {unsettled}, estimated."
    unserved = usd(found["unserved_cost"])
    yield f"{found['unserved']:,} requests got no answer: {unserved}, with no baseline beside it."
    modes = ", ".join(f"{mode} {n:,}" for mode, n in found["modes"].items())
    yield f"Requests by mode: {modes}."
    if told["deleted_before"]:
        gone = _day(told["deleted_before"])
        yield (
            f"What began before {gone} UTC has been deleted from the ledger: it is in the sums by "
            "its whole hours, and in no quality and no what-if."
        )
        if told["missing"]:
            yield (
                f"Of hours that are not whole in the period, or that an older version added up, "
                f"{told['missing']:,} requests had been counted: take whole hours for --since and "
                "--until, or read exported days with `waterfall ledger query`."
            )
    if not told["own_cost"] and not bill["gateway"]:
        yield "What the gateway itself costs is not in it: say so with --own-cost."
    yield from told.get("notes", ())
