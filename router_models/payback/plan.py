"""What a fine-tuning is weighed by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.core.economics import Plan, Tokens
from gateway.core.money import Price


@dataclass(frozen=True, slots=True)
class Weighed:
    """A fine-tuning, and what it is weighed against.

    `names` and `prices` are by role: tuned, prompted, and large where there is one. `tokens` is a
    mean request, `short` the same for the tuned model. `volume` is in requests a month, `horizon`
    in months. `cached` is the share of the instructions that a provider's cache has, None where it
    takes none so short. `escalation` are the shares that the large model answers after all, of the
    prompted and of the tuned model's requests.
    """

    names: Mapping[str, str]
    prices: Mapping[str, Price]
    tokens: Tokens
    short: Tokens
    volume: float
    plan: Plan
    cached: float | None = None
    cache_least: float = 1024
    escalation: tuple[float, float] | None = None
    horizon: float = 24.0
    costs: Mapping[str, float] = field(default_factory=dict)
    """What is in `plan`, in dollars, by its name in the file."""
