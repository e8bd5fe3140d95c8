"""The relative gates, measured: ours beside the bare hop, in turns."""

from __future__ import annotations

import pytest

from loadtests import gates

pytestmark = pytest.mark.live


@pytest.mark.timeout(300)
async def test_the_gates_hold(tmp_path):
    told = await gates.run(tmp_path, repeats=2, scale=0.15)
    assert [sentence for held, sentence in told if not held] == []
