"""All allowances of this worker, and the task that tells the shared state what became of them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Callable

from gateway.core.allowance import Drawn, Terms
from gateway.core.limits import Outage
from gateway.limits.account import Account
from gateway.limits.line import Line
from gateway.shared import Draw, Shared, SharedDown

EVERY = 2.0
"""Seconds between two reports; what nobody wanted meanwhile is given back."""
AGAIN = 30.0
"""Seconds after which a budget's pool is told again what it has been told."""
MOST = 10_000
"""Accounts that are kept: over that those go that were wanted first, unless they hold something."""
_AT_ONCE = 200
_log = logging.getLogger("waterfall")


class Accounts:
    """Begins with none; `start` begins the reports, `aclose` gives everything back."""

    def __init__(
        self, shared: Shared, holder: str, clock: Callable[[], float], timeout: float
    ) -> None:
        """`holder` is a name that no other process has or will have; `timeout` is for one trip to
        the shared state, in seconds."""
        self.line = Line(shared, holder, clock, timeout)
        self._clock = clock
        self._known: OrderedDict[str, Account] = OrderedDict()
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._known)

    def get(self, name: str, terms: Terms, outage: Outage, keep: float) -> Account:
        """Return an account, with these terms from now on."""
        account = self._known.get(name)
        if account is None:
            account = Account(name, terms, outage, keep, self.line, self._clock)
            self._known[name] = account
            if len(self._known) > MOST:
                self._forget()
        account.holding.terms, account.outage, account.keep = terms, outage, keep
        self._known.move_to_end(name)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._report_for_ever())
        return account

    def _forget(self) -> None:
        for name, account in self._known.items():
            if account.holding.idle and not account.busy:
                account.gone = True
                del self._known[name]
                return

    async def _report_for_ever(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            try:
                await self.report()
            except Exception:  # noqa: BLE001 (the next report tries again)
                _log.exception("The shared state was not told what became of its allowances.")

    async def report(self, *, keep_all: bool = True) -> None:
        """Tell the pools what was used; give back what nobody has wanted since the last time."""
        now = self._clock()
        told: list[tuple[Account, Draw]] = []
        for name, account in list(self._known.items()):
            wanted = now - account.touched < EVERY and keep_all
            if account.busy:
                continue
            if not account.holding.idle or self._is_to_be_said_again(account, now):
                told.append((account, account.sync(keep=wanted)))
            elif not wanted and now - account.touched > account.keep:
                account.gone = True
                del self._known[name]
        if not told and not self.line.up:
            with contextlib.suppress(SharedDown):  # nobody may come who would find out
                await self.line.ask(lambda shared: shared.get("there?"))
        for begin in range(0, len(told), _AT_ONCE):
            await self._tell(told[begin : begin + _AT_ONCE])

    def _is_to_be_said_again(self, account: Account, now: float) -> bool:
        """What was used of a budget: in case the pool has forgotten it."""
        return bool(account.holding.used) and now - account.told >= AGAIN

    async def _tell(self, told: list[tuple[Account, Draw]]) -> None:
        found: list[Drawn | None] = [None] * len(told)
        try:
            found = [*await self.line.draw([draw for _, draw in told])]
        except SharedDown:
            pass  # counted by the line; they say it anew the next time
        finally:
            for (account, draw), drawn in zip(told, found, strict=True):
                account.synced(draw, drawn)

    async def aclose(self) -> None:
        """Give everything back that can be."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self.line.drop_errands()
        await self.report(keep_all=False)
