"""No question is on both sides: near-duplicates by words and by vectors, folds and draws."""

from __future__ import annotations

import numpy as np
import pytest
from sample_outcomes import TREES

from router_models.difficulty.duplicates import (
    close_pairs,
    near_duplicates,
    nearness,
    questions,
    static_vectors,
)
from router_models.difficulty.formats import DataError
from router_models.difficulty.splits import all_others, by_question, few_labels

COWS = "A farmer has twelve cows and sells three of them to a neighbour for gold"
WORDING = "You are given a function and must say what it returns for this input: "


def story(number):
    """A text of its own: no ten words in a row are another's."""
    draw = np.random.default_rng(number)
    return " ".join(f"{TREES[draw.integers(len(TREES))]}{number}x{i}" for i in range(14))


def test_near_duplicates_share_a_number_and_a_task_s_wording_does_not_join():
    texts = [
        COWS,
        f"Q: {COWS} A:",
        COWS.upper(),
        *(f"{WORDING}{tree}" for tree in TREES),
        "Why?",
        "why",
    ]
    numbers = near_duplicates(texts)
    assert len(set(numbers[:3])) == 1
    assert len(set(numbers[3 : 3 + len(TREES)])) == len(TREES)
    assert numbers[-2] == numbers[-1]


def test_near_is_what_shares_ten_words_in_a_row():
    texts = [COWS, f"Once {' '.join(COWS.split()[:10])}.", " ".join(COWS.split()[:9]), "Why?"]
    assert nearness(texts).near([0]).tolist() == [True, True, False, False]
    assert nearness(texts).near([3]).tolist() == [False, False, False, True]
    assert nearness([]).near([]).tolist() == []


def test_ten_words_across_two_rows_are_nobody_s():
    texts = ["one two three four five", "six seven eight nine ten", "one two three four five six"]
    assert nearness(texts).near([0]).tolist() == [True, False, False]


@pytest.mark.parametrize(("holders", "near"), [(100, True), (101, False)])
def test_words_that_very_many_rows_share_are_a_task_s(holders, near):
    texts = [f"{WORDING}{i}" for i in range(holders)] + [story(i) for i in range(2100)]
    assert bool(nearness(texts).near([0])[1]) is near


def test_vectors_find_what_words_do_not():
    vectors = np.array([[1, 0], [0.96, 0.28], [0.94, 0.34117], [0, 1]], np.float32)
    assert close_pairs(vectors).tolist() == [[0, 1], [1, 2]]
    found = nearness(["a", "b", "c", "d"], lambda texts: vectors[: len(texts)])
    assert found.near([0]).tolist() == [True, True, False, False]
    assert found.near([2]).tolist() == [False, True, True, False]


def test_a_task_s_wording_makes_no_two_questions_one():
    asked = "For which of these scenarios does the main character do something clearly wrong?"
    things = "river garden piano doctor window bread horse letter garage music".split()
    asked = f"{asked} Consider ordinary moral standards in the country, and answer with a letter."
    texts = [f"{asked} {things[i % 10]} {things[i // 10]}" for i in range(60)]
    texts += [
        "The horse ate all the bread in the garden.",
        "In the garden the horse ate all the bread!",
    ]
    weighted, plain = (close_pairs(static_vectors(texts, plain=plain)) for plain in (False, True))
    assert [60, 61] in weighted.tolist()
    assert len(weighted) < 60
    assert len(plain) > 500
    lengths = np.linalg.norm(static_vectors([*texts, "", "¤¤"]), axis=1)
    assert lengths == pytest.approx([1] * 62 + [0, 0], abs=1e-6)


def test_vectors_are_compared_across_blocks():
    vectors = np.zeros((2100, 2100), np.float32)
    np.fill_diagonal(vectors, 1)
    vectors[2099] = vectors[3]
    assert close_pairs(vectors).tolist() == [[3, 2099]]


def test_a_fold_learns_from_no_question_that_it_judges():
    texts = [story(i) for i in range(40)] + [story(i).upper() for i in range(40)]
    texts += [f"{story(i)} indeed" for i in range(40)]
    numbers = questions(texts)
    assert len(set(numbers.tolist())) == 80
    tested = []
    for split in by_question(numbers, nearness(texts), 4, seed=1):
        tested += split.test.tolist()
        learnt = {texts[i].casefold().removesuffix(" indeed") for i in split.train}
        assert not learnt & {texts[i].casefold().removesuffix(" indeed") for i in split.test}
        assert split.removed + len(split.train) + len(split.test) == len(texts)
        assert split.removed > 0
    assert sorted(tested) == list(range(len(texts)))


def test_a_seed_makes_other_folds_and_the_same_one_the_same():
    texts = [story(i) for i in range(30)]
    numbers, near = questions(texts), nearness(texts)

    def first(seed):
        return next(by_question(numbers, near, 3, seed)).test.tolist()

    assert first(1) == first(1)
    assert first(1) != first(2)
    assert len(first(1)) == 10


def test_too_few_questions_for_the_folds_are_refused():
    with pytest.raises(DataError, match="2 different questions are too few for 3 folds"):
        next(by_question(questions(["a", "A", "b"]), nearness(["a", "A", "b"]), 3, 0))


def test_a_draw_keeps_its_labels_and_judges_nothing_like_them():
    texts = [story(i) for i in range(30)] + [f"so {story(i)}" for i in range(30)]
    numbers, near = questions(texts), nearness(texts)
    split = few_labels(numbers, near, 20, seed=3)
    assert len(split.train) == 20
    assert not {i % 30 for i in split.train} & {i % 30 for i in split.test}
    assert split.removed == 60 - 20 - len(split.test) > 0
    assert few_labels(numbers, near, 20, 4).train.tolist() != split.train.tolist()
    with pytest.raises(DataError, match="too few to learn from 61"):
        few_labels(numbers, near, 61, 0)
    with pytest.raises(DataError, match="too few to learn from 59"):
        few_labels(numbers, near, 59, 0)


def test_all_others_leave_out_what_is_alike():
    texts = ["short", COWS, "SHORT", f"{COWS} indeed", story(1)]
    split = all_others(questions(texts), nearness(texts), np.array([0, 1]))
    assert split.train.tolist() == [4]
    assert split.removed == 2
