"""The simulated provider without a wire: a request's body in, a reply staged in time out."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from gateway.upstreams.simulated.behaviour import Behaviour, Pace
from gateway.upstreams.simulated.faults import spoil
from gateway.upstreams.simulated.generate import last_prompt, speak
from gateway.upstreams.simulated.log import CLOSED_BY_PEER, COMPLETE, DECLINED, CallLog, Line
from gateway.upstreams.simulated.refusals import Declined, admit
from gateway.upstreams.simulated.script import REPLY_FAULTS, Director
from gateway.upstreams.simulated.show import Show, error_show, stage

DIRECTIVE = "simulate"
"""The body field by which a request says what shall go wrong: a fault, or `{model: fault}`."""


class Provider:
    """One provider's life: its behaviour, where its script has got to, its log."""

    def __init__(self, behaviour: Behaviour, log: CallLog) -> None:
        self.log = log
        self.direct(behaviour)

    def direct(self, behaviour: Behaviour) -> None:
        """Behave like this from now on; the script starts over."""
        self.behaviour = behaviour
        self._director = Director(behaviour.seed, behaviour.rules)
        self._count = 0

    def receive(
        self,
        body: Mapping[str, Any],
        *,
        directive: str | None = None,
        request_id: str | None = None,
        refusal: Declined | None = None,
    ) -> tuple[Show, Line]:
        """Take one request: write it down, then decide everything about the answer.

        `directive` goes before the body's own; `refusal` is what the wire already found wrong.
        """
        self._count += 1
        user = body.get("user")
        line = self.log.open(
            str(body.get("model", "")),
            stream=bool(body.get("stream")),
            request_id=request_id,
            user=user if isinstance(user, str) else None,
        )
        try:
            if refusal is not None:
                raise refusal
            admit(body)
            show = self._stage(body, directive, line)
        except Declined as declined:
            line.fault = DECLINED
            show = error_show(declined.status, declined.body())
        line.status = show.status
        return show, line

    def _stage(self, body: Mapping[str, Any], directive: str | None, line: Line) -> Show:
        try:
            fault = self._director.fault(
                body["model"], last_prompt(body), directive or body.get(DIRECTIVE)
            )
        except ValueError as error:
            raise Declined(400, str(error), "invalid_value", DIRECTIVE) from error
        twist = fault.kind if fault is not None and fault.kind in REPLY_FAULTS else ""
        speech = speak(self.behaviour, body, twist)
        model = self.behaviour.model(speech.model)
        pace = model.pace if model is not None else Pace()
        timed = pace.first_token or pace.per_token
        random = Random(f"{self.behaviour.seed} {self._count}") if timed else None
        show = stage(speech, body, line.id, int(line.received_at), pace, random)
        if fault is None:
            return show
        line.fault = fault.kind
        return spoil(show, fault)

    def finish(self, line: Line) -> None:
        """Write down that the reply went as it should, or as its fault would have it."""
        self.log.end(line, line.fault or COMPLETE)

    def left(self, line: Line, since_write: float) -> None:
        """Write down that the peer went away, so many seconds after the last byte to it."""
        line.closed_after_ms = round(since_write * 1000, 3)
        self.log.end(line, CLOSED_BY_PEER)
