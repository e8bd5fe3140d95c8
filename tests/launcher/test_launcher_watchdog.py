"""A loop that stands is seen by a thread, and what it does is in the log."""

from __future__ import annotations

import asyncio
import logging
import time

from gateway.launcher import lag


async def test_what_blocks_the_loop_is_told_once(monkeypatch, caplog):
    monkeypatch.setattr(lag, "EVERY", 0.02)
    monkeypatch.setattr(lag, "BLOCKED", 0.2)
    lags, blocked = [], []

    def busy_with_a_bad_pattern():
        time.sleep(0.6)

    with caplog.at_level(logging.ERROR, logger="waterfall"):
        async with lag.watching_lag(lags.append, lambda: blocked.append(1)):
            await asyncio.sleep(0.1)
            assert blocked == []
            busy_with_a_bad_pattern()
            await asyncio.sleep(0.1)
    assert blocked == [1]
    assert "busy_with_a_bad_pattern" in caplog.text
    assert max(lags) > 0.4
