"""Environments of their own for clients that nobody here wrote: the newest there are."""

from __future__ import annotations

import subprocess
import venv
from pathlib import Path

import pytest

LIMIT = 240.0  # seconds
CACHE = Path(__file__).resolve().parents[2] / ".cache"


def python_with(*packages):
    """The Python of an environment that has these packages and nothing of ours; made once."""
    home = CACHE / f"client-{'-'.join(packages)}"
    python, ready = home / "bin" / "python", home / "ready"
    if not ready.exists():
        venv.create(home, clear=True, with_pip=True)
        install = [python, "-m", "pip", "install", "--quiet", "--upgrade", *packages]
        done = subprocess.run(install, check=False, capture_output=True, text=True, timeout=LIMIT)
        if done.returncode:
            pytest.skip(f"{', '.join(packages)} cannot be installed: {done.stderr[-400:]}")
        ready.touch()
    return python
