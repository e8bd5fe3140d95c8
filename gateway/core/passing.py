"""What is passed through to one upstream: which endpoints, what they say of themselves, what they
cost, and their record. Nothing is planned and nothing judged here."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gateway.core.baseline import Baseline
from gateway.core.errors import GatewayError, UpstreamError
from gateway.core.ledger import Entry, Origin, Timing, status_of
from gateway.core.money import FREE, UNPRICED, Price, Usage
from gateway.core.outcome import Attempt, CallRecord, Outcome
from gateway.core.plan import Tier

Group = Literal["embeddings", "moderations", "audio", "images", "files", "batches", "responses"]
PREFIX = "passthrough/"
"""What the route and tier of such a request are called, before its group."""
CHARS_PER_TOKEN = 4
EDGE = 64 * 1024
"""Bytes of a message's beginning and end in which what it says of itself is looked for."""

_ID = r"[A-Za-z0-9._:-]{1,200}"
PLACES: tuple[tuple[Group, str, str], ...] = (
    ("embeddings", "POST", "/embeddings"),
    ("moderations", "POST", "/moderations"),
    ("audio", "POST", "/audio/(speech|transcriptions|translations)"),
    ("images", "POST", "/images/(generations|edits|variations)"),
    ("files", "GET|POST", "/files"),
    ("files", "GET|DELETE", f"/files/{_ID}"),
    ("files", "GET", f"/files/{_ID}/content"),
    ("batches", "GET|POST", "/batches"),
    ("batches", "GET", f"/batches/{_ID}"),
    ("batches", "POST", f"/batches/{_ID}/cancel"),
    ("responses", "GET|DELETE", f"/responses/{_ID}"),
    ("responses", "GET", f"/responses/{_ID}/input_items"),
    ("responses", "POST", f"/responses/{_ID}/cancel"),
)
"""A group's methods and paths under `/v1`; those of no group are nothing's."""
_MODEL = re.compile(rb'name="model"[^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n([^\r\n]{1,200})\r\n')
_USAGE = re.compile(r'(?<!\\)"usage"\s*:\s*(?=\{)')
NO_CHARGE = Price().sealed("no charge")
"""The price of what providers do not bill: a file that is kept, a list that is read."""


@dataclass(frozen=True, slots=True)
class Passage:
    """One request on its way through: which `group` it is of, and which `upstream` answers it.
    `target` is the path with its query."""

    group: Group
    method: str
    path: str
    upstream: str
    target: str = ""

    @property
    def tier(self) -> str:
        """What its tier, and its route, are called."""
        return PREFIX + self.group


def group_of(method: str, path: str) -> Group | None:
    """Return the group that a request under `/v1` is of; None for any other."""
    for group, methods, place in PLACES:
        if re.fullmatch(place, path) and method in methods.split("|"):
            return group
    return None


def model_in_form(edge: bytes) -> str:
    """Return the model that a part of a multipart form names; empty where none does."""
    found = _MODEL.search(edge)
    return found.group(1).decode("utf-8", "replace") if found else ""


def usage_in(head: bytes, tail: bytes) -> Mapping[str, Any] | None:
    """Return the last usage that a reply tells in its end, else in its beginning."""
    for edge in (tail, head):
        text = edge.decode("utf-8", "replace")
        for match in reversed([*_USAGE.finditer(text)]):
            try:
                found, _ = json.JSONDecoder().raw_decode(text, match.end())
            except ValueError:
                continue
            return dict(found)
    return None


def price_of(
    passage: Passage, known: Price | None, usage: Usage | None, guess: Usage
) -> tuple[Price, Usage]:
    """Return by which price a call goes, and what it used.

    A list that is read and a file that is kept cost nothing. For all else it takes a price and
    tokens to go by it: without either the price is UNPRICED, which is counted, and is not the same
    as free. What embeddings and moderations use can be guessed from what was sent.
    """
    if passage.group == "files" or passage.method != "POST" or passage.path.endswith("/cancel"):
        return NO_CHARGE, Usage()
    if known is None or known == UNPRICED:
        return UNPRICED, usage or guess
    if usage is None and passage.group not in {"embeddings", "moderations"}:
        return UNPRICED, guess
    return known, usage or guess


@dataclass(frozen=True, slots=True)
class Passed:
    """How it went: `call` is None where nothing was sent. `started` is when the first byte of the
    reply left, `total` when the last did; both are seconds from the request's arrival."""

    passage: Passage
    call: CallRecord | None
    model: str
    price: Price
    total: float
    first: float | None = None
    waited: float = 0.0
    failure: UpstreamError | None = None
    error: GatewayError | None = None
    cancelled: bool = False


def entry_of(origin: Origin, passed: Passed, config: str, gateway_cost: int) -> Entry:
    """Write the record: one attempt, whose baseline is itself, so that nothing is saved by it."""
    name = passed.passage.tier
    tier = Tier(name, passed.passage.upstream, passed.model, passed.price)
    call = passed.call
    ok = call is not None and passed.error is None and not passed.cancelled
    attempt = Attempt(
        tier,
        calls=(call,) if call else (),
        failure=passed.failure,
        released=passed.first is not None,
    )
    outcome = Outcome(
        (attempt,),
        attempt if ok else None,
        error=passed.error,
        cancelled=passed.cancelled,
    )
    cost = call.cost if call and ok else FREE
    usage = call.usage if call and ok else Usage()
    return Entry(
        origin=origin,
        route=name,
        mode="enforce",
        outcome=outcome,
        timing=Timing(passed.total, passed.first, passed.waited),
        status=status_of(outcome),
        start_tier=name,
        start_reason="rule",
        difficulty=None,
        threshold=None,
        baseline=Baseline(
            name,
            cost.total,
            basis="estimated" if usage.estimated else "measured",
            usage=usage,
            price=passed.price.digest,
        ),
        config=config,
        gateway_cost=gateway_cost,
    )
