"""Do two replies answer the same?"""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.checks.answers import agree, extract, standing

SAME = [
    ("#### 1,250", "So she pays $1250.00."),
    ("The answer is 2.5", "\\boxed{\\frac{5}{2}}"),
    ("First 3 * 4 = 12, then we add the rest: 12 + 6 = 18 eggs in all of the baskets.", "18"),
    ("50%", "0.5"),
    ("**Answer:** -3", "The final answer is \\( -3 \\)."),
    ("0.3333", "1/3"),
    ("The answer is (C).", "C. Because it is a stack."),
    ("\\boxed{\\text{(B)}}", "b)"),
    ("Yes, it is.", "yes"),
    ('{"b": [1, 2.0], "a": "x  y"}', '```json\n{"a": "x y", "b": [1.0, 2]}\n```'),
    ('{"reasoning": "a", "answer": "26"}', '{"reasoning": "other\nlines", "answer": 26.0}'),
    ('{"reasoning": "an unescaped \\q", "answer": "26"}', "26"),
    ("[1, 'a']", 'The answer is: [1, "a"]'),
    (
        "Here:\n```sql\nSELECT a FROM t -- all\nWHERE x <> 'K';\n```",
        "select a  from T where x != 'K'",
    ),
    ("```python\nx = 'a'  # note\n```\nThat is it.", '```\nx = "a" /* note */\n```'),
    ("$x^2 + 1$", "The answer is: \\left x^2+1"),
    ("The Eiffel Tower", "eiffel tower."),
]
OTHER = [
    ("#### 18", "#### 19"),
    ("The answer is (C).", "D"),
    ("yes", "No, it does not."),
    ("2.6", "3"),
    ("1/0", "x/2"),
    ("\\boxed{x^2}", "\\boxed{3}"),
    ("x^2+1", "x^2-1"),
    ("[1, 'a']", '[1, "b"]'),
    ("It opened in 1889 to visitors", "opened 1887"),
    ("true", "false"),
]
UNTOLD = [
    ("", "3"),
    ("...", "3"),
    ("C", "18"),
    ("Paris", "Lyon"),
    ("Paris", "18"),
    ('{"a": 1}', "18"),
    ("```\n\n```", "18"),
    ("word " * 100, "18"),
    ("Answer:", "18"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_same_answer_is_told_however_it_is_put(one, other):
    assert agree(one, other) == 1.0
    assert agree(other, one) == 1.0


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_another_answer_is_told(one, other):
    assert agree(one, other) == 0.0
    assert agree(other, one) == 0.0


@pytest.mark.parametrize(("one", "other"), UNTOLD)
def test_nothing_is_said_where_nothing_can_be_told(one, other):
    assert agree(one, other) is None
    assert agree(other, one) is None


def test_an_answer_stated_after_code_is_the_answer():
    assert agree("```python\nprint(6 * 7)\n```\nThe answer is 42.", "42") == 1.0


def test_json_agrees_as_far_as_its_leaves_do():
    one, other = {"a": 1, "b": {"c": True}, "d": []}, {"a": 1, "b": {"c": 1}, "d": []}
    assert agree(json.dumps(one), json.dumps(other)) == pytest.approx(2 / 3)
    assert agree('{"a": {}}', '{"a": []}') == 0.0


def test_json_too_large_to_compare_is_not():
    large = json.dumps(list(range(3000)))
    deep = "[" * 60 + "1" + "]" * 60
    assert agree(large, large) is None
    assert agree(deep, deep) is None


def test_json_that_only_looks_so_is_no_json():
    assert extract('{"a": NaN}').kind != "json"
    assert extract("[" * 20_000 + "]" * 20_000) is None


def test_other_code_agrees_in_part_and_never_whole():
    one = "```python\ndef f(a):\n    return a + 1\n```"
    near = "```python\ndef f(a):\n    return a + 2\n```"
    far = "```python\nclass Other: pass\n```"
    assert agree(far, one) < agree(near, one) < 1.0
    assert agree("```\na b a\n```", "```\nb a b\n```") < 1.0


def test_short_texts_are_compared_by_whoever_can():
    assert agree("Lyon", "Paris", lambda one, other: 0.25) == 0.25
    assert agree("Lyon", "Lyon", lambda one, other: 0.0) == 1.0
    assert agree("in 1889", "in 1887", lambda one, other: 1.0) == 0.0


def test_prose_that_calculates_nothing_ends_in_no_answer():
    told = "Paris is the capital of France and has been since about the year 987. " * 6
    assert extract(told) is None


def test_a_long_reply_is_read_at_its_end():
    assert agree("x" * 200_000 + "\nThe answer is 7.", "7") == 1.0


def test_a_number_of_very_many_digits_is_none():
    assert extract("1" * 50).kind == "text"


HOSTILE = [
    "```" * 20_000,
    "```\n" * 15_000,
    "/*" * 25_000,
    '\\"' * 25_000,
    "\\boxed{" * 7_000,
    "\\text{" * 8_000,
    "answer: " * 6_000,
    "1,111" * 10_000,
    "1/" * 25_000,
    "a'" * 25_000,
    "# " * 25_000,
    '{"answer":' * 5_000 + "}",
    "=1" * 25_000,
    " " * 50_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_replies_take_no_time_to_speak_of(text):
    for each in (text, f"```sql\n{text}\n```", f"{{{text}}}"):
        assert agree(each, "7") in {None, 0.0, 1.0}


PARTS = st.sampled_from(
    "answer is: #### \\boxed{ } { [ ] 1 1/2 0.5 % $ ```sql\n ``` \n select x ' \" , . A ( ) yes = +"
    " # -- /* */ \\frac{1}{2} null true é".split(" ")
)
TEXTS = st.one_of(st.text(max_size=200), st.lists(PARTS, max_size=30).map(" ".join))


@given(one=TEXTS, other=TEXTS)
def test_agreement_is_symmetric_and_from_0_to_1(one, other):
    found = agree(one, other)
    assert found is None or 0.0 <= found <= 1.0
    assert found == agree(other, one)


@given(text=TEXTS)
def test_a_reply_agrees_with_itself_or_states_nothing(text):
    assert agree(text, text) == (None if extract(text) is None else 1.0)


STANDINGS = [
    (["7"], 1.0),
    (["8"], 0.0),
    (["7", "7", "7"], 1.0),
    (["8", "8", "8"], 0.0),
    (["7", "7", "8"], 2 / 3),
    (["7", "8", "8"], 1 / 3),
    (["7", "8", "9"], 1 / 2),
    (["8", "9", "10"], 1 / 3),
    (["7", "", "..."], 1.0),
    (["", "..."], None),
    ([], None),
]


@pytest.mark.parametrize(("others", "expected"), STANDINGS)
def test_how_a_reply_stands_among_others(others, expected):
    found = standing("The answer is 7.", others)
    assert found == (None if expected is None else pytest.approx(expected))


def test_a_reply_that_states_nothing_does_not_stand():
    assert standing("...", ["7"]) is None


@given(one=TEXTS, other=TEXTS)
def test_among_one_other_a_reply_stands_as_it_agrees(one, other):
    agreed, found = agree(one, other), standing(one, [other])
    assert found == (None if agreed is None else pytest.approx(agreed))
    more = standing(one, [other] * 3)
    assert more == (None if agreed is None else pytest.approx(agreed))
