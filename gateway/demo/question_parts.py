"""What a question of the demo is, and the parts that its generators share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from gateway.demo import question_facts as facts


@dataclass(frozen=True, slots=True)
class Question:
    """A question with its known answer.

    `key` names the problem behind the words: no two splits share a key. `working` is what a
    careful student writes before the answer; empty where there is nothing to work out.
    """

    kind: str
    hard: bool
    prompt: str
    answer: str
    key: str
    working: str = ""


def easy(kind: str, prompt: str, answer: str) -> Question:
    """A question that a fact answers."""
    # A fact is told in the words of other questions, so only the exact prompt is kept apart.
    return Question(kind, hard=False, prompt=prompt, answer=answer, key=f"{kind} {prompt}")


def hard(kind: str, problem: object, prompt: str, answer: object, working: str = "") -> Question:
    """A question about a `problem` that must be worked out, whatever its wording."""
    key = f"{kind} {problem}"
    return Question(kind, hard=True, prompt=prompt, answer=str(answer), key=key, working=working)


def lettered(random: Random) -> str:
    """A word to take apart: a real one or, as often, one made up of syllables."""
    if random.random() < 0.5:
        return random.choice(facts.LETTERED_WORDS)
    start, middle = facts.SYLLABLE_STARTS, facts.SYLLABLE_MIDDLES
    word = "".join(random.choice(part) for part in (start, middle, start, middle))
    return word + random.choice(facts.SYLLABLE_ENDS)


Generator = Callable[[Random], Question]
