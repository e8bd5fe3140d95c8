"""What `waterfall doctor` finds, each with its cure, and how it is written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Grade = Literal["ok", "warn", "fail"]
_SIGNS: dict[Grade, str] = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: `about` is a word for what, `told` what was seen, `cure` what to do
    about it (empty where nothing is wrong)."""

    about: str
    grade: Grade
    told: str
    cure: str = ""


def ok(about: str, told: str) -> Finding:
    """Say that all is well."""
    return Finding(about, "ok", told)


def warn(about: str, told: str, cure: str) -> Finding:
    """Say that it works, and what will come of it."""
    return Finding(about, "warn", told, cure)


def fail(about: str, told: str, cure: str) -> Finding:
    """Say that it does not work."""
    return Finding(about, "fail", told, cure)


def written(found: Iterable[Finding]) -> str:
    """Write findings for a person."""
    lines = []
    for each in found:
        lines.append(f"{_SIGNS[each.grade]}  {each.about}: {each.told}")
        if each.cure:
            lines.append(f"      -> {each.cure}")
    return "\n".join(lines)
