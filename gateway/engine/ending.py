"""How what runs beside a request ends: wholly, before anything is written down of it."""

from __future__ import annotations

import asyncio
from typing import Any


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel what is not done, and wait for its end: whatever it spent is known only then.

    Raises CancelledError, when all have ended, if this was cancelled itself meanwhile.
    """
    cancelled = False
    for task in tasks:
        task.cancel()
    while pending := [task for task in tasks if not task.done()]:
        try:
            await asyncio.wait(pending)
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
