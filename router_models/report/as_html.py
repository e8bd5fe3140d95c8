"""A report as one HTML file: nothing is fetched, nothing is run; light or dark as the reader has
it, and fit to print."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from router_models.report.document import Document, Section, Table
from router_models.report.svg import draw

_STYLE = """
:root{color-scheme:light dark;--ink:#1d2733;--faint:#667380;--paper:#fff;--card:#f6f8fa;
--rule:#dde3e9;--good:#1d7a4c;--bad:#b3392c;--open:#8a6100;--c0:#1f6fb2;--c1:#d9732b;--c2:#3a8f5d;
--c3:#8159a6}
@media(prefers-color-scheme:dark){:root{--ink:#e4eaf0;--faint:#9aa7b4;--paper:#12171d;--card:#1a2129;
--rule:#2e3843;--good:#5cc48d;--bad:#f08a7d;--open:#e0b04c;--c0:#6cb2ee;--c1:#f0a063;--c2:#73c795;
--c3:#b897dc}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:820px;margin:0 auto;padding:32px 20px 64px}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2.2rem 0 .6rem;padding-top:1rem;
border-top:1px solid var(--rule)}
p{margin:.5rem 0}.about{color:var(--faint);margin:.2rem 0 1rem}
.verdict{font-size:1.15rem;background:var(--card);border-left:5px solid var(--open);
padding:14px 18px;border-radius:4px;margin:0}
.verdict.good{border-color:var(--good)}.verdict.bad{border-color:var(--bad)}
.scroll{overflow-x:auto;margin:.8rem 0}
table{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums}
th{color:var(--faint);font-weight:600;border-bottom:1px solid var(--rule)}
th,td{padding:4px 0 4px 16px;text-align:left;vertical-align:top;white-space:nowrap}
td:first-child{white-space:normal;min-width:7em}
th:first-child,td:first-child{padding-left:0}td.r,th.r{text-align:right}
tbody tr:nth-child(even){background:var(--card)}
ul{padding-left:1.2rem;margin:.5rem 0}li{margin:.2rem 0}
figure{margin:1rem 0}figcaption{color:var(--faint);font-size:.9rem;margin-bottom:.3rem}
svg{width:100%;height:auto;display:block}svg text{font-size:12.5px;fill:var(--ink)}
svg .name{fill:var(--faint)}svg .value{font-variant-numeric:tabular-nums}
.whole{fill:var(--c0)}.less{fill:var(--good)}.more{fill:var(--bad)}
.grid{stroke:var(--rule)}.zero{stroke:var(--faint)}
.mark{stroke:var(--faint);stroke-dasharray:4 3}.line{fill:none;stroke-width:2.2;stroke:var(--c)}
.band{fill:var(--c);opacity:.18}.key{fill:var(--c)}
.c0{--c:var(--c0)}.c1{--c:var(--c1)}.c2{--c:var(--c2)}.c3{--c:var(--c3)}
@media print{main{max-width:none;padding:0}h2{break-after:avoid}
table,figure,.verdict{break-inside:avoid}body{font-size:11pt}
.scroll{overflow:visible}th,td{padding-left:10px}}
"""


def as_html(document: Document) -> str:
    """Write it as one page."""
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<title>{escape(document.title)}</title><style>{_STYLE}</style></head><body><main>",
        f"<h1>{escape(document.title)}</h1>",
        f'<p class="about">{escape(document.about)}</p>',
        f'<p class="verdict {document.tone}">{escape(document.verdict)}</p>',
        *(part for section in document.sections for part in _section(section)),
        "</main></body></html>",
    ]
    return "\n".join(parts) + "\n"


def _section(section: Section) -> Iterator[str]:
    yield f"<h2>{escape(section.title)}</h2>"
    yield from (f"<p>{escape(text)}</p>" for text in section.text)
    for plot in section.plots:
        yield f"<figure><figcaption>{escape(plot.title)}</figcaption>{draw(plot)}</figure>"
    for table in section.tables:
        yield "".join(_table(table))
    if section.items:
        yield f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in section.items)}</ul>"


def _table(table: Table) -> Iterator[str]:
    kinds = [' class="r"' if side == "r" else "" for side in table.align]
    yield '<div class="scroll"><table><thead><tr>'
    yield from (f"<th{k}>{escape(c)}</th>" for k, c in zip(kinds, table.head, strict=True))
    yield "</tr></thead><tbody>"
    for row in table.rows:
        cells = (f"<td{k}>{escape(cell)}</td>" for k, cell in zip(kinds, row, strict=True))
        yield f"<tr>{''.join(cells)}</tr>"
    yield "</tbody></table></div>"
