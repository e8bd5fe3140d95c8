"""Upstreams of kind litellm keep what those of kind openai keep, with the newest litellm."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from live.environments import LIMIT, python_with

ROOT = Path(__file__).resolve().parents[2]
CASES = Path(__file__).with_name("litellm_kind_cases.py")

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]


def test_it_keeps_the_contract():
    (packages,) = python_with("litellm").parents[1].glob("lib/python3*/site-packages")
    done = subprocess.run(
        [sys.executable, CASES, packages],
        check=False,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        cwd=ROOT,
    )
    assert done.stdout.splitlines()[-1:] == ["kept"], done.stdout + done.stderr[-3000:]
