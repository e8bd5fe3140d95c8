"""A bill held against the ledger, as a document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from router_models.report.document import Document, Section, Table, Tone, digits_for, percent, usd

Figures = Mapping[str, Any]
_WHY = {
    "unsettled": "never settled: the process died; tokens and cost are our estimate",
    "cancelled": "cut off by the client: the provider may bill what it had made by then",
    "left": "left by the gateway before its end, likewise",
    "failed": "failed: most providers bill none, we book what was reported",
    "retried": "sent anew on a fresh connection: the provider may have seen both",
    "estimated": "without usage from the provider: tokens are our estimate",
    "missing_price": "no price is known: recorded at $0",
    "missing_rate": "of a tier of service without a price: recorded at the common one",
    "near midnight": "within an hour of midnight: may stand on the other day of the bill",
}
_MOST_DAYS = 31
_OFF = 0.005
_ROUNDED = 5_000_000
"""Nano-dollars: exports have cents, line by line."""


def document(told: Figures) -> Document:
    """Tell it."""
    verdict, tone = _verdict(told)
    if unpriced := told["unsure"].get("missing_price"):
        verdict += f" {unpriced['calls']:,} recorded calls have no price and stand at $0."
    days = " to ".join(told["days"]) or "no days"
    sections = [_models(told), _gap(told), _days(told), _unsure(told), _rests(told)]
    return Document(
        title="The bill against the ledger",
        about=f"{', '.join(told['exports'])}: {days}; {told['ledger']}",
        verdict=verdict,
        tone=tone,
        sections=[section for section in sections if section is not None],
    )


def _verdict(told: Figures) -> tuple[str, Tone]:
    total = told["total"]
    share = told["captured"]
    if share is None:
        return "Nothing was billed.", "open"
    tone: Tone = "good" if told["held"] else "bad"
    if total["billed"] is None:
        tokens = f"{total['recorded_tokens']:,} of {total['billed_tokens']:,} billed tokens"
        return f"Recorded {tokens}: {percent(share, 2)}. The export has no costs.", tone
    whole = f"{usd(total['recorded_of_billed'])} of {usd(total['billed'])} billed"
    gap = total["billed"] - total["recorded_of_billed"]
    word = "more than" if gap < 0 else "short of"
    said = f"Recorded {whole}: {percent(share, 2)}, {usd(abs(gap))} {word} the bill."
    return f"{said}{_left_out(told)}", tone


def _left_out(told: Figures) -> str:
    if not told["without_cost"]:
        return ""
    apart = told["total"]["recorded"] - told["total"]["recorded_of_billed"]
    names = ", ".join(told["without_cost"])
    return f" The export has no cost of {names}: {usd(apart)} recorded of them are not held to it."


def _models(told: Figures) -> Section:
    digits = digits_for(row["recorded"] for row in told["models"])
    rows = [
        (row["model"], _usd(row["billed"], digits), usd(row["recorded"], digits),
         percent(row["captured"], 2), _count(row["billed_tokens"]),
         _count(row["recorded_tokens"]), percent(row["captured_tokens"], 2))
        for row in [*told["models"], told["total"]]
    ]  # fmt: skip
    head = ("model", "billed", "recorded", "", "tokens", "recorded", "")
    return Section("By model", tables=[Table(head, rows, "lrrrrrr")])


def _usd(amount: int | None, digits: int) -> str:
    return "no cost" if amount is None else usd(amount, digits)


def _count(number: int | None) -> str:
    return "no tokens" if number is None else f"{number:,}"


def _gap(told: Figures) -> Section:
    total = told["total"]
    digits = digits_for([total["recorded"]])
    rows = [
        ("tokens billed and not recorded, at our prices", usd(total["token_gap"], digits)),
        ("prices other than ours, on the billed tokens", usd(total["price_gap"], digits)),
    ]
    if total["not_split"]:
        rows.append(("not to be split: billed without tokens, or never recorded",
                     usd(total["not_split"], digits)))  # fmt: skip
    if total["billed"] is not None:
        gap = total["billed"] - total["recorded_of_billed"]
        rows.append(("billed less recorded", usd(gap, digits)))
    return Section("What the gap is made of", items=list(_hints(told)),
                   tables=[Table(("part", "USD"), rows, "lr")])  # fmt: skip


def _hints(told: Figures) -> Iterator[str]:
    for model in told["not_recorded"]:
        billed = next(row for row in told["models"] if row["model"] == model)
        amount = "" if billed["billed"] is None else f" ({usd(billed['billed'])})"
        yield (
            f"{model}{amount} was billed, and the ledger has no call of it: another client of the "
            "same account, or another name (--same BILLED=OURS)."
        )
    for row in told["models"]:
        if row["billed"] and row["price_gap"] and row["billed"] != row["price_gap"]:
            part = row["price_gap"] / (row["billed"] - row["price_gap"])
            if abs(part) > 0.005:
                yield f"{row['model']} is billed {part:+.1%} against our price: is the book stale?"
    if told["better_zone"]:
        yield (
            f"The days fit far better if the bill's end at midnight {told['better_zone']}: try "
            f"--timezone {told['better_zone']}."
        )
    for model, cost in told["not_billed"].items():
        if cost:
            yield f"{model}: {usd(cost)} recorded on these days, and not in the export."


def _days(told: Figures) -> Section | None:
    off = [row for row in told["rows"] if _is_off(row)]
    if not off:
        return None
    digits = digits_for(row["recorded"] for row in off)
    shown = sorted(off, key=lambda row: -abs((row["billed"] or 0) - row["recorded"]))[:_MOST_DAYS]
    rows = [
        (f"{row['day']} {row['model']}", _usd(row["billed"], digits),
         usd(row["recorded"], digits), _gap_of(row["token_gap"], digits),
         _gap_of(row["price_gap"], digits))
        for row in sorted(shown, key=lambda row: (row["day"], row["model"]))
    ]  # fmt: skip
    head = ("day, model", "billed", "recorded", "by tokens", "by price")
    text = [f"{len(off)} of {len(told['rows'])} days of models differ by over half a per cent."]
    return Section("By day", text, [Table(head, rows, "lrrrr")])


def _is_off(row: Figures) -> bool:
    """Does a day differ by more than bills are rounded to?"""
    if row["billed"] is None:
        gap, least = row["billed_tokens"] - row["recorded_tokens"], _OFF * row["billed_tokens"]
    else:
        gap = row["billed"] - row["recorded"]
        least = max(_ROUNDED, _OFF * abs(row["billed"]))
    return bool(abs(gap) > least)


def _gap_of(amount: int | None, digits: int) -> str:
    return "unknown" if amount is None else usd(amount, digits)


def _unsure(told: Figures) -> Section | None:
    rows = [
        (_WHY[why], f"{sums['calls']:,}", f"{sums['tokens']:,}", usd(sums["cost"]))
        for why, sums in sorted(told["unsure"].items(), key=lambda item: -item[1]["cost"])
    ]
    if not rows:
        return None
    text = "Recorded calls of these models and days that a bill may count otherwise:"
    head = ("calls", "number", "tokens", "recorded")
    return Section("What may explain it", [text], [Table(head, rows, "lrrr")])


def _rests(told: Figures) -> Section:
    return Section(
        "What this rests on",
        items=[
            f"The bill's days end at midnight of {told['timezone']}.",
            "Our price of a token is what the ledger's calls of that model cost on these days.",
            "Models are matched by name, without provider and date.",
        ],
    )
