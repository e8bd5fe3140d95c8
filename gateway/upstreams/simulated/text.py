"""Words and tokens of simulated models: free text, wrong answers, log-probabilities."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from gateway.core.signals import text_of

_TOKEN = re.compile(r"\s?\w{1,6}|\s?[^\w\s]|\s")
_NUMBER = re.compile(r"-?\d+")
_OPENINGS = (
    "In short,",
    "Broadly,",
    "As a rule,",
    "To begin with,",
    "Put simply,",
    "On the whole,",
)
_WORDS = (
    "a the one each this that many few small large early late river harbour lantern orchard "
    "signal valley engine mirror kettle ladder copper winter garden letter market window carries "
    "holds turns meets follows leaves keeps moves opens lends gathers under over beside between "
    "after before slowly often rarely quietly again almost always and or but so while because"
).split()
_HESITANT = "I am not certain, but"


def tokens_of(text: str) -> list[str]:
    """Cut a text into tokens: a word's first six letters with the space before it, further sixes,
    single marks. They join to the text again."""
    return _TOKEN.findall(text)


def prompt_tokens(body: Mapping[str, Any]) -> int:
    """Count a request's prompt: for each message 4 and one for every 4 characters begun; the
    same for the tools and the response format as they would print; 3 for the reply's opening."""
    count = 3 + sum(_message_tokens(message) for message in body["messages"])
    extras = (body.get("tools"), body.get("response_format"))
    return count + sum(_quarter(len(str(extra))) for extra in extras if extra)


def cached_tokens(body: Mapping[str, Any]) -> int:
    """Count what a provider's prefix cache would have kept: the leading system messages, from
    1,024 tokens on, in steps of 128."""
    count = 0
    for message in body["messages"]:
        if message.get("role") not in ("system", "developer"):
            break
        count += _message_tokens(message)
    return count // 128 * 128 if count >= 1024 else 0


def _message_tokens(message: Mapping[str, Any]) -> int:
    return 4 + _quarter(len(text_of(message)))


def _quarter(chars: int) -> int:
    return -(-chars // 4)


def free_text(random: Random, words: int) -> str:
    """Write so many words that mean nothing."""
    chosen = random.choices(_WORDS, k=max(words, 1))
    for stop in range(9, len(chosen), 10):
        chosen[stop] += "."
    return f"{random.choice(_OPENINGS)} {' '.join(chosen)}."


def wrong_answer(random: Random, right: str, likely: Sequence[str], others: Sequence[str]) -> str:
    """Choose an answer that is not the right one: a likely one, a number nearby, another
    question's; always plausible, sometimes hesitant."""
    if likely:
        wrong = random.choice(likely)
    elif _NUMBER.fullmatch(right):
        wrong = str(int(right) + random.choice((-10, -2, -1, 1, 2, 10)))
    else:
        pool = [other for other in others if other != right and not _NUMBER.fullmatch(other)]
        wrong = random.choice(pool) if pool else "unknown"
    return f"{_HESITANT} {wrong}" if random.random() < 0.1 else wrong


def doubt(random: Random, *, right: bool) -> float:
    """Draw how doubtful a model is, as the mean of minus its tokens' log-probabilities.

    Log-normal: median 0.05 when right, 0.3 when wrong, with tails that overlap, as real ones do.
    """
    return math.exp(random.gauss(math.log(0.05 if right else 0.3), 0.8))


def logprobs(random: Random, count: int, doubtful: float) -> list[float]:
    """Draw natural logarithms, one a token, around the given doubt."""
    return [-round(random.expovariate(1 / doubtful), 5) for _ in range(count)]
