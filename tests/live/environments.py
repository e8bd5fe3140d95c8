"""Environments of their own for clients that nobody here wrote: the newest there are."""

from __future__ import annotations

import fcntl
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

LIMIT = 240.0  # seconds
CACHE = Path(__file__).resolve().parents[2] / ".cache"


def environment(*packages):
    """The folder of an environment that has these packages and nothing of ours, or why there is
    none; made once, by whichever of the tests that run beside each other wants it first."""
    home = CACHE / ("client-" + re.sub(r"[^\w.=]+", "-", "-".join(packages)).strip("-"))
    ready = home / "ready"
    CACHE.mkdir(exist_ok=True)
    with home.with_name(f"{home.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            # By links: a copied Python that a thread beside this one forks with, still open for
            # writing, does not start (ETXTBSY).
            venv.create(home, clear=True, symlinks=True)
            # Our pip is theirs too, and what nobody imports is not compiled: half of the time.
            install = [sys.executable, "-m", "pip", "--python", home / "bin" / "python", "install"]
            done = subprocess.run(
                [*install, "--quiet", "--no-compile", *packages],
                check=False,
                capture_output=True,
                text=True,
                timeout=LIMIT,
            )
            if done.returncode:
                return f"{', '.join(packages)} cannot be installed: {done.stderr[-400:]}"
            ready.touch()
    return home


def python_with(*packages):
    """The Python of an environment that has these packages and nothing of ours."""
    home = environment(*packages)
    if isinstance(home, str):
        pytest.skip(home)
    return home / "bin" / "python"
