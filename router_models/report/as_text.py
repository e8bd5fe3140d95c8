"""A report as plain text, at most 80 characters wide, and as Markdown."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from router_models.report.document import Document, Section, Table

WIDTH = 80
_BAR = 18
_GAP = 2


def as_terminal(document: Document) -> str:
    """Write it for a terminal."""
    lines = [document.title.upper(), *_wrapped(document.about), ""]
    lines += _wrapped(document.verdict)
    for section in document.sections:
        lines += ["", f"── {section.title} ".ljust(WIDTH, "─"), *_section(section)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _section(section: Section) -> Iterator[str]:
    for text in section.text:
        yield from _wrapped(text)
    for number, table in enumerate(section.tables):
        if number or section.text:
            yield ""
        yield from _table(table)
    if section.items and (section.text or section.tables):
        yield ""
    for item in section.items:
        yield from textwrap.wrap(item, WIDTH, initial_indent="· ", subsequent_indent="  ")


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH)


def _table(table: Table) -> Iterator[str]:
    """Columns as wide as what is in them; the first gives way where they are too many."""
    rows = [table.head, *table.rows]
    widths = [max(len(row[at]) for row in rows) for at in range(len(table.head))]
    room = WIDTH - (_BAR + _GAP if table.bars else 0)
    over = sum(widths) + _GAP * (len(widths) - 1) - room
    word = max(len(each) for row in rows for each in row[0].split() or [""])
    widths[0] = max(word, widths[0] - max(0, over))
    for number, row in enumerate(rows):
        first, *more = textwrap.wrap(row[0], widths[0]) or [""]
        line = _cells([first, *row[1:]], widths, table.align)
        if table.bars:
            bar = _bar(*table.bars[number - 1]) if number else ""
            line = line.ljust(room + _GAP) + bar
        yield line
        yield from (f"  {rest}" for rest in more)


def _cells(row: Sequence[str], widths: Sequence[int], align: str) -> str:
    cells = zip(row, widths, align, strict=True)
    return (" " * _GAP).join(
        text.rjust(width) if side == "r" else text.ljust(width) for text, width, side in cells
    )


def _bar(begin: float, end: float) -> str:
    low, high = sorted((round(begin * _BAR), round(end * _BAR)))
    return " " * low + "█" * max(1, high - low)


def as_markdown(document: Document) -> str:
    """Write it as Markdown."""
    lines = [f"# {document.title}", "", document.about, "", f"**{document.verdict}**"]
    for section in document.sections:
        lines += ["", f"## {section.title}"]
        for text in section.text:
            lines += ["", text]
        for table in section.tables:
            lines += ["", *_markdown_table(table)]
        if section.items:
            lines += ["", *(f"- {item}" for item in section.items)]
    return "\n".join(lines) + "\n"


def _markdown_table(table: Table) -> Iterator[str]:
    yield f"| {' | '.join(_escaped(table.head))} |"
    yield f"|{'|'.join('---:' if side == 'r' else '---' for side in table.align)}|"
    for row in table.rows:
        yield f"| {' | '.join(_escaped(row))} |"


def _escaped(row: Sequence[str]) -> list[str]:
    return [cell.replace("|", "\\|") for cell in row]
