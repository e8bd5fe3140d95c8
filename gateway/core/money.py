"""Money as integers: prices in nano-dollars per million tokens, costs in nano-dollars."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

NANO = 1_000_000_000
"""Nano-dollars in a dollar."""
_MILLION = 1_000_000
TOKEN_CAP = 100_000_000
"""No call uses more tokens than this: a larger count is a fault on the wire, and is clamped."""


def nano(dollars: str | int | float | Decimal) -> int:
    """Turn dollars into integer nano-dollars, by way of the decimal text, half to even."""
    exact = Decimal(str(dollars)) * NANO
    return int(exact.to_integral_value(ROUND_HALF_EVEN))


def dollars(amount: int) -> str:
    """Write nano-dollars as an exact decimal dollar amount, without an exponent."""
    sign, whole = ("-", -amount) if amount < 0 else ("", amount)
    text = f"{whole // NANO}.{whole % NANO:09d}".rstrip("0")
    return f"{sign}{text}0" if text.endswith(".") else f"{sign}{text}"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call. `cached` and `cache_write` are parts of `prompt`, `reasoning` of
    `completion`; `estimated` says that the upstream did not report them itself."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    cache_write: int = 0
    reasoning: int = 0
    estimated: bool = False

    @classmethod
    def clamped(
        cls,
        prompt: object,
        completion: object,
        cached: object = 0,
        cache_write: object = 0,
        reasoning: object = 0,
    ) -> Usage | None:
        """Read an upstream's figures; None when they are missing or cannot be token counts.

        A part larger than its whole is cut to it.
        """
        if not (_is_count(prompt) and _is_count(completion)):
            return None
        whole = int(prompt)  # type: ignore[call-overload]
        out = int(completion)  # type: ignore[call-overload]
        hit = min(_count(cached), whole)
        return cls(
            prompt=whole,
            completion=out,
            cached=hit,
            cache_write=min(_count(cache_write), whole - hit),
            reasoning=min(_count(reasoning), out),
        )

    def __add__(self, other: Usage) -> Usage:
        """Sum both; one estimated part makes the sum an estimate."""
        return Usage(
            self.prompt + other.prompt,
            self.completion + other.completion,
            self.cached + other.cached,
            self.cache_write + other.cache_write,
            self.reasoning + other.reasoning,
            self.estimated or other.estimated,
        )


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= TOKEN_CAP


def _count(value: object) -> int:
    return value if isinstance(value, int) and _is_count(value) else 0


@dataclass(frozen=True, slots=True)
class Cost:
    """What one call cost, by kind, in nano-dollars."""

    input: int = 0
    cached_input: int = 0
    cache_write: int = 0
    output: int = 0
    request: int = 0

    @property
    def total(self) -> int:
        """The sum of all kinds."""
        return self.input + self.cached_input + self.cache_write + self.output + self.request

    def __add__(self, other: Cost) -> Cost:
        """Sum kind by kind."""
        return Cost(
            self.input + other.input,
            self.cached_input + other.cached_input,
            self.cache_write + other.cache_write,
            self.output + other.output,
            self.request + other.request,
        )


FREE = Cost()


@dataclass(frozen=True, slots=True)
class Price:
    """A model's price: nano-dollars per million tokens of each kind, and per request.

    `version` names the price book or file (and its date) that the figures came from.
    """

    input: int = 0
    output: int = 0
    cached_input: int | None = None
    cache_write: int | None = None
    request: int = 0
    version: str = ""

    def cost(self, usage: Usage) -> Cost:
        """Price one call; each kind is rounded half up to a nano-dollar."""
        fresh = usage.prompt - usage.cached - usage.cache_write
        cached = self.input if self.cached_input is None else self.cached_input
        written = self.input if self.cache_write is None else self.cache_write
        return Cost(
            input=_share(fresh, self.input),
            cached_input=_share(usage.cached, cached),
            cache_write=_share(usage.cache_write, written),
            output=_share(usage.completion, self.output),
            request=self.request,
        )


def _share(tokens: int, per_million: int) -> int:
    return (tokens * per_million + _MILLION // 2) // _MILLION
