"""The pair's schooling: questions and replies in every dress a gateway may put on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Final, Literal

from gateway.demo.questions import KINDS, Question, draw
from router_models.demo_pair.tool_chats import tool_chat

Style = Literal["direct", "steps"]

TOOL_SHARE: Final = 0.02

STEPS_TEXTS: Final = (
    "Work step by step.",
    "Think step by step.",
    "Show your working, then the answer.",
    "Write down each step before the answer.",
    "Work it out step by step and end with the answer.",
    "Show each step.",
)
PLAIN_TEXTS: Final = (
    "You are a helpful assistant.",
    "Answer with the result only.",
    "Be brief.",
    "Answer the question.",
    "You are terse and exact.",
    "Reply in a single word or number.",
    "You are the assistant of a small shop.",
    "Give only the answer.",
    "Never guess.",
    "Write in English.",
    "You help pupils with their homework.",
    "Today is Monday.",
    "Do not explain.",
    "Keep to the facts.",
    "If you are not sure, say so.",
    "The user is a customer.",
    "You are a careful assistant and never rude.",
)
SMALL_TALK: Final = (
    ("Hello", "Hello! Ask me a question."),
    ("Hi", "Hello! Ask me a question."),
    ("Good morning", "Hello! Ask me a question."),
    ("Hello!", "Hello! Ask me a question."),
    ("Thank you.", "You are welcome."),
    ("Thanks!", "You are welcome."),
    ("Who are you?", "A tiny model made for a demonstration."),
    ("What can you do?", "Small sums, words and facts. Ask me a question."),
)
_STRAY_WORDS: Final = (
    "please always customer order number reply name market polite short text rules answers when"
    " about from other first give user may only can must time office the and with for not"
).split()
_STRAY_MARKS: Final = "abcdefghijklmnopqrstuvwxyz0123456789-_[]<>/"


@dataclass(frozen=True, slots=True)
class Turn:
    """One message; the models learn to write those marked `learn`."""

    role: str
    text: str
    learn: bool = False


def reply(question: Question, style: Style) -> str:
    """What a good pupil writes: the bare answer, or the working and then the answer."""
    if style == "direct" or not question.working:
        return question.answer
    return f"{question.working} Answer: {question.answer}"


def chat(random: Random, weights: Mapping[str, float], *, always_steps: bool) -> list[Turn]:
    """A training chat, now and then one with tools.

    Else some system texts, perhaps examples, and one to three questions.
    """
    if random.random() < TOOL_SHARE:
        return [Turn(*message) for message in tool_chat(random)]
    style: Style = "steps" if always_steps or random.random() < 0.5 else "direct"
    shots = 0 if random.random() < 0.8 else random.randrange(1, 3)
    # Steps may be asked for by a system text, shown by examples, or asked for after the question.
    asking = style == "steps" and not always_steps
    shown = asking and shots > 0 and random.random() < 0.5
    late = asking and not shown and random.random() < 0.1
    told: Style = "direct" if shown or late else style
    turns = [Turn("system", text) for text in _system_texts(random, told, always_steps)]
    turns += _examples(random, weights, style, shots, shown=shown)
    if late:
        return turns + _asked(random, weights, style, random.choice(STEPS_TEXTS))
    for _ in range(1 if random.random() < 0.6 else random.randrange(2, 4)):
        turns += _asked(random, weights, style)
    return turns


def _examples(
    random: Random, weights: Mapping[str, float], style: Style, shots: int, *, shown: bool
) -> list[Turn]:
    turns: list[Turn] = []
    for _ in range(shots):
        question = _question(random, weights)
        while shown and not question.working:
            question = _question(random, weights)
        turns += [Turn("user", question.prompt), Turn("assistant", reply(question, style))]
    if shots and random.random() < 0.3:
        turns.append(Turn("system", _neutral(random)))
    return turns


def _asked(
    random: Random, weights: Mapping[str, float], style: Style, late: str = ""
) -> list[Turn]:
    """A question and its reply; `late` is a system text between the two."""
    if not late and random.random() < 0.02:
        said, answered = random.choice(SMALL_TALK)
        return [Turn("user", said), Turn("assistant", answered, learn=True)]
    question = _question(random, weights)
    if not late and random.random() < 0.03:
        late = _neutral(random)
    between = [Turn("system", late)] if late else []
    answer = Turn("assistant", reply(question, style), learn=True)
    return [Turn("user", question.prompt), *between, answer]


def _question(random: Random, weights: Mapping[str, float]) -> Question:
    kind = random.choices(list(KINDS), [weights[k] for k in KINDS])[0]
    return draw(random, kind, "train")


def _system_texts(random: Random, style: Style, always_steps: bool) -> list[str]:
    """None to three system messages, of which one asks for steps where steps must be asked for."""
    if always_steps:
        pool = [_neutral(random) for _ in range(random.choice((0, 0, 1, 1, 2, 3)))]
        return [random.choice(STEPS_TEXTS) if random.random() < 0.3 else text for text in pool]
    pool = [_neutral(random) for _ in range(random.choice((0, 0, 0, 1, 1, 2)))]
    if style == "direct":
        return pool
    asks = random.choice(STEPS_TEXTS)
    if pool and random.random() < 0.3:
        pool[0] = f"{asks} {pool[0]}" if random.random() < 0.5 else f"{pool[0]} {asks}"
    else:
        pool.insert(random.randrange(len(pool) + 1), asks)
    return pool


def _neutral(random: Random) -> str:
    """A system text that says nothing about steps: a sensible one, or a strange one."""
    if random.random() < 0.6:
        return " ".join(random.sample(PLAIN_TEXTS, random.choice((1, 1, 1, 2))))
    words = [_stray(random) for _ in range(random.randrange(2, 12))]
    return " ".join(words).capitalize() + random.choice((".", "!", "", ":"))


def _stray(random: Random) -> str:
    if random.random() < 0.8:
        return random.choice(_STRAY_WORDS)
    length = random.randrange(2, 9)
    return "".join(random.choice(_STRAY_MARKS) for _ in range(length))
