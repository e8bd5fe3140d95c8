"""What do two replies answer, and do they answer the same?

The final answer is found where replies state it (a box, "the answer is", a field of JSON, a block
of code, the last line) and compared by its kind, never as a string. Where no answer can be told,
or two cannot be compared, nothing is said: None, which is a check's abstention. All is bounded and
linear, since a reply may be hostile.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal, TypeVar

from gateway.checks.values import (
    as_number,
    code_tokens,
    json_agreement,
    numbers,
    parse_json,
    token_agreement,
    words_of,
)

__all__ = ["Alike", "Answer", "Kind", "agree", "compare", "extract", "stand", "standing"]

Kind = Literal["number", "choice", "json", "sql", "code", "formula", "text"]
Alike = Callable[[str, str], float | None]
"""How alike are two short texts, 0..1; None where it cannot tell."""
Said = TypeVar("Said")

_MOST: Final = 50_000
"""Characters of a reply that are read; of a longer one, its end."""
_SHORT_WORDS: Final = 60
"""A text of more words is no short answer."""
_TERSE_WORDS: Final = 12
"""In a text of at most so many words, one number is what it states."""

_FENCE: Final = re.compile(r"(?m)^[ \t]{0,8}```[ \t]*([\w+#.-]{0,20})[^\n]*\n")
_FENCE_END: Final = re.compile(r"(?m)^[ \t]{0,8}```[ \t]*$")
_BOX: Final = "\\boxed{"
_STATED: Final = re.compile(
    r"(?i)(?:\bfinal answer|\banswer)(?:\s+is|\s*[:=])(?:[\s:*]|\\n){0,5}|^####[ \t]*", re.MULTILINE
)
_CHOICE: Final = re.compile(
    r"(?:option |choice )?[(\[]?([A-Ja-j])[)\]]?(?:[.:)](?:\s.*)?)?", re.DOTALL
)
_SAID: Final = re.compile(r"(?i)(yes|no|true|false)\b")
_WRAPPING: Final = re.compile(r"\\(?:text|mathrm|textbf|mathbf)\s?\{([^{}]*)\}")
_SPACING: Final = re.compile(r"\\(?:left|right|displaystyle|[,;!:()\[\] ])")
_SQL: Final = re.compile(
    r"\s*(?:select|with|insert\s+into|update|delete\s+from|create\s+(?:table|view|index))\b",
    re.IGNORECASE,
)
_FORMAL: Final = re.compile(r"[\\^_={}\[\]()'\"<>+*/]")
_SUM: Final = re.compile(r"\d\s?(?:[-+*/=\u00d7\u00f7]|\\times|\\div)\s?[$(]?\d|=\s?[$(]?\d")
_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+")
_BROKEN: Final = re.compile(r"\"(?:final_)?answer\"\s?:\s?\"?([^\n]{1,200}?)\"?\s{0,20}\}\Z")
"""How an object ends that would have been JSON, but for a quote or a backslash."""
_ANSWER_KEYS: Final = ("final_answer", "answer")
_REASON_KEYS: Final = frozenset(
    {"reasoning", "reason", "explanation", "rationale", "thought", "thoughts", "steps", "analysis"}
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A final answer: `value` is a Number, a choice's letter or word, parsed JSON, tokens of code,
    SQL or a formula, or the words of a `text`; `wording` is how a short one was put."""

    kind: Kind
    value: Any
    wording: str = ""


def agree(one: str, other: str, alike: Alike | None = None) -> float | None:
    """Say how far two replies give the same answer: 1 the same, 0 another, None for no telling.

    `alike` compares short texts (by static vectors, say); without it different wordings are not
    compared.
    """
    left, right = extract(one), extract(other)
    return None if left is None or right is None else compare(left, right, alike)


def compare(left: Answer, right: Answer, alike: Alike | None = None) -> float | None:
    """Compare two answers, as `agree` does."""
    if left.kind != right.kind:
        return _across(left, right)
    match left.kind:
        case "number":
            return float(left.value.equals(right.value))
        case "choice" | "formula":
            return float(left.value == right.value)
        case "json":
            return json_agreement(left.value, right.value)
        case "sql" | "code":
            return token_agreement(left.value, right.value)
        case "text":
            return _texts(left, right, alike)


