"""How sure was the model itself: by its token log-probabilities, or by its own word."""

from __future__ import annotations

import math
from collections.abc import Iterator

from gateway.core.chat import ChatRequest, Choice, Reply
from gateway.core.recipes import marker_at
from gateway.core.verdict import ABSTAIN, PASS, Check, Finding

_LOW_QUANTILE = 0.1


def logprob(request: ChatRequest, reply: Reply) -> Finding:
    """Turn token log-probabilities into a confidence, 0..1; abstain where there are none.

    It is the geometric mean of the least likely token's probability and the 10 % quantile's: the
    quantile keeps one odd token from condemning a long reply, the minimum keeps a short one
    honest (quantiles beat means: Gupta et al., 2024, arXiv 2404.10136). It ranks replies; it
    is no calibrated probability until it is fitted to a team's own traffic.
    """
    del request
    scored = [choice.logprobs for choice in reply.choices if choice.logprobs]
    if not scored:
        return ABSTAIN
    return Finding("pass", confidence=min(map(_confidence, scored)))


def _confidence(logprobs: tuple[float, ...]) -> float:
    ordered = sorted(logprobs)
    low = ordered[int(_LOW_QUANTILE * len(ordered))]
    return math.exp(min(0.0, (ordered[0] + low) / 2))  # over 0 no logarithm of a chance can be


def unsure(marker: str) -> Check:
    """Make the check that reads the recipe's not-sure marker, in texts and calls of tools."""

    def check(request: ChatRequest, reply: Reply) -> Finding:
        del request
        texts = (text for choice in reply.choices for text in _texts(choice))
        if any(_says(text, marker, whole=reply.complete) for text in texts):
            return Finding("fail", "unsure")
        return PASS if reply.complete else ABSTAIN

    return check


def _says(text: str, marker: str, *, whole: bool) -> bool:
    """Is the marker there? A whole text may have been cut off in it."""
    return marker_at(text, marker) >= 0 if whole else marker in text


def _texts(choice: Choice) -> Iterator[str]:
    yield choice.text
    for call in choice.tool_calls:
        yield call["arguments"]
