"""The demo's questions: true answers, honest splits, and a grader that finds the final answer."""

from __future__ import annotations

import re
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.demo import questions
from gateway.demo.questions import (
    EASY_KINDS,
    HARD_KINDS,
    KINDS,
    Question,
    draw,
    grade,
    home,
    split,
)

ROWS = [
    ("two_sum", lambda n, _: sum(n)),
    ("three_sum", lambda n, _: sum(n)),
    ("small_sum", lambda n, _: sum(n)),
    ("product", lambda n, _: n[0] * n[1]),
    ("difference", lambda n, _: max(n) - min(n)),
    ("sequence", lambda n, _: n[-1] + n[1] - n[0]),
    ("extreme", lambda n, prompt: max(n) if "largest" in prompt else min(n)),
    ("bigger", lambda n, prompt: max(n) if "bigger" in prompt else min(n)),
]


@pytest.mark.parametrize(("kind", "truth"), ROWS, ids=[kind for kind, _ in ROWS])
def test_numbers_are_right(kind, truth):
    random = Random(3)
    for _ in range(300):
        question = KINDS[kind](random)
        # A minus sign between digits is an operator here: no question holds a negative number.
        numbers = [int(n) for n in re.findall(r"\d+", question.prompt)]
        assert question.answer == str(truth(numbers, question.prompt)), question


@pytest.mark.parametrize("kind", ["two_sum", "three_sum", "difference", "product", "sequence"])
def test_each_step_of_the_working_is_true_and_its_end_agrees_with_the_answer(kind):
    random = Random(4)
    for _ in range(300):
        question = KINDS[kind](random)
        steps = [step.split("=") for step in question.working.rstrip(".").split(", ")]
        assert len(steps) == 2
        for sum_, result in steps:
            assert eval(sum_) == int(result), question  # noqa: S307 - digits and signs of ours
        (_, units), (_, last) = steps
        ends = last if kind == "sequence" else str(int(last) * 10 + int(units) % 10)
        assert ends == question.answer


def test_letters_are_right():
    random = Random(5)
    for kind, truth in {
        "backwards": lambda word, _: word[::-1],
        "first_letter": lambda word, _: word[0],
    }.items():
        question = KINDS[kind](random)
        word = re.findall(r'"(\w+)"', question.prompt)[0]
        assert question.answer == truth(word, question)
    counted = KINDS["count_letter"](random)
    quoted = sorted(re.findall(r'"(\w+)"', counted.prompt), key=len)
    assert counted.answer == str(quoted[1].count(quoted[0]))


def test_there_are_many_kinds_and_each_keeps_its_word():
    assert len(EASY_KINDS) >= 8
    assert len(HARD_KINDS) >= 8
    random = Random(6)
    for kind, generate in KINDS.items():
        question = generate(random)
        assert (question.kind, question.hard) == (kind, kind in HARD_KINDS)
        assert grade(question, question.answer)


def test_each_kind_is_asked_in_several_ways():
    random = Random(7)
    for kind in KINDS:
        prompts = [draw(random, kind, "train").prompt for _ in range(300)]
        ways = {re.sub(r'"\w+"|\d+', "", prompt)[:12] for prompt in prompts}
        assert len(ways) >= 3, kind


def test_a_split_is_distinct_half_hard_varied_and_the_same_again():
    asked = split(1, "demo", 4000)
    assert len({q.prompt for q in asked}) == 4000
    assert sum(q.hard for q in asked) == 2000
    assert {q.kind for q in asked} == set(KINDS)
    # Any beginning is half hard too, so a shortened demo is the same demo.
    assert sum(q.hard for q in asked[:100]) == 50
    assert asked == split(1, "demo", 4000)
    assert asked[:100] != split(2, "demo", 100)


def test_no_demo_question_can_train_or_tune():
    demo, tune = split(1, "demo", 4000), split(1, "tune", 2000)
    random = Random(8)
    trained = [draw(random, kind, "train") for kind in KINDS for _ in range(1000)]
    shown = {q.prompt for q in demo}
    keys = {q.key for q in demo}
    for others in (tune, trained):
        assert not shown & {q.prompt for q in others}
        assert not keys & {q.key for q in others}
    assert {home(q) for q in demo} == {"demo"}
    assert {home(q) for q in tune} == {"tune"}


def test_a_computed_problem_keeps_its_key_in_other_words():
    random = Random(9)
    seen: dict[str, str] = {}
    for _ in range(20_000):
        question = KINDS["product"](random)
        assert seen.setdefault(question.key, home(question)) == home(question)
    # Fewer problems than prompts: the key does not hold the words.
    assert len(seen) <= 38 * 7


def test_a_split_that_is_too_small_says_what_it_holds(monkeypatch):
    monkeypatch.setattr(questions, "EASY_KINDS", {"colour": KINDS["colour"]})
    with pytest.raises(ValueError, match=r"'tune' holds \d+ such questions, 500 were asked for"):
        split(1, "tune", 1000)


def test_an_unknown_split_is_named():
    with pytest.raises(ValueError, match="no split 'exam': one of train, tune, demo"):
        split(1, "exam", 10)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "reply", "right"),
    [
        ("85", "85", True),
        ("85", " 85.\n", True),
        ("85", "7+8=15, 4+3+1=8. Answer: 85", True),
        ("85", "7+8=15, 4+3+1=8. Answer: 86", False),
        ("85", "Answer: 85 is wrong. Answer: 84", False),
        ("85", "**Answer:** 85", True),
        ("85", "It is 85.", True),
        ("85", "185", False),
        ("85", "8 5", False),
        ("85", "85 or 86", False),
        ("85", "", False),
        ("85", "Answer:", False),
        ("Paris", "paris", True),
        ("Paris", "The capital of France is Paris!", True),
        ("Paris", "Parish", False),
        ("magov", '"magov"', True),
        ("No", "no.", True),
        ("No", "Yes", False),
    ],
)
def test_grading(answer, reply, right):
    question = Question("any", hard=True, prompt="?", answer=answer, key="any")
    assert grade(question, reply) is right


@given(st.integers(0, 10_000), st.sampled_from(sorted(KINDS)))
def test_the_full_reply_of_a_good_pupil_is_right_and_another_answer_is_not(seed, kind):
    question = KINDS[kind](Random(seed))
    assert grade(question, f"{question.working} Answer: {question.answer}")
    assert not grade(question, f"{question.working} Answer: {question.answer}x")
