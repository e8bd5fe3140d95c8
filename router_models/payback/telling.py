"""Whether a fine-tuning pays back, as a document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from router_models.payback.weigh import ALTERNATIVES
from router_models.report.document import (
    Document,
    Line,
    Lines,
    Section,
    Table,
    Tone,
    percent,
    usd,
)

Figures = Mapping[str, Any]
_SHORT = {
    "prompted": "prompting",
    "cached": "cached prompting",
    "large": "large",
    "large_cached": "large, cached",
    "large_bare": "large, bare",
}
_ENOUGH_DAYS = 7
"""Of a ledger, for a month's volume: weeks have their ends."""
_WHY = {
    "dearer": "never: no cheaper",
    "upkeep": "never: upkeep",
    "discount": "never: too late",
}


_REASONS = {
    "dearer": "never, since a request is no cheaper",
    "upkeep": "never at this volume, since upkeep eats what it saves",
    "discount": "never, since what it saves later is worth too little",
}


def document(told: Figures) -> Document:
    """Tell what was weighed."""
    verdict, tone = _verdict(told)
    verdict += _stretched(told)
    sections = [_against(told), _curve(told), _conditions(told), _sensitivity(told), _rests(told)]
    return Document(
        title="Does fine-tuning pay back?",
        about=(
            f"{told['models']['tuned']} against {told['models']['prompted']} with instructions of "
            f"{told['tokens']['instructions']:,.0f} tokens, {told['volume']:,.0f} requests a month"
        ),
        verdict=verdict,
        tone=tone,
        sections=sections,
    )


def _verdict(told: Figures) -> tuple[str, Tone]:
    """Against the best of the alternatives: pay-back against a worse one is no reason to tune."""
    best = min(told["against"], key=lambda name: told["against"][name]["cost"])
    found = told["against"][best]
    name = ALTERNATIVES[best]
    if found["within"]:
        when = f"after {_months(found)} ({_count(found['requests'])} requests)"
        return f"Yes: paid back {when} against the cheapest alternative, {name}.", "good"
    word = _REASONS.get(found["why"]) or f"only after {_months(found)}"
    others = [ALTERNATIVES[key] for key, each in told["against"].items() if each["within"]]
    beside = f" Within {told['horizon']:g} months it does against {', and against '.join(others)}."
    return f"Not against the cheapest alternative, {name}: {word}.{beside * bool(others)}", "bad"


def _stretched(told: Figures) -> str:
    """Say where a month's volume is made of few days."""
    found = told.get("measured")
    days = 0.0 if not found else (found["last"] - found["first"]) / 86_400
    if not found or not found["says_volume"] or days >= _ENOUGH_DAYS:
        return ""
    length = f"{days:.1f} days" if days >= 0.1 else f"{days * 1_440:,.0f} minutes"
    return (
        f" A month's volume is reckoned from {found['calls']:,} calls in {length}: too short to "
        "go by; say --volume, or ask again later."
    )


def _months(found: Figures) -> str:
    return f"{found['months']:,.1f} months"


def _count(number: float) -> str:
    if number >= 1e6:
        return f"{number / 1e6:,.2f} million"
    return f"{number:,.0f}"


def _against(told: Figures) -> Section:
    rows: list[tuple[str, ...]] = [("tuned", usd(told["tuned"] * 1_000), "", "", "", "")]
    for name, found in told["against"].items():
        paid = _WHY[found["why"]] if found["why"] else _months(found)
        requests = "" if found["requests"] is None else _count(found["requests"])
        rows.append(
            (
                *(_SHORT[name], usd(found["cost"] * 1_000), usd(found["saving"] * 1_000)),
                *(requests, paid, _band(found.get("band"))),
            )
        )
    head = ["against", "USD/1,000", "saved/1,000", "requests", "paid back after", "95 of 100"]
    if not any(found.get("band") for found in told["against"].values()):
        head, rows = head[:-1], [row[:-1] for row in rows]
    text = (
        f"It costs {usd(told['once'], 2)} before the first request and {usd(told['monthly'], 2)} a "
        f"month; at {told['volume']:,.0f} requests a month:"
    )
    return Section("Against what", [text], [Table(head, rows, "lrrrll"[: len(head)])])


def _band(found: Figures | None) -> str:
    """Between which months 95 of 100 drawings of the ledger's days are."""
    if found is None:
        return ""
    low, high = found["months"]["low"], found["months"]["high"]
    if low is None:
        return "never"
    return f"{low:,.1f} to {'never' if high is None else f'{high:,.1f}'}"


