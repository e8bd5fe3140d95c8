"""Money as integers: prices in nano-dollars per million tokens, costs in nano-dollars.

There is one rule of rounding: what a call costs of each kind is rounded half up to a nano-dollar,
and a sum is the sum of its rounded parts.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields, replace
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from functools import lru_cache
from hashlib import blake2b
from operator import add, attrgetter
from typing import Any

from gateway.core.quick import maker, quick

NANO = 1_000_000_000
"""Nano-dollars in a dollar."""
_PLACES = 9
_MILLION = 1_000_000
_HALF = _MILLION // 2
TOKEN_CAP = 100_000_000
"""No call uses more tokens than this: a larger count is a fault on the wire, and is clamped."""


def nano(dollars: str | int | float | Decimal) -> int:
    """Turn dollars into integer nano-dollars, by way of the decimal text, half to even."""
    exact = Decimal(str(dollars)) * NANO
    return int(exact.to_integral_value(ROUND_HALF_EVEN))


@lru_cache(256)  # a request's own two or three are written five times: headers, then its log's line
def dollars(amount: int) -> str:
    """Write nano-dollars as an exact decimal dollar amount, without an exponent."""
    if amount < 0:
        return "-" + dollars(-amount)
    digits = str(amount)
    if len(digits) > _PLACES:
        exact = (digits[:-_PLACES] + "." + digits[-_PLACES:]).rstrip("0")
    else:
        exact = ("0." + digits.zfill(_PLACES)).rstrip("0")
    return exact + "0" if exact[-1] == "." else exact


def per_million(hour: int, per_second: Fraction, utilisation: float) -> int:
    """What a million tokens cost on hardware of one's own, rounded half up to a nano-dollar.

    `hour` is what all of it costs for an hour, in nano-dollars; `per_second` the tokens that it
    makes in a second when it has enough to do, `utilisation` the share of the time, over 0 to 1,
    that it has: hour * 1e6 / (3600 * per_second * utilisation).
    """
    tokens = 3600 * per_second * Fraction(str(utilisation))
    return int(Fraction(hour) * _MILLION / tokens + Fraction(1, 2))


@quick
@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call. `cached`, `cache_write`, `audio_input` and `image_input` are parts of
    `prompt` that do not overlap; `reasoning`, `audio_output` and `image_output` such parts of
    `completion`; `cache_write_1h` is what of `cache_write` is kept for an hour.

    `service` is the tier of service that the upstream says it used (flex, priority, batch), empty
    for the common one; `estimated` says that the upstream did not report the tokens itself.
    """

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    cache_write: int = 0
    reasoning: int = 0
    estimated: bool = False
    cache_write_1h: int = 0
    audio_input: int = 0
    audio_output: int = 0
    image_input: int = 0
    image_output: int = 0
    service: str = ""

    @staticmethod
    def clamped(
        prompt: object,
        completion: object,
        cached: object = 0,
        cache_write: object = 0,
        reasoning: object = 0,
        *,
        service: str = "",
        **parts: object,
    ) -> Usage | None:
        """Read an upstream's figures; None when they are missing or cannot be token counts.

        Parts that are larger than their whole are cut to it, in the order of the fields; `parts`
        are those that are not named here.
        """
        if not (_is_count(prompt) and _is_count(completion)):
            return None
        whole = int(prompt)  # type: ignore[call-overload]
        out = int(completion)  # type: ignore[call-overload]
        if not (cached or cache_write or reasoning or parts):
            return new_usage(whole, out, service=service)
        told = parts.get
        hit = _within(cached, whole)
        written = _within(cache_write, whole - hit)
        heard = _within(told("audio_input"), whole - hit - written)
        thought = _within(reasoning, out)
        spoken = _within(told("audio_output"), out - thought)
        return new_usage(
            prompt=whole,
            completion=out,
            cached=hit,
            cache_write=written,
            reasoning=thought,
            cache_write_1h=_within(told("cache_write_1h"), written),
            audio_input=heard,
            audio_output=spoken,
            image_input=_within(told("image_input"), whole - hit - written - heard),
            image_output=_within(told("image_output"), out - thought - spoken),
            service=service,
        )

    def is_plain(self) -> bool:
        """Are all of its tokens of the common kinds: read anew, and said as text?"""
        rare = self.cached or self.cache_write or self.cache_write_1h or self.reasoning
        heard = self.audio_input or self.audio_output
        return not (rare or heard or self.image_input or self.image_output)

    def __add__(self, other: Usage) -> Usage:
        """Sum both; one estimated part makes the sum an estimate, and two services none."""
        return Usage(
            self.prompt + other.prompt,
            self.completion + other.completion,
            self.cached + other.cached,
            self.cache_write + other.cache_write,
            self.reasoning + other.reasoning,
            self.estimated or other.estimated,
            self.cache_write_1h + other.cache_write_1h,
            self.audio_input + other.audio_input,
            self.audio_output + other.audio_output,
            self.image_input + other.image_input,
            self.image_output + other.image_output,
            self.service if self.service == other.service else "",
        )


