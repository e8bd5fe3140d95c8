from __future__ import annotations

import re

import pytest

from gateway.core.recipes import NOT_SURE, Recipe, apply, marker_at, without_marker, write_marker

MARKER = "[unsure:00c0ffee]"
SYSTEM = {"role": "system", "content": "client's system"}
DEVELOPER = {"role": "developer", "content": "client's developer"}
USER = {"role": "user", "content": "question", "name": "ann"}
LATER = {"role": "system", "content": "said later"}
FULL = Recipe(
    "full",
    7,
    before="BEFORE",
    after="AFTER",
    output="OUTPUT",
    examples=(("Q1", "A1"), ("Q2", "A2")),
    not_sure=True,
)


def system(text):
    return {"role": "system", "content": text}


def test_the_order_on_the_wire():
    messages = apply(FULL, [SYSTEM, DEVELOPER, USER, LATER], MARKER)
    assert messages == [
        system("BEFORE\n\nOUTPUT"),
        {"role": "user", "content": "Q1"},
        {"role": "assistant", "content": "A1"},
        {"role": "user", "content": "Q2"},
        {"role": "assistant", "content": "A2"},
        SYSTEM,
        DEVELOPER,
        system("AFTER\n\n" + NOT_SURE.format(marker=MARKER)),
        USER,
        LATER,
    ]


def test_the_marker_comes_after_all_that_never_changes():
    alone = Recipe("r", 1, before="B", not_sure=True)
    first, second, third = apply(alone, [USER], MARKER)
    assert (first, third) == (system("B"), USER)
    assert MARKER in second["content"]


@pytest.mark.parametrize("field", ["before", "after", "output"])
def test_each_text_alone_is_one_system_message(field):
    assert apply(Recipe("r", 1, **{field: "T"}), [USER], MARKER) == [system("T"), USER]


@pytest.mark.parametrize(
    ("after", "handover", "told"),
    [("", "", None), ("A", "", "A"), ("", "H", "H"), ("A", "H", "A\n\nH")],
)
def test_a_handover_note_stands_behind_after_where_it_is_one(after, handover, told):
    recipe = Recipe("r", 1, after=after, handover=handover)
    plain = [system(after)] if after else []
    assert apply(recipe, [SYSTEM, USER], MARKER) == [SYSTEM, *plain, USER]
    noted = [system(told)] if told else []
    assert apply(recipe.handed_over(), [SYSTEM, USER], MARKER) == [SYSTEM, *noted, USER]


def test_an_empty_recipe_adds_nothing():
    assert apply(Recipe("r", 1), [SYSTEM, USER], MARKER) == [SYSTEM, USER]


def test_only_system_messages():
    assert apply(Recipe("r", 1, after="A"), [SYSTEM], MARKER) == [SYSTEM, system("A")]


def test_the_client_s_messages_are_the_very_same():
    for mine, sent in zip(
        [SYSTEM, USER], apply(Recipe("r", 1), [SYSTEM, USER], MARKER), strict=True
    ):
        assert mine is sent


@pytest.mark.parametrize(
    ("content", "cleaned"),
    [
        (f"say {MARKER} now", "say  now"),
        (
            [{"type": "text", "text": f"a{MARKER}"}, {"type": "x"}],
            [{"type": "text", "text": "a"}, {"type": "x"}],
        ),
    ],
)
def test_a_marker_is_cut_from_the_client_s_text(content, cleaned):
    message = {"role": "user", "content": content, "name": "ann"}
    assert without_marker(message, MARKER) == {"role": "user", "content": cleaned, "name": "ann"}
    assert MARKER in str(message)


@pytest.mark.parametrize(
    "content", [None, "plain", [], [{"type": "text", "text": "plain"}, {"text": 7}, "odd"], 7]
)
def test_a_message_without_a_marker_is_left_alone(content):
    message = {"role": "user", "content": content}
    assert without_marker(message, MARKER) is message


def test_a_marker_holds_64_bits():
    assert re.fullmatch(r"\[unsure:[0-9a-f]{16}\]", write_marker(2**80 + 5))
    assert write_marker(5) == write_marker(2**80 + 5) != write_marker(6)


def test_a_recipe_s_label():
    assert FULL.label == "full@7"


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("", -1),
        ("no", -1),
        ("see [unsure", -1),
        ("yes [unsure:0", 4),
        ("yes [unsure:1", -1),
        ("a [unsure:00000000000000ff] b", 2),
    ],
)
def test_where_a_marker_begins(text, at):
    assert marker_at(text, write_marker(255)) == at