def _curve(told: Figures) -> Section:
    lines = [
        Line(_SHORT[name], [(month, value / 1e9) for month, value in enumerate(found["curve"])])
        for name, found in told["against"].items()
    ]
    plot = Lines("What has come in less what was spent, USD", "months", lines)
    rows = [
        (f"{month}", *(usd(found["curve"][month], 0) for found in told["against"].values()))
        for month in _shown(len(next(iter(told["against"].values()))["curve"]))
    ]
    head = ("after months", *(_SHORT[name] for name in told["against"]))
    table = Table(head, rows, "l" + "r" * len(told["against"]))
    return Section("The curve", tables=[table], plots=[plot])


def _shown(count: int) -> Iterator[int]:
    """The start, the end, and at most seven between."""
    step = max(1, (count - 1) // 8)
    yield from range(0, count - 1, step)
    yield count - 1


def _conditions(told: Figures) -> Section:
    return Section("From when on, and when never", items=list(_conditions_of(told)))


def _conditions_of(told: Figures) -> Iterator[str]:
    horizon = f"within {told['horizon']:g} months"
    for name, found in told["against"].items():
        if found["least_volume"] is None:
            yield (
                f"Against {_SHORT[name]}: never, at no volume: a request costs "
                f"{usd(-found['saving'] * 1_000)} more for each 1,000."
            )
        else:
            volume = f"{found['least_volume']:,.0f} requests a month"
            yield f"Against {_SHORT[name]}: paid back {horizon} from {volume} on."
    for name, length in told["least_instructions"].items():
        if length is None:
            yield f"Against {_SHORT[name]}: never, since instructions cost nothing there."
        elif length > 0:
            yield (
                f"Against {_SHORT[name]}: a tuned request is cheaper only where it replaces "
                f"instructions of over {length:,.0f} tokens."
            )
    if told["cached_share_limit"]:
        yield (
            f"From {percent(told['cached_share_limit'])} of the instructions in the cache on, "
            "prompting is cheaper a request, and tuning never pays back against it."
        )
    if told["cached"] is None and told["tokens"]["instructions"] < told["cache_least"]:
        yield (f"Instructions under {told['cache_least']:,.0f} tokens are taken not to be cached.")


def _sensitivity(told: Figures) -> Section:
    rows = [
        (row["what"], *(_paid(found) for found in row["against"].values()))
        for row in told["sensitivity"]
    ]
    head = ("months until paid back, if", *(_SHORT[name] for name in told["against"]))
    return Section("What would change the answer",
                   tables=[Table(head, rows, "l" + "r" * len(told["against"]))])  # fmt: skip


def _paid(found: Figures) -> str:
    return "never" if found["months"] is None else f"{found['months']:,.1f}"


def _rests(told: Figures) -> Section:
    tokens, costs = told["tokens"], told["costs"]
    spent = ", ".join(f"{name} ${cost:,.2f}" for name, cost in costs.items())
    cache = "none" if told["cached"] is None else percent(told["cached"])
    request = (
        f"{tokens['instructions']:,.0f} tokens of instructions (tuned: "
        f"{tokens['tuned_instructions']:,.0f}), {tokens['user']:,.0f} of the user's, "
        f"{tokens['output']:,.0f} out"
    )
    items = [
        f"A request: {request}.",
        f"Costs: {spent}.",
        f"Instructions in the provider's cache: {cache}.",
        f"Discount: {percent(told['discount'])} a year. Volume and prices stay as they are.",
    ]
    if told["escalation"]:
        before, after = told["escalation"]
        items.append(
            f"The large model answers {percent(before)} of the prompted model's requests after "
            f"all, and {percent(after)} of the tuned one's."
        )
    else:
        items.append("That the tuned model answers as well as what it is weighed against.")
    if told.get("measured"):
        found = told["measured"]
        items.append(
            f"Volume, tokens and cache as {found['calls']:,} answered calls of {found['tier']} "
            "have them; the instructions are what the file says."
        )
        items.append(_drawn(told["band"], told["horizon"], told["against"]))
    return Section("What this rests on", items=items)


def _drawn(band: Figures, horizon: float, against: Figures) -> str:
    """How sure it is as far as traffic goes."""
    if not band["draws"]:
        return f"No band: the ledger has calls of {band['days']} days only, it takes five."
    shares = ", ".join(
        f"{_SHORT[name]} {percent(found['band']['within'])}"
        for name, found in against.items()
        if found.get("band")
    )
    return (
        f"The band: the ledger's {band['days']} days drawn anew {band['draws']} times; paid back "
        f"within {horizon:g} months in so many of them: {shares}. It is of traffic alone: prices, "
        "costs and answers are as given."
    )
