"""The checks that a user defines: what each is, and what it asks of a model."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.core.asking import Asks
from gateway.core.plan import Tier
from gateway.core.routing import recipe_tokens
from gateway.core.scorer_spec import HELPERS

JUDGE_TOKENS = 12
"""A judge's answer at its longest."""
JUDGE_PROMPT_TOKENS = 260
"""What a judge is told beside conversation and reply, roughly."""


@dataclass(frozen=True, slots=True)
class AgreementCheck:
    """More samples of the answer: of `tier`, or of the tier whose reply it is where that is None.

    Sample i is asked for with the seed `seed` + i, where there is one. `temperature` None leaves
    the client's own; `timeout` is in seconds; `concurrent` starts them with the draft.
    """

    tier: Tier | None = None
    samples: int = 1
    temperature: float | None = 1.0
    seed: int | None = None
    timeout: float = 5.0
    concurrent: bool = False


@dataclass(frozen=True, slots=True)
class JudgeCheck:
    """A model that is asked for the probability that a reply is good. `prompt` says what good is
    (empty: the built-in words), `timeout` is in seconds."""

    tier: Tier
    timeout: float = 5.0
    prompt: str = ""
    allow_self: bool = False


@dataclass(frozen=True, slots=True)
class PythonCheck:
    """A user's own function, `module:function`, in at most `helpers` processes of its own, each
    within `memory` bytes of address space (None: no limit); `timeout` is in seconds. `where` says,
    for an error, where it is written, and makes it no other check."""

    call: str
    timeout: float = 1.0
    helpers: int = HELPERS
    memory: int | None = None
    where: str = field(default="", repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class CommandCheck:
    """A program that is run with the reply on its standard input: as text, or as JSON with the
    request where `gives` says so. `timeout` and `cpu` are in seconds, `memory` and `file_size` in
    bytes; `processes` may run beside those that its user runs already, and `env` names what it
    inherits."""

    run: tuple[str, ...]
    timeout: float = 3.0
    cpu: float = 2.0
    memory: int = 256_000_000
    file_size: int = 10_000_000
    processes: int = 16
    env: tuple[str, ...] = ()
    gives: str = "text"


CheckDefinition = AgreementCheck | JudgeCheck | PythonCheck | CommandCheck


def asks_of(check: CheckDefinition) -> Asks | None:
    """Say what a check asks of a model, None when it asks none."""
    match check:
        case AgreementCheck(tier=None, samples=samples):
            return Asks(times=samples)
        case AgreementCheck(tier=Tier() as tier, samples=samples):
            return Asks(tier.price, samples, recipe_tokens(tier.recipe))
        case JudgeCheck(tier=tier, prompt=prompt):
            told = JUDGE_PROMPT_TOKENS + len(prompt) // 4
            return Asks(tier.price, prompt=told, reads_reply=True, answer=JUDGE_TOKENS)
        case _:
            return None
