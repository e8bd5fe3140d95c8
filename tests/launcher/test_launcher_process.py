"""What a gateway's process does at its end."""

from __future__ import annotations

import asyncio
import subprocess
import sys

from gateway.launcher import process

STUBBORN = """
import asyncio
from gateway.launcher import process

process.GRACE = 0.1


async def stubborn():
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass


async def main():
    main.task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    return 7


raise SystemExit(process.run(main()))
"""


def test_what_will_not_be_cancelled_does_not_keep_it_from_ending():
    command = [sys.executable, "-c", STUBBORN]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 7
    assert "left behind, for they would not be cancelled: stubborn" in ended.stderr


def test_what_will_is_cancelled_first():
    ended = []

    async def last():
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("it")

    async def main():
        main.task = asyncio.create_task(last())
        await asyncio.sleep(0)
        return 3

    assert (process.run(main()), ended) == (3, ["it"])
