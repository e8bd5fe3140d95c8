"""Recorded outcomes to learn from: read from pair files or one's own rows, cleaned and grouped."""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gateway.core.chat import CHARS_PER_TOKEN
from gateway.core.signals import Signals

PAIR_FILES: Final = (
    "routellm_mmlu",
    "routellm_gsm8k",
    "nim_llama8b_nemotron51b",
    "mmlupro_llama8b_llama70b",
    "zeroeval_gsm_llama8b_gpt4o",
    "zeroeval_mathl5_llama8b_gpt4o",
    "zeroeval_crux_llama8b_gpt4o",
)
"""What the shipped scorer learns from: pairs whose tiers differ by at least .05."""
SHINGLE: Final = 10
"""Two questions that share this many words in a row are near-duplicates ..."""
TEMPLATE: Final = 8
"""... unless more rows than this share them: then they are the wording of a task."""

_WORD: Final = re.compile(r"\w+")
_LONGEST_FIELD: Final = 10_000_000


class DataError(ValueError):
    """A file that cannot be learnt from. The message names it and says what is wrong."""


@dataclass(frozen=True, slots=True)
class Row:
    """One request and how good, 0..1, each model's answer was, cheap to strong."""

    signals: Signals
    scores: tuple[float, ...]
    source: str


def read_pairs(folder: Path, names: Iterable[str] = PAIR_FILES) -> list[Row]:
    """Read `NAME.csv.gz` of each name, without contaminated rows and repeated prompts.

    Raises DataError for a missing file or column and for a score that is none.
    """
    rows = []
    for name in names:
        seen = set()
        for record in _records(folder / f"{name}.csv.gz"):
            row = _row(record, name)
            key = normal(row.signals.text)
            if key not in seen and not json.loads(record.get("extra") or "{}").get("contaminated"):
                rows.append(row)
            seen.add(key)
    return rows


def read_rows(path: Path) -> list[Row]:
    """Read one's own rows: CSV, or JSON lines (`.jsonl`), either of them `.gz` if it likes.

    Columns: prompt, weak_score, strong_score; where known also turns, tools, wants_json,
    max_tokens. Raises DataError as `read_pairs` does, and for a file without rows.
    """
    rows = [_row(record, path.name.partition(".")[0]) for record in _records(path)]
    if not rows:
        raise DataError(f"{path}: it holds no rows.")
    return rows


def normal(text: str) -> str:
    """Return the text in lower case and single spaces: layout makes no two questions of one."""
    return " ".join(text.casefold().split())


def near_duplicates(texts: Sequence[str]) -> list[int]:
    """Number the texts so that near-duplicates share a number.

    Near-duplicates have the same words, or share SHINGLE words in a row that at most TEMPLATE
    texts share.
    """
    words = [_WORD.findall(text.casefold()) for text in texts]
    holders: dict[int, list[int]] = defaultdict(list)
    for i, each in enumerate(words):
        for shingle in {hash(tuple(each[j : j + SHINGLE])) for j in range(len(each) - SHINGLE + 1)}:
            holders[shingle].append(i)
    same: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for i, each in enumerate(words):
        same[tuple(each)].append(i)
    linked = [group for group in holders.values() if len(group) <= TEMPLATE]
    return _components(len(texts), [*same.values(), *linked])


def balance(sources: Sequence[str]) -> list[float]:
    """Weigh rows so that a source counts as the root of its size; the mean weight is 1."""
    sizes = Counter(sources)
    weights = [sizes[source] ** -0.5 for source in sources]
    mean = sum(weights) / len(weights)
    return [weight / mean for weight in weights]


def _components(size: int, groups: Iterable[Sequence[int]]) -> list[int]:
    parent = list(range(size))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for group in groups:
        for i in group[1:]:
            first, second = sorted((root(group[0]), root(i)))
            parent[second] = first
    return [root(i) for i in range(size)]


def _records(path: Path) -> Iterator[Mapping[str, Any]]:
    if not path.is_file():
        raise DataError(f"{path}: there is no such file.")
    csv.field_size_limit(_LONGEST_FIELD)
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8", newline="") as lines:
        if ".jsonl" in path.suffixes:
            yield from (_object(line, path) for line in lines if line.strip())
        else:
            yield from csv.DictReader(lines)


def _object(line: str, path: Path) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise DataError(f"{path}: a line is not JSON ({error}).") from error
    if not isinstance(record, dict):
        raise DataError(f"{path}: a line is not an object.")
    return record


def _row(record: Mapping[str, Any], source: str) -> Row:
    try:
        text = str(record["prompt"])
        scores = (float(record["weak_score"]), float(record["strong_score"]))
        bound = int(record.get("max_tokens") or 0) or None
        turns, tools = (int(record.get(name) or 0) for name in ("turns", "tools"))
    except KeyError as error:
        raise DataError(f"{source}: a row has no column {error}.") from error
    except (TypeError, ValueError) as error:
        raise DataError(f"{source}: a row's value is no number ({error}).") from error
    if not all(0 <= score <= 1 for score in scores):
        raise DataError(f"{source}: scores are 0..1, this row has {scores}.")
    signals = Signals(
        text=text,
        prompt_chars=len(text),
        prompt_tokens=len(text) // CHARS_PER_TOKEN + 4,
        turns=turns or 1,
        tools=tools,
        wants_json=str(record.get("wants_json") or "").lower() in {"1", "true", "yes"},
        max_tokens=bound,
    )
    return Row(signals, scores, source)
