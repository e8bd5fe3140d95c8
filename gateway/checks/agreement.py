"""Does another sample give the same answer? Answers are compared, not texts.

Self-consistency (Wang et al., 2022, arXiv 2203.11171), bought one reply at a time.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from statistics import fmean
from typing import Any, Final

from gateway.checks.answers import Alike, agree
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
        """Draw the samples, all at once, then wait for the reply and compare."""
        tier, signals = self._check.tier or question.tier, question.signals
        if (signals.tools and not tier.takes_tools) or (signals.images and not tier.takes_images):
            raise Unusable("the tier that is asked takes no such request", "unfit")
        numbers = range(self._check.samples)
        drawn = await asyncio.gather(
            *(self._draw(question, number, seconds, calls) for number in numbers),
            return_exceptions=True,
        )
        samples = [each for each in drawn if isinstance(each, Choice)]
        if not samples:
            raise next(each for each in drawn if isinstance(each, BaseException))
        reply = await question.reply()
        confidence = await self._threads.run(lambda: agreement(reply, samples, self._alike))
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
    """Return the mean agreement with the samples, of the choice that has the least of it; None
    where no sample can be compared."""
    means = []
    for choice in reply.choices:
        votes = [vote(choice, sample, alike) for sample in samples]
        told = [each for each in votes if each is not None]
        if told:
            means.append(fmean(told))
    return min(means, default=None)


def vote(choice: Choice, sample: Choice, alike: Alike | None = None) -> float | None:
    """Compare two choices, 0..1: calls of tools by name and argument values, else the answers.

    None for a sample that declined or was cut off: it says nothing of the answer.
    """
    if sample.refusal or sample.finish not in _WHOLE:
        return None
    if choice.tool_calls or sample.tool_calls:
        return float(_same_calls(choice, sample))
    return agree(choice.text, sample.text, alike)


def _same_calls(one: Choice, other: Choice) -> bool:
    left = [(call["name"], _value(call["arguments"])) for call in other.tool_calls]
    for call in one.tool_calls:
        wanted = (call["name"], _value(call["arguments"]))
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
