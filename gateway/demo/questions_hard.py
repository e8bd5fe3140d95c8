"""Questions to be worked out: each knows the working that leads to its answer."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from types import MappingProxyType
from typing import Final

from gateway.demo import question_facts as facts
from gateway.demo.question_parts import Generator, Question, hard, lettered

ORDINALS: Final = ("first", "second", "third", "fourth", "fifth", "sixth")


def two_sum(random: Random) -> Question:
    """Two two-digit numbers added."""
    a, b = random.randrange(10, 100), random.randrange(10, 100)
    form = random.choice(
        (
            "What is {a}+{b}?", "{a}+{b}=", "Add {a} and {b}.", "How much is {a} plus {b}?",
            "Give me the sum of {a} and {b}.", "Please work out {a} + {b}.",
            "{a} plus {b} is what?",
        )
    )  # fmt: skip
    working = _columns([a, b])
    return hard("two_sum", sorted((a, b)), form.format(a=a, b=b), a + b, working)


def three_sum(random: Random) -> Question:
    """Three two-digit numbers added."""
    a, b, c = (random.randrange(10, 50) for _ in range(3))
    form = random.choice(
        (
            "What is {a}+{b}+{c}?", "{a}+{b}+{c}=", "Add {a}, {b} and {c}.",
            "How much is {a} plus {b} plus {c}?", "Give me the sum of {a}, {b} and {c}.",
        )
    )  # fmt: skip
    working = _columns([a, b, c])
    return hard("three_sum", sorted((a, b, c)), form.format(a=a, b=b, c=c), a + b + c, working)


def difference(random: Random) -> Question:
    """A two-digit number taken from another, mostly with a borrow."""
    b, a = sorted(random.sample(range(10, 100), 2))
    if a % 10 > b % 10 and random.random() < 0.5 and a // 10 > b // 10:
        a, b = a - a % 10 + b % 10, b - b % 10 + a % 10
    borrow = a % 10 < b % 10
    units, tens = a % 10 + 10 * borrow, a // 10 - borrow
    working = f"{units}-{b % 10}={units - b % 10}, {tens}-{b // 10}={tens - b // 10}."
    form = random.choice(
        (
            "What is {a}-{b}?", "{a}-{b}=", "Take {b} from {a}.", "How much is {a} minus {b}?",
            "Subtract {b} from {a}.", "Please work out {a} - {b}.",
        )
    )  # fmt: skip
    return hard("difference", (a, b), form.format(a=a, b=b), a - b, working)


def product(random: Random) -> Question:
    """A two-digit number times a digit."""
    a, b = random.randrange(12, 50), random.randrange(3, 10)
    carry = a % 10 * b // 10
    plus = f"+{carry}" if carry else ""
    working = f"{a % 10}*{b}={a % 10 * b}, {a // 10}*{b}{plus}={a // 10 * b + carry}."
    form = random.choice(
        (
            "What is {a} times {b}?", "{a}*{b}=", "Multiply {a} by {b}.",
            "How much is {a} times {b}?",
            "Give me the product of {a} and {b}.", "Please work out {a} * {b}.",
        )
    )  # fmt: skip
    return hard("product", (a, b), form.format(a=a, b=b), a * b, working)


def sequence(random: Random) -> Question:
    """The next number of an even-stepped row."""
    step = random.randrange(2, 10)
    sign = random.choice((1, -1))
    start = random.randrange(1, 50) + (0 if sign > 0 else 4 * step)
    terms = [start + sign * step * i for i in range(5)]
    low, high = sorted(terms[2:4])
    working = f"{high}-{low}={step}, {terms[3]}{'+' if sign > 0 else '-'}{step}={terms[4]}."
    form = random.choice(
        (
            "What comes next: {}?", "Which number comes next: {}?", "Continue the row: {}.",
            "Give the next number after {}.", "The row is {}. What is next?",
        )
    )  # fmt: skip
    row = ", ".join(map(str, terms[:4]))
    return hard("sequence", row, form.format(row), terms[4], working)


def weekday(random: Random) -> Question:
    """The day of the week some days away from another."""
    at, away = random.randrange(7), random.randrange(2, 7)
    word, step = random.choice((("after", 1), ("before", -1)))
    passed = [facts.DAYS[(at + step * i) % 7] for i in range(1, away + 1)]
    form = random.choice(
        (
            "What day is {n} days {w} {d}?", "Which day comes {n} days {w} {d}?",
            "Name the day {n} days {w} {d}.", "Tell me what day it is {n} days {w} {d}.",
            "If I count {n} days {w} {d}, which day is it?", "{n} days {w} {d} is what day?",
        )
    )  # fmt: skip
    prompt = form.format(n=away, w=word, d=facts.DAYS[at])
    working = ", ".join(f"{i} {day}" for i, day in enumerate(passed, 1)) + "."
    # Few days and few counts: here too only the exact prompt can be kept apart.
    return hard("weekday", prompt, prompt, passed[-1], working)


def backwards(random: Random) -> Question:
    """A word spelt from its end."""
    word = lettered(random)
    form = random.choice(
        (
            'Spell "{}" backwards.', 'Write "{}" backwards.', 'Reverse the word "{}".',
            'What is "{}" spelt backwards?', 'Give the letters of "{}" from last to first.',
        )
    )  # fmt: skip
    return hard("backwards", word, form.format(word), word[::-1])


def sort_digits(random: Random) -> Question:
    """Digits to put in order."""
    digits = random.sample("0123456789", random.randrange(3, 6))
    form = random.choice(
        (
            "Sort the digits {} from low to high.", "Put the digits {} in order.",
            "Write the digits {} in rising order.", "Order these digits: {}",
        )
    )  # fmt: skip
    given = " ".join(digits)
    return hard("sort_digits", given, form.format(given), "".join(sorted(digits)))


def count_letter(random: Random) -> Question:
    """How often a letter stands in a word."""
    word = lettered(random)
    letter = random.choice(word)
    counts = [word[: i + 1].count(letter) for i in range(len(word))]
    form = random.choice(
        (
            'How many times is the letter "{c}" in "{w}"?', 'Count the letter "{c}" in "{w}".',
            'How often does "{c}" stand in "{w}"?', 'In "{w}", how many letters are "{c}"?',
        )
    )  # fmt: skip
    working = "".join(f"{c}{n}" for c, n in zip(word, counts, strict=True)) + "."
    return hard("count_letter", (word, letter), form.format(c=letter, w=word), counts[-1], working)


def nth_letter(random: Random) -> Question:
    """The letter at a place in a word."""
    word = lettered(random)
    place = random.randrange(1, len(word))
    form = random.choice(
        (
            'What is the {n} letter of "{w}"?', 'Give the {n} letter of the word "{w}".',
            'Which letter is {n} in "{w}"?', 'Name the {n} letter in "{w}".',
        )
    )  # fmt: skip
    working = "".join(f"{c}{i}" for i, c in enumerate(word[: place + 1], 1)) + "."
    prompt = form.format(n=ORDINALS[place], w=word)
    return hard("nth_letter", (word, place), prompt, word[place], working)


def extreme(random: Random) -> Question:
    """The largest or the smallest of four two-digit numbers."""
    numbers = random.sample(range(10, 100), 4)
    word, best = random.choice((("largest", max), ("smallest", min)))
    form = random.choice(
        (
            "Which is the {w}: {r}?", "Find the {w} number: {r}.", "Of {r}, which is the {w}?",
            "Name the {w} of {r}.", "What is the {w} number among {r}?",
        )
    )  # fmt: skip
    row = ", ".join(map(str, numbers))
    return hard("extreme", (word, row), form.format(w=word, r=row), best(numbers))


def _columns(terms: list[int]) -> str:
    """Addition as taught: the units, then the tens with what is carried."""
    units = sum(t % 10 for t in terms)
    tens = [str(t // 10) for t in terms] + ([str(units // 10)] if units > 9 else [])
    total = sum(map(int, tens))
    return f"{'+'.join(str(t % 10) for t in terms)}={units}, {'+'.join(tens)}={total}."


HARD_KINDS: Final[Mapping[str, Generator]] = MappingProxyType(
    {
        generator.__name__: generator
        for generator in (
            two_sum,
            three_sum,
            difference,
            product,
            sequence,
            weekday,
            backwards,
            sort_digits,
            count_letter,
            nth_letter,
            extreme,
        )
    }
)
