"""Upstreams of kind litellm keep what those of kind openai keep, with the newest litellm."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".cache" / "litellm"
CASES = Path(__file__).with_name("litellm_kind_cases.py")
LIMIT = 240

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]


def _run(*command):
    return subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=LIMIT, cwd=ROOT
    )


def test_it_keeps_the_contract():
    if not (HOME / "ready").exists():
        venv.create(HOME, clear=True, with_pip=True)
        done = _run(HOME / "bin" / "python", "-m", "pip", "install", "-q", "-U", "litellm")
        if done.returncode:
            pytest.skip(f"litellm cannot be installed: {done.stderr[-300:]}")
        (HOME / "ready").touch()
    (packages,) = (HOME / "lib").glob("python3*/site-packages")
    done = _run(sys.executable, CASES, packages)
    assert done.stdout.splitlines()[-1:] == ["kept"], done.stdout + done.stderr[-3000:]
