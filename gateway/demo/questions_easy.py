"""Questions that a small model should get right: facts of common knowledge and tiny sums."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from types import MappingProxyType
from typing import Final

from gateway.demo import question_facts as facts
from gateway.demo.question_parts import Generator, Question, easy, lettered


def small_sum(random: Random) -> Question:
    """Two one-digit numbers added."""
    a, b = random.randrange(10), random.randrange(10)
    form = random.choice(
        (
            "What is {a}+{b}?", "{a}+{b}=", "Add {a} and {b}.", "How much is {a} plus {b}?",
            "Give me the sum of {a} and {b}.", "Please work out {a} + {b}.",
            "{a} plus {b} is what?",
        )
    )  # fmt: skip
    return easy("small_sum", form.format(a=a, b=b), str(a + b))


def capital(random: Random) -> Question:
    """A country's capital."""
    country = random.choice(list(facts.CAPITALS))
    form = random.choice(
        (
            "What is the capital of {}?", "Which city is the capital of {}?",
            "Name the capital of {}.", "The capital of {} is called what?",
            "Tell me the capital city of {}.", "What is the name of the capital of {}?",
        )
    )  # fmt: skip
    return easy("capital", form.format(country), facts.CAPITALS[country])


def opposite(random: Random) -> Question:
    """A word's opposite."""
    word, other = random.sample(random.choice(facts.OPPOSITES), 2)
    form = random.choice(
        (
            "What is the opposite of {}?", "Give the opposite of {}.",
            "Which word means the opposite of {}?", "Name the opposite of {}.",
            "Tell me the opposite of the word {}.", "The opposite of {} is what?",
        )
    )  # fmt: skip
    return easy("opposite", form.format(word), other.capitalize())


def plural(random: Random) -> Question:
    """A noun's plural, regular or not."""
    noun = random.choice(list(facts.PLURALS))
    form = random.choice(
        (
            "What is the plural of {}?", "Give the plural of {}.", "Name the plural of {}.",
            "What do you call more than one {}?", "Tell me the plural of the word {}.",
            "One {}, two what?",
        )
    )  # fmt: skip
    return easy("plural", form.format(noun), facts.PLURALS[noun].capitalize())


def colour(random: Random) -> Question:
    """The colour of a well-known thing."""
    thing = random.choice(list(facts.COLOURS))
    form = random.choice(
        (
            "What colour is {}?", "Which colour is {}?", "Name the colour of {}.",
            "Tell me the colour of {}.", "What is the usual colour of {}?",
            "The colour of {} is what?",
        )
    )  # fmt: skip
    return easy("colour", form.format(thing), facts.COLOURS[thing].capitalize())


def say(random: Random) -> Question:
    """A word to be said back."""
    word = random.choice(facts.PLAIN_WORDS)
    form = random.choice(
        (
            "Say the word {}.", "Please say {}.", "Repeat the word {}.", "Write the word {}.",
            "Answer with the word {}.", "Repeat after me: {}",
        )
    )  # fmt: skip
    return easy("say", form.format(word), word.capitalize())


def is_a(random: Random) -> Question:
    """Whether a thing is of a kind, half of the time so."""
    kinds = list(facts.KINDS_OF_THING)
    kind, other = random.sample(kinds, 2)
    thing = random.choice(facts.KINDS_OF_THING[kind])
    asked = random.choice((kind, other))
    form = random.choice(
        (
            "Is {} the name of a kind of {}?", "Yes or no: is {} a kind of {}?",
            "Does the word {} name a kind of {}?", "Is {} a kind of {}, yes or no?",
        )
    )  # fmt: skip
    return easy("is_a", form.format(thing, asked), "Yes" if asked == kind else "No")


def pick(random: Random) -> Question:
    """The one of three things that is of the kind asked for."""
    kind, second, third = random.sample(list(facts.KINDS_OF_THING), 3)
    right, *wrong = (random.choice(facts.KINDS_OF_THING[k]) for k in (kind, second, third))
    a, b, c = random.sample([right, *wrong], 3)
    form = random.choice(
        (
            "Which of these is a kind of {k}: {a}, {b} or {c}?", "Pick the {k}: {a}, {b}, {c}.",
            "Of {a}, {b} and {c}, which one is a kind of {k}?",
            "Find the {k} among {a}, {b} and {c}.",
        )
    )  # fmt: skip
    return easy("pick", form.format(k=kind, a=a, b=b, c=c), right.capitalize())


def bigger(random: Random) -> Question:
    """The bigger or the smaller of two digits."""
    a, b = random.sample(range(10), 2)
    word, best = random.choice((("bigger", max), ("smaller", min)))
    form = random.choice(
        (
            "Which is {w}, {a} or {b}?", "Which number is {w}: {a} or {b}?",
            "Tell me the {w} of {a} and {b}.", "Of {a} and {b}, which is {w}?",
            "Name the {w} number, {a} or {b}.",
        )
    )  # fmt: skip
    return easy("bigger", form.format(w=word, a=a, b=b), str(best(a, b)))


def first_letter(random: Random) -> Question:
    """The letter that a word begins with."""
    word = lettered(random)
    form = random.choice(
        (
            'What is the first letter of "{}"?', 'Which letter does "{}" begin with?',
            'Give the first letter of the word "{}".', 'The word "{}" begins with which letter?',
        )
    )  # fmt: skip
    return easy("first_letter", form.format(word), word[0])


def neighbour(random: Random) -> Question:
    """The day or month next to one."""
    name, ring = random.choice((("day", facts.DAYS), ("month", facts.MONTHS)))
    at = random.randrange(len(ring))
    word, step = random.choice((("after", 1), ("before", -1)))
    form = random.choice(
        (
            "What {n} comes {w} {x}?", "Which {n} is just {w} {x}?", "Name the {n} {w} {x}.",
            "Tell me the {n} that comes {w} {x}.", "What is the {n} right {w} {x}?",
        )
    )  # fmt: skip
    prompt = form.format(n=name, w=word, x=ring[at])
    return easy("neighbour", prompt, ring[(at + step) % len(ring)])


EASY_KINDS: Final[Mapping[str, Generator]] = MappingProxyType(
    {
        generator.__name__: generator
        for generator in (
            small_sum,
            capital,
            opposite,
            plural,
            colour,
            say,
            is_a,
            pick,
            bigger,
            first_letter,
            neighbour,
        )
    }
)
