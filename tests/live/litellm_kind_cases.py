"""What every kind of upstream keeps (tests/upstreams/contract.py), tried on one with litellm beside
it: run by test_litellm_kind.py with litellm's folder as the argument."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.append(sys.argv[1])  # behind our own libraries, which stay as they are locked

from upstreams.contract import KEY, Kind, keep

from gateway.upstreams.simulated import Behaviour, serve_simulated


async def main():
    async with serve_simulated(Behaviour(), key=KEY) as server:
        ours = await keep(Kind("openai"), server)
        lines = len(server.lines())
        theirs = await keep(Kind("litellm", model="openai/s-model", in_extra_body=True), server)
        assert len(server.lines()) == 2 * lines  # one line a call, of either kind
    assert ours == theirs, (ours, theirs)
    assert "litellm" in sys.modules


asyncio.run(main())
sys.stdout.write("kept\n")
