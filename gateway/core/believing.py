"""What is believed of the tokens that an upstream reports, and what is estimated in its place.

The reply's own text bounds nothing: a model may think for a hundred thousand tokens and say five
words, and that is billed. Nor does `max_tokens`, which some providers do not apply to thinking, nor
how much was sent: stored conversations and the provider's own tools add to it, round by round. So
the bounds here are those that no model which is sold can pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from gateway.core.money import Usage

MOST_READ = 10_000_000
"""Tokens of a prompt: the largest window of any model."""
MOST_SAID = 2_000_000
"""Tokens of one choice of a reply, thoughts and all: several times what any model makes."""
ROUNDS = 20
"""A provider's own tools may ask the model so often within one call, a window full each time; and a
window that is configured may be as much smaller than the model's own."""

_NO_PARTS_READ: dict[str, Any] = dict.fromkeys(
    ("cached", "cache_write", "cache_write_1h", "audio_input", "image_input"), 0
)
_NO_PARTS_SAID: dict[str, Any] = dict.fromkeys(("reasoning", "audio_output", "image_output"), 0)


def believed(
    told: Usage | None,
    prompt: int,
    said: Callable[[], int],
    choices: int = 0,
    context: int | None = None,
) -> Usage:
    """Return what was used: as reported, where that can be; else what is estimated, and so marked,
    of the prompt and of the reply each for itself.

    `prompt` and `said` estimate their tokens. `choices` have said something: then a prompt or a
    reply of no tokens is no report. `context` is the model's window in tokens, None when unknown.
    """
    if told is None:
        return Usage(prompt, said(), estimated=True)
    least, most = (1, choices) if choices else (0, 1)
    window = MOST_READ if context is None else ROUNDS * context
    if not least <= told.prompt <= window or told.prompt > MOST_READ:
        told = replace(told, prompt=prompt, **_NO_PARTS_READ, estimated=True)
    if not least <= told.completion <= most * window or told.completion > most * MOST_SAID:
        told = replace(told, completion=said(), **_NO_PARTS_SAID, estimated=True)
    return told
