"""Does another sample give the same answer? Answers are compared, not texts.

Self-consistency (Wang et al., 2022, arXiv 2203.11171), bought one reply at a time.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from gateway.checks.answers import Alike, Answer, compare, extract, stand
from gateway.core.capable import lacking
from gateway.core.chat import ChatRequest, Choice, Draft, Reply
from gateway.core.check_spec import AgreementCheck
from gateway.core.dispatch import dispatch
from gateway.core.money import Usage
from gateway.core.plan import Tier
from gateway.core.ports import Calls, Question, Upstream
from gateway.core.routing import ASSUMED_REPLY_TOKENS, recipe_tokens
from gateway.core.verdict import ABSTAIN, Finding
from gateway.waiting.asking import ask
from gateway.waiting.guard import Unusable
from gateway.waiting.threads import Threads

_OUR_OWN: Final = frozenset(
    {"stream", "stream_options", "n", "logprobs", "top_logprobs", "seed", "prediction"}
)
"""Fields of the client's that say how its own reply is to come."""
_WHOLE: Final = (None, "stop", "tool_calls", "function_call")


class Agreement:
    """Asks for more samples and compares; fits `gateway.checks.guard.Waiting`."""

    def __init__(
        self,
        check: AgreementCheck,
        upstreams: Mapping[str, Upstream],
        marker: str,
        alike: Alike | None,
    ) -> None:
        """`marker` is this process's not-sure marker, `alike` compares short texts."""
        self._check, self._upstreams, self._marker = check, upstreams, marker
        self._alike = alike
        self._threads = Threads(2)

    async def ask(self, question: Question, seconds: float, calls: Calls) -> Finding:
        """Draw the samples, all at once, then wait for the reply and compare it with them and with
        those that other checks had drawn before."""
        before = list(question.heard)
        tier, signals = self._check.tier or question.tier, question.signals
        if lacking(tier, signals):
            raise Unusable("the tier that is asked takes no such request", "unfit")
        numbers = range(self._check.samples)
        drawn = await asyncio.gather(
            *(self._draw(question, number, seconds, calls) for number in numbers),
            return_exceptions=True,
        )
        samples = [each for each in drawn if isinstance(each, Choice)]
        if not samples:
            raise next(each for each in drawn if isinstance(each, BaseException))
        question.heard.extend(samples)
        reply = await question.reply()
        heard = [*before, *samples]
        confidence = await self._threads.run(lambda: agreement(reply, heard, self._alike))
        return ABSTAIN if confidence is None else Finding("pass", confidence=confidence)

    async def aclose(self) -> None:
        """Let go of the threads."""
        self._threads.close()

    async def _draw(self, question: Question, number: int, seconds: float, calls: Calls) -> Choice:
        tier = self._check.tier or question.tier
        body = self._body(question.request, tier, number)
        signals = question.signals
        guess = Usage(
            signals.prompt_tokens + recipe_tokens(tier.recipe),
            signals.max_tokens or ASSUMED_REPLY_TOKENS,
        )
        draft = Draft()
        for delta in await ask(calls, self._upstreams[tier.upstream], tier, body, guess, seconds):
            draft.add(delta)
        choices = draft.reply(complete=True).choices
        return choices[0] if choices else Choice()

    def _body(self, request: ChatRequest, tier: Tier, number: int) -> Mapping[str, Any]:
        """Write the client's request anew, in the tier's recipe, with a luck of its own."""
        asked = {name: value for name, value in request.body.items() if name not in _OUR_OWN}
        sent = dispatch(tier, ChatRequest(asked), judged=False, marker=self._marker).body
        body = {name: value for name, value in sent.items() if name not in _OUR_OWN}
        if self._check.temperature is not None:
            body["temperature"] = self._check.temperature
        if self._check.seed is not None:
            body["seed"] = self._check.seed + number
        return body


def agreement(reply: Reply, samples: list[Choice], alike: Alike | None = None) -> float | None:
    """Return how the reply stands among the samples (`answers.stand`): of several choices, the one
    that stands worst; None where no sample can be compared.

    A sample that declined or was cut off says nothing of the answer.
    """
    heard = [_voice(each) for each in samples if not each.refusal and each.finish in _WHOLE]
    compared = partial(_compare, alike=alike)
    stood = (stand(_voice(choice), heard, compared) for choice in reply.choices)
    return min((each for each in stood if each is not None), default=None)


@dataclass(frozen=True, slots=True, eq=False)
class _Voice:
    """What a choice says: its calls of tools by name and argument values, else its answer."""

    calls: tuple[tuple[object, object], ...]
    answer: Answer | None


def _voice(choice: Choice) -> _Voice:
    calls = tuple((call["name"], _value(call["arguments"])) for call in choice.tool_calls)
    return _Voice(calls, None if calls else extract(choice.text))


def _compare(one: _Voice, other: _Voice, alike: Alike | None) -> float | None:
    if one.calls or other.calls:
        return float(_same_calls(one, other))
    if one.answer is None or other.answer is None:
        return None
    return compare(one.answer, other.answer, alike)


def _same_calls(one: _Voice, other: _Voice) -> bool:
    left = list(other.calls)
    for wanted in one.calls:
        if wanted not in left:
            return False
        left.remove(wanted)
    return not left


def _value(arguments: str) -> object:
    """Read a call's arguments; what is no JSON stays a text."""
    try:
        return json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        return arguments.strip()
