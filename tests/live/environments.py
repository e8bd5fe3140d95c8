"""Environments of their own for clients that nobody here wrote: the newest there are."""

from __future__ import annotations

import fcntl
import subprocess
import venv
from pathlib import Path

import pytest

LIMIT = 240.0  # seconds
CACHE = Path(__file__).resolve().parents[2] / ".cache"


def bare(home):
    """Make an environment with nothing but pip in a folder, which is emptied first."""
    # By links: a copied Python that a thread beside this one forks with still open for writing
    # does not start (ETXTBSY).
    venv.create(home, clear=True, with_pip=True, symlinks=True)


def python_with(*packages):
    """The Python of an environment that has these packages and nothing of ours; made once, by
    whichever of the tests that run beside each other wants it first."""
    home = CACHE / f"client-{'-'.join(packages)}"
    python, ready = home / "bin" / "python", home / "ready"
    CACHE.mkdir(exist_ok=True)
    with home.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            bare(home)
            install = [python, "-m", "pip", "install", "--quiet", "--upgrade", *packages]
            done = subprocess.run(
                install, check=False, capture_output=True, text=True, timeout=LIMIT
            )
            if done.returncode:
                told = f"{', '.join(packages)} cannot be installed: {done.stderr[-400:]}"
                pytest.skip(told)
            ready.touch()
    return python
