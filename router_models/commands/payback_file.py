"""A fine-tuning's plan as a YAML file, and as the options of `waterfall payback`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PlainValidator

from gateway.config.checking import at, check
from gateway.config.models import Strict
from gateway.config.price_keys import PriceKeys
from gateway.config.pricing import read_price
from gateway.config.problems import ConfigError, nearest
from gateway.config.text import Document, read, read_file
from gateway.core.economics import Plan, Tokens
from gateway.core.money import Price, nano
from router_models.payback.plan import Weighed

Number = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]


def _model(value: object) -> str | PriceKeys:
    """A model's name in the price book, or its price."""
    if isinstance(value, str) and value:
        return value
    if isinstance(value, Mapping):
        return PriceKeys.model_validate(value)
    raise ValueError("must be a model of the price book, or a price such as {input: 1, output: 4}")


Model = Annotated[str | PriceKeys, PlainValidator(_model)]


class _Models(Strict):
    """`large` is what would answer without any of it."""

    tuned: Model
    prompted: Model
    large: Model | None = None


class _Tokens(Strict):
    """Of a mean request; `tuned_instructions` are what the tuned model still needs."""

    instructions: Number
    user: Number
    output: Number
    tuned_instructions: Number = 0


class _Once(Strict):
    """US dollars, before the first request."""

    data: Number = 0
    labelling: Number = 0
    training: Number = 0
    evaluation: Number = 0
    engineering: Number = 0


class _Upkeep(Strict):
    """`retraining` US dollars each `every` months; `hosting` US dollars a month."""

    retraining: Number = 0
    every: Annotated[float, Field(gt=0)] = 6
    hosting: Number = 0


class _Cache(Strict):
    """The share of the instructions that the provider's cache has; it takes none that are shorter
    than `least` tokens."""

    share: Share = 0.9
    least: Number = 1024


class _Escalation(Strict):
    """The share of requests that the large model has to answer after all."""

    prompted: Share
    tuned: Share


class _File(Strict):
    models: _Models
    tokens: _Tokens
    volume: Annotated[float, Field(gt=0)]
    once: _Once = _Once()
    upkeep: _Upkeep = _Upkeep()
    cache: _Cache = _Cache()
    escalation: _Escalation | None = None
    horizon: Annotated[float, Field(gt=0, le=240)] = 24
    discount: Share = 0


def open_plan(path: Path) -> Document:
    """Read a file's text as data, for `parse_plan`. Raises ConfigError, OSError."""
    return read(read_file(path), path.name)


def parse_plan(
    document: Document,
    book: Mapping[str, Price],
    given: Mapping[str, Any],
    measured: Mapping[str, float | None] | None = None,
) -> Weighed:
    """Read a document, which is changed by it. `given` are values that win over its own, by their
    dotted paths; `book` has the prices of models; `measured` is what a ledger says of the prompted
    tier (`store.recorded.tier_usage`): it wins over the document, and `given` over it.

    Raises ConfigError.
    """
    for trail, value in given.items():
        _put(document, trail.split("."), value)
    if measured is not None:
        for trail, value in _from_ledger(document, measured).items():
            if trail not in given:
                _put(document, trail.split("."), value)
    found = check(document, _File, ())
    prices = {} if found is None else _prices(document, found.models, book)
    if found is not None and found.escalation is not None and "large" not in prices:
        document.problem(("escalation",), "needs models.large: it answers what escalates")
    if found is None or document.problems:
        raise ConfigError(document.problems)
    return _weighed(found, prices)


def _from_ledger(document: Document, measured: Mapping[str, float | None]) -> dict[str, Any]:
    """A mean call of the tier: its prompt less the instructions is the user's own, and what was
    cached is taken to be instructions. Calls are counted up to a month of thirty days."""
    calls, prompt = measured["calls"] or 0.0, measured["prompt"] or 0.0
    instructions = at(document, ("tokens", "instructions"))
    days = max(((measured["last"] or 0.0) - (measured["first"] or 0.0)) / 86_400, 1 / 24)
    found: dict[str, Any] = {"volume": calls / days * 30, "tokens.output": measured["output"]}
    if isinstance(instructions, int | float) and not isinstance(instructions, bool):
        found["tokens.user"] = max(prompt - instructions, 0.0)
        if instructions > 0:
            found["cache.share"] = min((measured["cached"] or 0.0) / instructions, 1.0)
    if isinstance(at(document, ("escalation", "tuned")), int | float) and measured["requests"]:
        found["escalation.prompted"] = (measured["escalated"] or 0.0) / measured["requests"]
    return found


def _put(document: Document, trail: list[str], value: Any) -> None:
    if document.data is None:
        document.data = {}
    place = document.data
    for name in trail[:-1]:
        if not isinstance(place.get(name), dict):
            place[name] = {}
        place = place[name]
    place[trail[-1]] = value


def _prices(document: Document, models: _Models, book: Mapping[str, Price]) -> dict[str, Price]:
    prices = {}
    for role in ("tuned", "prompted", "large"):
        wanted = getattr(models, role)
        if isinstance(wanted, str) and wanted not in book:
            hint = nearest(wanted, book)
            document.problem(("models", role), f"no price of {wanted!r} is known; {hint}")
        elif isinstance(wanted, str):
            prices[role] = book[wanted]
        elif wanted is not None:
            price = read_price(document, ("models", role), wanted)
            prices[role] = price.sealed("given")
    return prices


def _weighed(found: _File, prices: Mapping[str, Price]) -> Weighed:
    tokens, cache = found.tokens, found.cache
    named = {role: getattr(found.models, role) for role in prices}
    names = {role: name if isinstance(name, str) else role for role, name in named.items()}
    once = {name: getattr(found.once, name) for name in _Once.model_fields}
    monthly = found.upkeep.retraining / found.upkeep.every + found.upkeep.hosting
    return Weighed(
        names=names,
        prices=prices,
        tokens=Tokens(tokens.instructions, tokens.user, tokens.output),
        short=Tokens(tokens.tuned_instructions, tokens.user, tokens.output),
        volume=found.volume,
        plan=Plan(nano(sum(once.values())), nano(monthly), found.discount),
        cached=cache.share if tokens.instructions >= cache.least and cache.share else None,
        cache_least=cache.least,
        escalation=None
        if found.escalation is None
        else (found.escalation.prompted, found.escalation.tuned),
        horizon=found.horizon,
        costs={name: cost for name, cost in once.items() if cost} | {"upkeep a month": monthly},
    )
