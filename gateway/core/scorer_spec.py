"""Which scorer a route wants: a word or folder, or the settings of one that waits for somebody."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.core.money import Price
from gateway.core.plan import Tier

SCORER_TIER = "scorer"
"""What records call the tier of a scorer's own model, where that is no tier of the ladder."""

HELPERS = 4
"""Processes that a user's function may have."""


@dataclass(frozen=True, slots=True)
class PythonSpec:
    """A user's own function, `module.function`, in at most `helpers` processes of its own, each
    within `memory` bytes of address space (None: no limit); `timeout` is in seconds."""

    target: str
    timeout: float = 0.05
    helpers: int = HELPERS
    memory: int | None = None


@dataclass(frozen=True, slots=True)
class RemoteSpec:
    """An embeddings endpoint, and the folder of the artefact that reads its vectors. `price` is
    of the prompt's tokens, `timeout` in seconds."""

    url: str
    model: str
    artefact: str
    api_key: str | None = field(default=None, repr=False)
    timeout: float = 0.3
    price: Price = field(default_factory=Price)

    @property
    def tier(self) -> Tier:
        """What its calls are recorded under."""
        return Tier(SCORER_TIER, "embeddings", self.model, self.price)


@dataclass(frozen=True, slots=True)
class LlmSpec:
    """A model that is asked where `base` (a word or folder) says a difficulty within `band`, both
    ends included. `prompt` says what to judge (empty: the built-in words); `timeout` in seconds.
    """

    tier: Tier
    band: tuple[float, float]
    base: str = "default"
    timeout: float = 2.0
    prompt: str = ""


ScorerSpec = str | PythonSpec | RemoteSpec | LlmSpec
"""`default`, `rules` or an artefact's folder; or one that waits."""


def scorer_name(spec: ScorerSpec) -> str:
    """Name a scorer as the configuration does, in a few words and without secrets."""
    if isinstance(spec, PythonSpec):
        return f"python:{spec.target}"
    if isinstance(spec, RemoteSpec):
        return f"remote {spec.model} read by {spec.artefact}"
    if isinstance(spec, LlmSpec):
        low, high = spec.band
        return f"llm {spec.tier.model} from {low:g} to {high:g} of {spec.base}"
    return spec
