"""The rules that come with the gateway, read as they lie in deploy/prometheus."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "prometheus"
RULES, TESTS = FOLDER / "waterfall.rules.yml", FOLDER / "waterfall.test.yml"
DOCS = FOLDER.parents[1] / "docs"

_SELECTOR = re.compile(r"(waterfall[a-z0-9_:]+)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'([a-z_]+)(=~|!~|!=|=)"([^"]*)"')
_GROUPED = re.compile(r"\b(?:by|on|ignoring) \(([^)]*)\)")


def rules():
    """Every rule, in order."""
    document = yaml.safe_load(RULES.read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def recorded():
    return [rule for rule in rules() if "record" in rule]


def alerts():
    return [rule for rule in rules() if "alert" in rule]


def selectors(expression):
    """Each metric of an expression with its matchers: (name, [(label, operator, value)])."""
    found = _SELECTOR.finditer(expression)
    return [(each[1], _MATCHER.findall(each[2] or "")) for each in found]


def grouping(expression):
    """Every label that is grouped or matched by."""
    lists = _GROUPED.findall(expression)
    return {name.strip() for each in lists for name in each.split(",") if name.strip()}
