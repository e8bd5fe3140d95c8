"""Writes Grafana's dashboards: `python deploy/grafana/make.py`. What it writes is committed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from economics import ECONOMICS
from health import HEALTH
from routing import ROUTING

FOLDER = Path(__file__).parent / "dashboards"
DASHBOARDS = {"economics": ECONOMICS, "routing": ROUTING, "health": HEALTH}


def main() -> None:
    """Write them."""
    for name, made in DASHBOARDS.items():
        (FOLDER / f"{name}.json").write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