def standing(reply: str, others: Sequence[str], alike: Alike | None = None) -> float | None:
    """Say how a reply stands among others' answers, as `stand` does."""
    mine, read = extract(reply), [extract(other) for other in others]
    if mine is None:
        return None
    return stand(mine, [each for each in read if each is not None], partial(compare, alike=alike))


def stand(
    mine: Said, others: Sequence[Said], compared: Callable[[Said, Said], float | None]
) -> float | None:
    """Say how what was said stands among others: 1 when all agree with it, 0 when all agree on
    another, a half when it has as many with it as its strongest rival has. None for no telling.

    That answers which differ from it also differ among themselves is a better sign than that they
    agree: then nobody knows, and there they know better. Among one other it is how far that agrees:
    what agrees in part is with it in that part, and against it in the rest.
    """
    found = [(each, compared(mine, each)) for each in others]
    told = [(each, agreed) for each, agreed in found if agreed is not None]
    if not told:
        return None
    with_it = sum(agreed for _, agreed in told)
    rivals = [(each, 1 - agreed) for each, agreed in told if agreed < 1]
    strongest = max((_backing(each, rivals, compared) for each, _ in rivals), default=0.0)
    return (1 + (with_it - strongest) / len(told)) / 2


def _backing(
    one: Said,
    rivals: Sequence[tuple[Said, float]],
    compared: Callable[[Said, Said], float | None],
) -> float:
    """How many of these say this one thing, itself included? Each counts for its part."""
    return sum(
        against * (1.0 if each is one else compared(one, each) or 0.0) for each, against in rivals
    )


def _across(left: Answer, right: Answer) -> float | None:
    """Compare answers of two kinds: a number is not what a formula says, and a list may have been
    written in either JSON or a language's own way. A choice's letter may stand for anything."""
    kinds = {left.kind, right.kind}
    if kinds == {"number", "formula"}:
        return 0.0
    if kinds == {"json", "formula"} and left.wording and right.wording:
        return float(code_tokens(left.wording) == code_tokens(right.wording))
    return None


def _texts(left: Answer, right: Answer, alike: Alike | None) -> float | None:
    if left.value == right.value:
        return 1.0
    ours, theirs = list(numbers(left.wording)), list(numbers(right.wording))
    if ours and theirs and not any(a.equals(b) for a in ours for b in theirs):
        return 0.0
    return None if alike is None else alike(left.wording, right.wording)


def extract(text: str) -> Answer | None:
    """Find a reply's final answer; None where it states none that could be compared."""
    text = text[-_MOST:].strip()
    if not text:
        return None
    if answer := _from_json(_unfenced(text)):
        return answer
    block, after = _last_block(text)
    if stated := _stated(text[after:]):
        return _short(stated)
    if block is not None:
        return block
    if _SQL.match(text) and ("from" in text.casefold() or ";" in text):
        return _code(text, sql=True)
    return _last_number(text) or _short(text)


def _from_json(text: str) -> Answer | None:
    value = _json(text)
    if value is None:
        cut = _BROKEN.search(text) if text[:1] == "{" else None
        return _short(cut[1].replace("\\\\", "\\")) if cut else None
    answer = _field(value)
    if answer is None:
        return Answer("json", value, text if len(text) <= 20 * _SHORT_WORDS else "")
    if isinstance(answer, Mapping | list):
        return Answer("json", answer)
    return _short(str(answer))


def _json(text: str) -> Any:
    """Parse an object or an array; None for what is none."""
    if text[:1] not in {"{", "["}:
        return None
    try:
        return parse_json(text)
    except ValueError:
        return None