new_usage = maker(Usage)


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= TOKEN_CAP


def _within(part: object, whole: int) -> int:
    """Cut a part to its whole; what cannot be a count is none."""
    return min(part, whole) if isinstance(part, int) and part and _is_count(part) else 0


@quick
@dataclass(frozen=True, slots=True)
class Cost:
    """What one call cost, by kind, in nano-dollars. No token is in two kinds; `cache_write` is for
    both times that a cache keeps, `audio` and `image` are for what came in and what went out."""

    input: int = 0
    cached_input: int = 0
    cache_write: int = 0
    output: int = 0
    request: int = 0
    reasoning: int = 0
    audio: int = 0
    image: int = 0
    total: int = field(init=False, repr=False, compare=False)
    """The sum of all kinds."""

    def __post_init__(self) -> None:
        """Add up once what is asked for at every turn."""
        read = self.input + self.cached_input + self.cache_write
        said = read + self.output + self.request + self.reasoning + self.audio + self.image
        self.total = said  # type: ignore[misc] # quick does not refuse it

    @property
    def amounts(self) -> tuple[int, ...]:
        """What it cost of each of KINDS."""
        amounts: tuple[int, ...] = _AMOUNTS(self)
        return amounts

    def __add__(self, other: Cost) -> Cost:
        """Sum kind by kind."""
        return Cost(*map(add, self.amounts, other.amounts))


KINDS = tuple(kind.name for kind in fields(Cost) if kind.init)
"""The kinds of cost, in the order of `Cost.amounts`."""
_AMOUNTS = attrgetter(*KINDS)
FREE = Cost()
new_cost = maker(Cost)
STANDARD = frozenset({"", "default", "standard", "auto", "on_demand"})
"""What upstreams call the common tier of service."""
_NO_RATES = frozenset({"version", "bands", "services", "digest"})


