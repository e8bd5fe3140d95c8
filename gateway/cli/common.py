"""What several commands share: the --config option, and loading what it names."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gateway.config import ConfigError, Settings

DEFAULT = Path("waterfall.yaml")
NO_CONFIG = """\
There is no {path}. A useful one has three parts: upstreams, tiers (cheap to strong), and a route:

  upstreams:
    openai: {{kind: openai, base_url: https://api.openai.com/v1, api_key: "${{OPENAI_API_KEY}}"}}
  tiers:
    small: {{upstream: openai, model: gpt-5-mini}}
    large: {{upstream: openai, model: gpt-5}}
  routes:
    waterfall: {{tiers: [small, large]}}

`waterfall init` writes one from the keys and model servers that it finds here; `waterfall serve
--auto` does that and serves it. Or save the above as {path}, then `waterfall check` and `serve`.
To see a waterfall at work first, with two tiny models and no key: `waterfall demo`."""


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add --config."""
    parser.add_argument(
        "--config", type=Path, default=DEFAULT, metavar="FILE", help="default: %(default)s"
    )


def read(args: argparse.Namespace) -> Settings | None:
    """Load the configuration that --config names; None, with the reason told, when it cannot."""
    from gateway.app import read_settings

    path: Path = args.config
    if not path.exists():
        tell(NO_CONFIG.format(path=path))
        return None
    try:
        return read_settings(path, os.environ)
    except ConfigError as error:
        tell(str(error))
        return None


def add_key_file(parser: argparse.ArgumentParser, whose: str, variable: str) -> None:
    """Add --key-file. A key is no argument: those are for everybody on the machine to see."""
    parser.add_argument(
        "--key-file",
        type=Path,
        metavar="FILE",
        help=f"where {whose} stands alone; default: {variable} of the environment",
    )


def read_key(args: argparse.Namespace, variable: str) -> str | None:
    """Read the key that --key-file names or `variable` of the environment has, empty where there
    is none; None, with the reason told, when it cannot be read or sent."""
    path: Path | None = args.key_file
    try:
        key = path.read_text(encoding="utf-8").strip() if path else ""
    except (OSError, UnicodeDecodeError) as error:
        tell(f"--key-file {path}: {error}")
        return None
    place = f"--key-file {path}" if key else variable
    key = key or os.environ.get(variable, "").strip()
    if not re.fullmatch("[!-~]*", key):
        tell(f"{place}: no key of a gateway has spaces, or other letters than ASCII's")
        return None
    return key


def tell(text: str) -> None:
    """Write to standard error."""
    print(text, file=sys.stderr, flush=True)


def show(*values: Any) -> None:
    """Write to standard output."""
    print(*values, flush=True)


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Write rows one below the other, each column as wide as it must be."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
