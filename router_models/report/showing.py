"""Figures in the way that somebody wants to see them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from router_models.report.as_html import as_html
from router_models.report.as_text import as_markdown, as_terminal
from router_models.report.document import Document

_WAYS: dict[str, Callable[[Document], str]] = {
    "terminal": as_terminal,
    "markdown": as_markdown,
    "html": as_html,
}


def show(told: dict[str, Any], document: Callable[[dict[str, Any]], Document], way: str) -> str:
    """Write figures as terminal, markdown, html or json."""
    if way == "json":
        return json.dumps(told, indent=1) + "\n"
    return _WAYS[way](document(told))
