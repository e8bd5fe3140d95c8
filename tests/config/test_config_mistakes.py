"""Every mistake gets its message: file, line, path, value, and what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

CASES = yaml.safe_load(Path(__file__).with_name("mistakes.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES["spoiled"], ids=lambda case: case["now"])
def test_a_spoiled_file(problems, small, case):
    assert case["was"] in small
    told = problems(small.replace(case["was"], case["now"], 1))
    assert f"waterfall.yaml:{case['says']}" in told


@pytest.mark.parametrize("case", CASES["added"], ids=lambda case: case["line"])
def test_a_file_with_a_wrong_section(problems, small, case):
    where = "1" if case["says"].startswith("a ") else "8"
    assert problems(f"{small}{case['line']}\n") == [f"waterfall.yaml:{where}: {case['says']}"]


def test_everything_is_told_at_once_in_the_file_s_order(problems, small):
    text = small.replace("model: tiny", "model: tinny, hold: x").replace("large]", "lrge]")
    told = problems(f"{text}server: {{prot: 1, port: -1}}\nmore: 1\n")
    assert [line.split(": ")[:2] for line in told] == [
        ["waterfall.yaml:4", "tiers.small.hold"],
        ["waterfall.yaml:4", "tiers.small.price"],
        ["waterfall.yaml:7", "routes.waterfall.tiers[1]"],
        ["waterfall.yaml:8", "server.port"],
        ["waterfall.yaml:8", "server.prot"],
        ["waterfall.yaml:9", "more"],
    ]
