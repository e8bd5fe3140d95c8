"""The simulated provider as an upstream in process: no sockets, the same replies and faults."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from pathlib import Path

from gateway.core.chat import Delta
from gateway.core.errors import UpstreamError, UpstreamTimeout
from gateway.core.ports import Receive, UpstreamCall
from gateway.upstreams import failures
from gateway.upstreams.simulated.behaviour import Behaviour
from gateway.upstreams.simulated.log import CallLog, Line
from gateway.upstreams.simulated.provider import Provider
from gateway.upstreams.simulated.render import DONE
from gateway.upstreams.simulated.show import Mark, Part, Show, Step, Wait
from gateway.upstreams.wire import event_delta, plain_delta

_DAY = 86_400.0
LARGEST_EVENT = 8 * 1024 * 1024
LARGEST_BODY = 64 * 1024 * 1024
LARGEST_HEAD = 64 * 1024
"""Bytes: over these the client of real upstreams gives up too."""


class SimulatedUpstream:
    """A provider that exists only here.

    first_token, silence, total: limits in seconds for the first and between later pieces of a
    reply, and for all of it.
    log: where its own log is also written, a file to append to.
    """

    def __init__(
        self,
        name: str,
        behaviour: Behaviour,
        *,
        first_token: float = 20.0,
        silence: float = 20.0,
        total: float = math.inf,
        log: Path | None = None,
    ) -> None:
        self.name = name
        self.provider = Provider(behaviour, CallLog(log))
        self._first_token = first_token
        self._silence = silence
        self._total = total

    async def call(self, call: UpstreamCall, receive: Receive) -> None:
        """Make one call; see `gateway.core.ports.Upstream`."""
        call.on_sent()
        call = replace(call, timeout=min(call.timeout, self._total))
        show, line = self.provider.receive({**call.body, "stream": call.stream})
        call.on_named(line.id)
        performance = _Performance(call, receive, show, line, self._first_token, self._silence)
        try:
            await performance.play()
        finally:
            if performance.over:
                self.provider.finish(line)
            else:
                self.provider.left(line, performance.quiet)

    async def aclose(self) -> None:
        """Close the log; there are no connections."""
        self.provider.log.close()


class _Performance:
    """One reply under way. `over` says that the provider had done all it was going to do."""

    def __init__(
        self,
        call: UpstreamCall,
        receive: Receive,
        show: Show,
        line: Line,
        first_token: float,
        silence: float,
    ) -> None:
        self._call = call
        self._receive = receive
        self._show = show
        self._line = line
        self._first_token = first_token
        self._silence = silence
        self._now = asyncio.get_running_loop().time
        self._began = self._now()
        self._last = 0.0
        self._open: set[int] = set()
        self._begun = False
        self.over = False

    @property
    def quiet(self) -> float:
        """Seconds since the last piece, or since the request."""
        return self._now() - (self._last or self._began)

    async def play(self) -> None:
        await asyncio.sleep(0)  # a reply never comes before its request could be cancelled
        if self._show.framing == "drip":
            await self._wait(Wait(math.inf))
        for step in self._show.steps:
            if isinstance(step, Wait):
                await self._wait(step)
            elif not await (self._part(step) if isinstance(step, Part) else self._mark(step)):
                return

    async def _wait(self, wait: Wait) -> None:
        """Let time pass, at most until a limit does. Raises UpstreamTimeout."""
        now = self._now()
        limit, phase = self._began + self._call.timeout, "total"
        patience = self._last + self._silence if self._last else self._began + self._first_token
        if patience < limit:
            limit, phase = patience, "silence" if self._last else "first token"
        late = now + wait.seconds > limit
        seconds = max(limit - now, 0.0) if late else wait.seconds
        try:
            await asyncio.sleep(min(seconds, _DAY))
        finally:
            share = min((self._now() - now) / wait.seconds, 1.0) if wait.seconds else 1.0
            self._line.tokens += int(wait.tokens * share) if share < 1 else wait.tokens
        if late:
            raise UpstreamTimeout(f"The upstream was too slow ({phase}).")

    async def _mark(self, mark: Step) -> bool:
        """Pass a moment of the reply; False at its proper end."""
        if mark is Mark.HEAD:
            self._check_head()
            return True
        self.over = True
        if mark is not Mark.END:
            raise failures.nonsense("the connection was lost before its end")
        if self._call.stream:
            self._check_end(marked=False)
        return False

    def _check_head(self) -> None:
        show = self._show
        head_size = sum(len(name) + len(value) for name, value in show.headers)
        if head_size > LARGEST_HEAD:
            raise self._unusable("its head is too large")
        if show.status != 200:
            self.over = True
            body = b"".join(step.data for step in show.steps if isinstance(step, Part))
            headers = {name.encode(): value.encode() for name, value in show.headers}
            raise failures.from_reply(show.status, headers, body)
        if any(name == "content-encoding" for name, _ in show.headers):
            raise self._unusable("it is compressed")
        self._last = self._now()

    async def _part(self, part: Part) -> bool:
        """Pass on one piece; False when that was the last wanted."""
        if not self._call.stream:
            return await self._body(part)
        if part.data == DONE:
            self.over = True
            self._check_end(marked=True)
            return False
        self._told(part)
        if len(part.data) > LARGEST_EVENT:
            raise self._unusable("an event is too large")
        if not self._show.streams:
            raise self._unusable("it is not the stream that was asked for")
        delta = self._delta(part.data)
        for piece in delta.pieces:
            self._begun = True
            (self._open.discard if piece.finish else self._open.add)(piece.index)
        return await self._receive(delta)

    def _delta(self, data: bytes) -> Delta:
        try:
            return event_delta(
                data,
                strip_usage=self._call.strip_usage,
                strip_logprobs=self._call.strip_logprobs,
            )
        except UpstreamError:
            self.over = True  # the fault has had its effect: nobody left early
            raise

    async def _body(self, part: Part) -> bool:
        if self._show.promised is not None:
            return True  # a body that ends early, or never: what follows decides
        self._told(part)
        self.over = True
        if len(part.data) > LARGEST_BODY:
            raise self._unusable("its body is too large")
        await self._receive(plain_delta(part.data, strip_logprobs=self._call.strip_logprobs))
        return False

    def _told(self, part: Part) -> None:
        self._last = self._now()
        self._line.tokens += part.tokens
        self._line.usage = part.usage or self._line.usage

    def _check_end(self, *, marked: bool) -> None:
        if not self._begun:
            raise failures.nonsense("its stream has no choices")
        if not marked and self._open:
            raise failures.nonsense("its stream ended early")

    def _unusable(self, what: str) -> Exception:
        self.over = True
        return failures.nonsense(what)
