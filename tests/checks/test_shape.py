from __future__ import annotations

import pytest

from gateway.checks import NAMES, all_checks
from gateway.checks.shape import _MARKS, _REFUSALS, refusal, shape
from gateway.core.chat import ChatRequest, Choice, Reply
from gateway.core.verdict import ABSTAIN, PASS, REASONS, Finding

ASKED = ChatRequest({"model": "m", "messages": []})
EMPTY = Finding("fail", "empty", broken=True)
CUT = Finding("fail", "truncated")
REFUSED = Finding("fail", "refusal")
TOOL = {"id": "c", "name": "f", "arguments": "{}"}


def reply(*choices, complete=True):
    return Reply(choices, complete)


SHAPES = {
    "an answer": (reply(Choice("42", finish="stop")), PASS),
    "no finish": (reply(Choice("42")), PASS),
    "no choices": (reply(), EMPTY),
    "nothing": (reply(Choice("", finish="stop")), EMPTY),
    "white space": (reply(Choice(" \n\t\u00a0", finish="stop")), EMPTY),
    "one of two empty": (reply(Choice("42"), Choice("")), EMPTY),
    "cut off": (reply(Choice("4", finish="length")), CUT),
    "one of two cut off": (reply(Choice("42", finish="stop"), Choice("4", finish="length")), CUT),
    "cut off before a word": (reply(Choice("", finish="length")), EMPTY),
    "a call of a tool": (reply(Choice(tool_calls=(TOOL,), finish="tool_calls")), PASS),
    "a refusal is not empty": (reply(Choice(refusal="No.")), PASS),
    "a prefix": (reply(Choice(""), complete=False), ABSTAIN),
}


@pytest.mark.parametrize(("given", "found"), SHAPES.values(), ids=SHAPES)
def test_shape(given, found):
    assert shape(ASKED, given) == found


@pytest.mark.parametrize(
    ("modalities", "found"),
    [(["text", "audio"], ABSTAIN), (["text"], EMPTY), (None, EMPTY), (7, EMPTY), ("audio", EMPTY)],
)
def test_speech_is_in_no_text(modalities, found):
    asked = ChatRequest({"model": "m", "messages": [], "modalities": modalities})
    assert shape(asked, reply(Choice("", finish="stop"))) == found


REFUSALS = {
    "an answer": (reply(Choice("Certainly: 42.")), PASS),
    "a prefix of one": (reply(Choice("Certainly"), complete=False), ABSTAIN),
    "in plain words": (reply(Choice("I can't help with that.")), REFUSED),
    "a prefix is enough": (reply(Choice("I CANNOT HELP"), complete=False), REFUSED),
    "a typographer's apostrophe": (reply(Choice("I\u2019m sorry, but I can\u2019t.")), REFUSED),
    "after a word or two": (reply(Choice("Hm. As an AI language model, no.")), REFUSED),
    "quoted far on": (reply(Choice("x" * 160 + " I cannot help")), PASS),
    "one of two": (reply(Choice("42"), Choice("I must decline.")), REFUSED),
    "in its own field": (reply(Choice("", refusal="No.")), REFUSED),
    "by moderation": (reply(Choice("4", finish="content_filter")), REFUSED),
    "nothing said": (reply(), PASS),
}


@pytest.mark.parametrize(("given", "found"), REFUSALS.values(), ids=REFUSALS)
def test_refusal(given, found):
    assert refusal(ASKED, given) == found


def test_every_check_has_its_name_and_bounded_reasons():
    assert tuple(all_checks("[m]")) == NAMES
    replies = [given for given, _ in (*SHAPES.values(), *REFUSALS.values())]
    found = {check(ASKED, each).reason for check in all_checks("[m]").values() for each in replies}
    assert found <= REASONS | {""}


def test_whatever_refuses_has_a_mark():
    assert [words for words in _REFUSALS if not any(mark in words for mark in _MARKS)] == []
