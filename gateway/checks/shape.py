"""Is there an answer at all: not empty, not cut off, not a refusal?"""

from __future__ import annotations

from gateway.core.chat import ChatRequest, Choice, Reply
from gateway.core.early import OPENING
from gateway.core.verdict import ABSTAIN, PASS, Finding

_REFUSALS = (
    "i can't help",
    "i cannot help",
    "i can't assist",
    "i cannot assist",
    "i'm unable to",
    "i am unable to",
    "i'm not able to",
    "i am not able to",
    "i can't provide",
    "i cannot provide",
    "i can't do that",
    "i cannot do that",
    "i can't answer",
    "i cannot answer",
    "i won't be able to",
    "i must decline",
    "as an ai language model",
    "as a language model, i",
    "i'm sorry, but i can",
    "i am sorry, but i can",
    "sorry, but i can't",
    "sorry, i can't",
)
_MARKS = ("i can", "able to", "i must decline", "language model")
"""Each refusal has one of these, and few other replies have: looked for first, they save the rest,
17,000 instructions of the processor a reply."""


def shape(request: ChatRequest, reply: Reply) -> Finding:
    """Fail an empty reply (broken), or one cut off by anything but the client's own bound.

    A stronger tier would be cut at the same bound: to escalate would only pay twice. Abstains
    where speech was asked for: what is said is in no text.
    """
    if not reply.complete or _wants_speech(request.body.get("modalities")):
        return ABSTAIN
    cut, empty = False, not reply.choices
    for choice in reply.choices:
        cut = cut or choice.finish == "length"
        empty = empty or _is_empty(choice)
    if empty:
        return Finding("fail", "empty", broken=True)
    if cut and request.max_tokens is None:
        return Finding("fail", "truncated")
    return PASS


def refusal(request: ChatRequest, reply: Reply) -> Finding:
    """Fail a reply that declines; judged by its opening, so that a prefix is enough to fail."""
    del request
    for choice in reply.choices:
        if _refuses(choice):
            return Finding("fail", "refusal")
    return PASS if reply.complete else ABSTAIN


def _wants_speech(modalities: object) -> bool:
    return isinstance(modalities, list) and "audio" in modalities


def _is_empty(choice: Choice) -> bool:
    return not (choice.text.strip() or choice.tool_calls or choice.refusal)


def _refuses(choice: Choice) -> bool:
    if choice.refusal or choice.finish == "content_filter":
        return True
    opening = choice.text[:OPENING].lower().replace("\u2019", "'")
    for mark in _MARKS:
        if mark in opening:
            return any(words in opening for words in _REFUSALS)
    return False