def _field(value: Any) -> Any:
    """Return the answer in an object that else holds only how it was come by."""
    if not isinstance(value, Mapping):
        return None
    keys = {str(key).casefold(): key for key in value}
    named = next((keys[name] for name in _ANSWER_KEYS if name in keys), None)
    others = keys.keys() - set(_ANSWER_KEYS)
    return value[named] if named is not None and others <= _REASON_KEYS else None


def _unfenced(text: str) -> str:
    """Return what is inside, where the whole text is one block."""
    opening = _FENCE.match(text)
    return text[opening.end() : -3].strip() if opening and text.endswith("```") else text


def _last_block(text: str) -> tuple[Answer | None, int]:
    """Return the last block of code, and where it ends."""
    block, at = None, 0
    while opening := _FENCE.search(text, at):
        closing = _FENCE_END.search(text, opening.end())
        body = text[opening.end() : closing.start() if closing else len(text)]
        at = closing.end() if closing else len(text)
        language = opening[1].casefold()
        if language == "json":
            block = _from_json(body.strip())
        elif body.strip():
            block = _code(body, sql=language == "sql" or bool(_SQL.match(body)))
    return block, at


def _code(body: str, *, sql: bool) -> Answer | None:
    tokens = code_tokens(body, sql=sql)
    return Answer("sql" if sql else "code", tokens) if tokens else None


def _stated(text: str) -> str | None:
    """Return what the last box, or the last "answer:", holds."""
    start = text.rfind(_BOX)
    if start >= 0 and (boxed := _balanced(text, start + len(_BOX))):
        return boxed
    ends = [found.end() for found in _STATED.finditer(text)]
    lines = text[ends[-1] :].strip().splitlines() if ends else []
    said = _SENTENCE.split(lines[0], maxsplit=1)[0] if lines else ""
    # "A. because ..." is one sentence with its letter.
    return (lines[0] if len(said) <= 2 else said) if said.strip(" .*$`") else None


def _balanced(text: str, start: int) -> str | None:
    depth = 1
    for at in range(start, min(start + 500, len(text))):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if not depth:
            return text[start:at]
    return None


def _short(text: str) -> Answer | None:
    """Classify a short text; None for a long one, or one of no word."""
    text = _plain(text)
    if not text or len(text) > 20 * _SHORT_WORDS:
        return None
    if chosen := _CHOICE.fullmatch(text):
        return Answer("choice", chosen[1].upper())
    if text[0] in "[{" and (held := _json(text)) is not None:
        return Answer("json", held, text)
    words = words_of(text)
    if len(words) > _SHORT_WORDS:
        return None
    if said := _SAID.match(text):
        return Answer("choice", said[1].casefold())
    number = as_number(text)
    if number is not None and len(words) <= _TERSE_WORDS and _is_number(text):
        return Answer("number", number)
    if _FORMAL.search(text) and len(text.split()) <= _TERSE_WORDS:
        return Answer("formula", code_tokens(text), text)
    return Answer("text", words, text) if words else None


def _is_number(text: str) -> bool:
    """Is it a number with at most a unit, and no formula?"""
    rest = re.sub(r"\\[dt]?frac|\\(?:%|\$|circ)|\^\\circ|(?<=\d),(?=\d{3})", "", text)
    return not re.search(r"[\\^_=\[\]<>'\"*+]|\d\s*[a-zA-Z]\s*[\^+*-]|[(,]\s*-?\d", rest)


def _plain(text: str) -> str:
    """Take off the marks of Markdown and LaTeX that say nothing."""
    text = _WRAPPING.sub(r"\1", _SPACING.sub("", text)).strip()
    text = text.strip("*$`\n\t ").removesuffix(".").strip("*$`\n\t ")
    return text.replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac")


def _last_number(text: str) -> Answer | None:
    """Return the last number of a calculation's last sentence: that is where sums end. Prose that
    calculates nothing may end in any number."""
    if len(text.split()) <= _TERSE_WORDS or not _SUM.search(text):
        return None
    line = text.rstrip("`*$ \n").rsplit("\n", 1)[-1]
    found = list(numbers(_SENTENCE.split(line)[-1]))
    return Answer("number", found[-1]) if found else None
