"""The table of docs/reliability.md is what the tests say."""

from __future__ import annotations

from faults.table import ELSEWHERE, HEADING, PAGE, ROOT, text


def test_the_page_is_current():
    page = PAGE.read_text("utf-8")
    assert HEADING + page.partition(HEADING)[2] == text(), "run: python tests/faults/table.py"


def test_what_is_tried_elsewhere_is_there():
    assert [test for *_, test in ELSEWHERE.values() if not (ROOT / test).is_file()] == []
