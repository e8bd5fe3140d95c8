"""Endless seeded questions with known answers, in splits that share no question."""

from __future__ import annotations

import hashlib
import re
from itertools import cycle
from random import Random
from typing import Final, Literal, get_args

from gateway.demo.question_parts import Generator, Question
from gateway.demo.questions_easy import EASY_KINDS
from gateway.demo.questions_hard import HARD_KINDS

__all__ = [
    "EASY_KINDS",
    "HARD_KINDS",
    "KINDS",
    "Question",
    "Split",
    "draw",
    "grade",
    "half",
    "split",
]

Split = Literal["train", "tune", "demo"]
KINDS: Final = {**EASY_KINDS, **HARD_KINDS}

# Of every hundred problems: what is not in demo or tune trains.
_DEMO_SHARE: Final = 25
_TUNE_SHARE: Final = 10
_TRIES: Final = 400


def home(question: Question) -> Split:
    """The one split that may use this question, by a hash of its key."""
    digest = hashlib.sha256(question.key.encode()).digest()
    place = int.from_bytes(digest[:4], "big") % 100
    if place < _DEMO_SHARE:
        return "demo"
    return "tune" if place < _DEMO_SHARE + _TUNE_SHARE else "train"


def half(question: Question) -> int:
    """0 or 1, by another hash of its key: what learns on one half can be tuned on the other."""
    return hashlib.sha256(f"half {question.key}".encode()).digest()[0] & 1


def draw(random: Random, kind: str, name: Split) -> Question:
    """One question of a kind from a split; repeats come, as from any finite table.

    Raises KeyError for an unknown kind.
    """
    generate = KINDS[kind]
    while True:
        question = generate(random)
        if home(question) == name:
            return question


def split(seed: int, name: Split, n: int) -> list[Question]:
    """`n` distinct questions, every other one hard, the kinds taking turns.

    A kind that has told all it has drops out and the others go on. Raises ValueError for an
    unknown split, or when it holds fewer than `n` distinct questions.
    """
    if name not in get_args(Split):
        raise ValueError(f"no split {name!r}: one of {', '.join(get_args(Split))}")
    random = Random(f"{seed} {name}")
    easy = _distinct(random, list(EASY_KINDS.values()), name, n - n // 2)
    hard = _distinct(random, list(HARD_KINDS.values()), name, n // 2)
    random.shuffle(easy)
    random.shuffle(hard)
    paired = [q for pair in zip(easy, hard, strict=False) for q in pair]
    return paired + easy[len(hard) :]


def grade(question: Question, reply_text: str) -> bool:
    """Whether the reply's final answer is the right one.

    The final answer is what follows the last "Answer:", or else the whole reply; a sentence
    is judged by its last word. Case, quotes and end marks do not count.
    """
    final = re.split(r"answer\s*(?:is|:|=)\s*:?", reply_text.casefold())[-1]
    words = re.findall(r"[^\W_]+", final)
    return bool(words) and words[-1] == question.answer.casefold()


def _distinct(random: Random, kinds: list[Generator], name: Split, n: int) -> list[Question]:
    """`n` different questions, drawn in turn from the kinds that still have new ones."""
    found: dict[str, Question] = {}
    spent: set[Generator] = set()
    for generate in cycle(kinds):
        if len(found) >= n:
            return list(found.values())
        if len(spent) == len(kinds):
            raise ValueError(
                f"split {name!r} holds {len(found)} such questions, {n} were asked for"
            )
        if generate in spent:
            continue
        question = _new(random, generate, name, found)
        if question is None:
            spent.add(generate)
        else:
            found[question.prompt] = question
    raise ValueError("no kinds to draw from")


def _new(
    random: Random, generate: Generator, name: Split, found: dict[str, Question]
) -> Question | None:
    """A question not yet found, or None when many tries gave only old ones."""
    for _ in range(_TRIES):
        question = generate(random)
        if home(question) == name and question.prompt not in found:
            return question
    return None
