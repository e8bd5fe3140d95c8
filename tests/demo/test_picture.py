from __future__ import annotations

from xml.etree import ElementTree as ET

from gateway.demo.picture import Curve, Mark, as_svg, in_characters

CURVES = [Curve("a < b & c", "o", "#123456", [(0.1, 0.62), (0.5, 0.9), (1.0, 0.95)])]
MARKS = [Mark(0.1, 0.62, "s", "all small"), Mark(1.0, 0.95, "L", "all large")]


def test_characters_show_every_mark_in_its_place():
    lines = in_characters(CURVES, MARKS).splitlines()
    rows = [line for line in lines if "│" in line]
    small = next(n for n, row in enumerate(rows) if "s" in row.partition("│")[2])
    large = next(n for n, row in enumerate(rows) if "L" in row)
    assert large < small
    assert rows[large].index("L") > rows[small].partition("│")[2].index("s") + 8
    assert lines[-1].endswith("L  all large")


def test_svg_is_well_formed_and_holds_the_labels():
    root = ET.fromstring(as_svg("T & <U>", CURVES, MARKS))  # noqa: S314 - our own text
    texts = {node.text for node in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"T & <U>", "a < b & c", "all small", "all large", "95%"} <= texts


def test_points_beyond_the_edge_stay_inside():
    wild = [Curve("c", ".", "#000000", [(0.0, 0.5), (3.0, 0.9)])]
    assert len(in_characters(wild, MARKS).splitlines()[0]) <= 80