@dataclass(frozen=True, slots=True)
class Price:
    """A model's price: nano-dollars per million tokens of each kind, and per `request`.

    Of a kind that is None, a token costs what the common one does: `cached_input`, `cache_write`,
    `audio_input` and `image_input` what `input` does, `cache_write_1h` what `cache_write` does, and
    `reasoning`, `audio_output` and `image_output` what `output` does.

    `bands` are (tokens, price), rising: a prompt over so many tokens is priced as a whole by the
    last of them that it is over. `services` are prices by tier of service, each with its own bands.
    `version` names the price book or file (and its date) that the figures came from, `digest` is a
    short hash of the figures alone; a price that was never set has neither.
    """

    input: int = 0
    output: int = 0
    cached_input: int | None = None
    cache_write: int | None = None
    request: int = 0
    version: str = ""
    cache_write_1h: int | None = None
    reasoning: int | None = None
    audio_input: int | None = None
    audio_output: int | None = None
    image_input: int | None = None
    image_output: int | None = None
    bands: tuple[tuple[int, Price], ...] = ()
    services: tuple[tuple[str, Price], ...] = ()
    digest: str = ""

    def cost(self, usage: Usage) -> Cost:
        """Price one call."""
        return _priced(self.rates(usage) if self.bands or self.services else self, usage)

    def total(self, usage: Usage) -> int:
        """Price one call as a whole, in nano-dollars: what the kinds of `cost` come to."""
        price = self.rates(usage) if self.bands or self.services else self
        if not usage.is_plain():
            return _priced(price, usage).total
        read = (usage.prompt * price.input + _HALF) // _MILLION  # as _share has it, at each call
        return read + (usage.completion * price.output + _HALF) // _MILLION + price.request

    def rates(self, usage: Usage) -> Price:
        """Return the price that this call goes by: by its tier of service, then by its prompt.

        A tier of service that has no price here goes by the common one.
        """
        price = dict(self.services).get(usage.service, self)
        for above, band in price.bands:
            if usage.prompt > above:
                price = band
        return price

    def rate(self, usage: Usage) -> str:
        """Name what `rates` comes to: `standard`, `above 200000`, `flex`, `flex above 272000`."""
        if not (self.bands or self.services):
            return "standard"
        service = usage.service if usage.service in dict(self.services) else ""
        own = dict(self.services).get(usage.service, self)
        over = [above for above, _ in own.bands if usage.prompt > above]
        words = [service, f"above {over[-1]}" if over else ""]
        return " ".join(word for word in words if word) or "standard"

    def knows(self, service: str) -> bool:
        """Is there a price for what an upstream calls its tier of service?"""
        return service in STANDARD or service in dict(self.services)

    def figures(self) -> dict[str, Any]:
        """Return what is set, as plain JSON values by name; bands are under `above`."""
        own = {name: getattr(self, name) for name in _RATES if getattr(self, name) is not None}
        bands = {str(above): band.figures() for above, band in self.bands}
        services = {name: price.figures() for name, price in self.services}
        nested = {"above": bands, "services": services}
        return own | {name: prices for name, prices in nested.items() if prices}

    def sealed(self, version: str) -> Price:
        """Return the same price as one that was set: with its version, and its figures' digest."""
        figures = json.dumps(self.figures(), sort_keys=True).encode()
        digest = blake2b(figures, digest_size=6).hexdigest()
        return replace(self, version=version, digest=digest)


UNPRICED = Price()
"""Of a model whose price nobody has set."""
_RATES = tuple(f.name for f in fields(Price) if f.name not in _NO_RATES)


def _priced(price: Price, usage: Usage) -> Cost:
    if usage.is_plain():
        told, said = _share(usage.prompt, price.input), _share(usage.completion, price.output)
        return new_cost(told, 0, 0, said, price.request)
    rest = usage.prompt - usage.cached - usage.cache_write
    said = usage.completion - usage.reasoning - usage.audio_output - usage.image_output
    written = _or(price.cache_write, price.input)
    return Cost(
        input=_share(rest - usage.audio_input - usage.image_input, price.input),
        cached_input=_share(usage.cached, _or(price.cached_input, price.input)),
        cache_write=_share(usage.cache_write - usage.cache_write_1h, written)
        + _share(usage.cache_write_1h, _or(price.cache_write_1h, written)),
        output=_share(said, price.output),
        request=price.request,
        reasoning=_share(usage.reasoning, _or(price.reasoning, price.output)),
        audio=_share(usage.audio_input, _or(price.audio_input, price.input))
        + _share(usage.audio_output, _or(price.audio_output, price.output)),
        image=_share(usage.image_input, _or(price.image_input, price.input))
        + _share(usage.image_output, _or(price.image_output, price.output)),
    )


def _or(own: int | None, common: int) -> int:
    return common if own is None else own


def _share(tokens: int, per_million: int) -> int:
    return (tokens * per_million + _HALF) // _MILLION
