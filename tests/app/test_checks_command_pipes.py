"""A program whose child outlives it: what it holds is let go of by the gateway."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys

import pytest
from app.checking import checking, found, said
from app.test_checks_command import running
from held_open import held_open

DETACHED = """
import subprocess, sys
left = subprocess.Popen(["sleep", "20"], start_new_session=True)
open(sys.argv[1], "w").write(str(left.pid))
sys.exit(1)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_pipes_that_a_stranger_holds_are_closed(tmp_path):
    place = tmp_path / "left"
    check = running(tmp_path, DETACHED, timeout="5s", processes=50)
    check["run"].append(str(place))
    left = []
    async with checking(tmp_path, [said("42")] * 4, [said("7")] * 4, check) as (it, *_):
        try:
            await it.chat()
            left.append(int(await asyncio.to_thread(place.read_text)))
            before = held_open("pipe:")
            for _ in range(3):
                row = found(it.entry(await it.chat()))
                left.append(int(await asyncio.to_thread(place.read_text)))
                assert row["result"] == "fail"
            assert held_open("pipe:") <= before
        finally:
            for pid in left:
                os.kill(pid, signal.SIGKILL)  # they were there to the end
    gc.collect()
