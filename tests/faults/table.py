"""The table of docs/reliability.md, made of the tests: `python tests/faults/table.py` writes it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reliability.md"
HEADING = "## The fault matrix"
INTRO = """\
Made by `python tests/faults/table.py` of the tests in `tests/faults/`, which go over real sockets.
After each that has its gateway in the same process the six invariants are checked: one ending for
each request; calls that upstreams saw = calls in the ledger; billed at most what was delivered;
gauges back at 0; no secret or prompt in the log; the next request works. Rows of limits and shared
state (F-32, F-39, F-41) are tried with those."""
_NAME = re.compile(r"test((?:_f\d\d)+)_(\w+)")

# Rows that are tried where their subject is at home.
ELSEWHERE = {
    "F-40": ("slow PostgreSQL", "no request waits for it", "tests/store/test_postgres_faults.py"),
    "F-42": (
        "disk full",
        (
            "serving goes on; under the database rows wait in the spool; under the spool too they "
            "wait in memory, 8 MB of them, and their calls' marks on disk: written once there is "
            "room, and after a restart before that the calls are found, with what they cost"
        ),
        "tests/store/test_store_full.py",
    ),
    "F-43": ("kill -9", "every call is in the ledger", "tests/store/test_store_kill.py"),
    "F-48": ("a worker crashes", "it is replaced", "tests/launcher/test_launcher_workers.py"),
    "F-49": ("blocked loop", "counted and logged", "tests/launcher/test_launcher_watchdog.py"),
}
ISSUE_9 = ("F-32", "F-39", "F-41")
"""Rows about limits and shared state, which are tried with those."""


def rows():
    """Yield (row, fault, what happens, test) for every row that is tried."""
    found = []
    for path in sorted((ROOT / "tests" / "faults").glob("test_faults_*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            match = _NAME.fullmatch(getattr(node, "name", ""))
            if match and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                told = " ".join((ast.get_docstring(node) or "").split())
                for number in re.findall(r"f(\d\d)", match[1]):
                    fault = match[2].replace("_", " ")
                    found.append((f"F-{number}", fault, told, f"`{node.name}`"))
    found += [(row, *told, f"`{test}`") for row, (*told, test) in ELSEWHERE.items()]
    return sorted(found)


def missing():
    """The rows of the matrix that no test of ours tries."""
    tried = {row for row, *_ in rows()} | set(ISSUE_9)
    return [row for row in (f"F-{number:02}" for number in range(1, 53)) if row not in tried]


def text():
    """The section of the page."""
    lines = [f"| {' | '.join(each)} |" for each in rows()]
    return "\n".join(
        [
            HEADING,
            "",
            INTRO + (f" Not tried: {', '.join(missing())}." if missing() else ""),
            "",
            "| row | fault | what happens | test |",
            "|---|---|---|---|",
            *lines,
            "",
        ]
    )


if __name__ == "__main__":
    before = PAGE.read_text("utf-8").partition(HEADING)[0].rstrip()
    PAGE.write_text(f"{before}\n\n{text()}", "utf-8")
