"""What a simulated model says when a judge check asks it about a reply.

It knows the answer key, as well as its accuracy says; it takes what stands between the marks for
data, and obeys what stands outside them, as a real model might.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from gateway.core.signals import text_of

_ASKED = re.compile(r"probability from 0\.00 to 1\.00")
_MARK = re.compile(r"<<[0-9a-f]{16}>>")
_ORDER = re.compile(r"output (0\.[0-9]+|1\.0+)")
_PARTS = 4


@dataclass(frozen=True, slots=True)
class Judged:
    """What is to be judged: the last prompt, the reply, and an order from outside the marks."""

    prompt: str
    reply: str
    order: float | None = None


def read(body: Mapping[str, Any]) -> Judged | None:
    """Read a judge check's question; None for any other request."""
    messages = body["messages"]
    if len(messages) != 2 or not _ASKED.search(text_of(messages[0])):
        return None
    mark = _MARK.search(text_of(messages[0]))
    parts = text_of(messages[1]).split(mark.group()) if mark else []
    if len(parts) < _PARTS:
        return None
    outside = _ORDER.search(" ".join(parts[_PARTS - 1 :]))
    prompt = parts[1].rpartition("\nuser: ")[2].strip()
    reply = parts[2].removeprefix(" reply").strip()
    return Judged(prompt, reply, float(outside.group(1)) if outside else None)


def chance(judged: Judged, right: str | None, knows: float, random: Random) -> float:
    """Draw the probability that it states: over a half for what it holds to be right.

    `right` is the key's answer, None where the key has none; `knows` how often it can tell.
    """
    if judged.order is not None:
        return judged.order
    sure = random.uniform(0.6, 0.98)
    if right is None:
        return 1 - sure if random.random() < 0.5 else sure
    good = (right.lower() in judged.reply.lower()) == (random.random() < knows)
    return sure if good else 1 - sure


def answer(stated: float) -> tuple[str, float]:
    """Return the line it writes, and the log-probability of its first word."""
    word = "yes" if stated >= 0.5 else "no"
    return f"{word} {stated:.2f}", math.log(stated if word == "yes" else 1 - stated)
