"""`POST /v1/messages/count_tokens`: how long a prompt is, by the upstream that would be asked.

It is a request among those under way and of its key's, and has no record: it uses no tokens and
costs nothing.
"""

from __future__ import annotations

from gateway.api import headers
from gateway.api.auth import identify
from gateway.api.crowding import Place
from gateway.api.http import ClientGone, Receive, Scope, Send, answer_error, answer_json, read_json
from gateway.api.http import request_id as id_of
from gateway.api.planning import Arrival, Clocks, plan_job
from gateway.api.service import Switch
from gateway.api.spending import admit_passing
from gateway.api.voice import error_body, id_headers
from gateway.core.errors import GatewayError, UpstreamError
from gateway.core.ledger import refusal
from gateway.dialects.messages import MESSAGES

_ESTIMATED = (b"x-waterfall-estimated", b"true")


class CountTokens:
    """The endpoint, as plain ASGI. It plans, and asks nobody for an answer."""

    def __init__(self, switch: Switch, clocks: Clocks) -> None:
        """`switch` holds the service in force."""
        self._switch, self._clocks = switch, clocks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request: as the tier counts where the plan starts, else by an estimate, which
        a header says."""
        at, own_id = self._clocks.monotonic(), self._clocks.new_id()
        known_as = id_of(scope, own_id)
        ids = [*headers.ids(known_as), *id_headers(MESSAGES, known_as)]
        service = self._switch.service
        with Place(self._switch.room, service.in_flight, receive) as place:
            try:
                key = identify(scope, service.keys)
                place.look()
                body = await read_json(scope, place.receive, service.max_body, service.caps)
                place.take()
                arrival = Arrival(scope, key, at, own_id, known_as, MESSAGES)
                # What is counted has no reply to be bounded. The body itself stays as it came.
                bounded = body if "max_tokens" in body else {**body, "max_tokens": 1}
                job = plan_job(service, self._clocks, arrival, bounded)
                await admit_passing(service.admission, key, own_id, 0)
            except ClientGone:
                return
            except GatewayError as error:
                service.meter.refuse(refusal(known_as, self._clocks.wall(), error))
                await answer_error(send, error, ids, error_body(MESSAGES, error, known_as))
                return
            try:
                counted = await service.engine.count(job)
            except UpstreamError:
                counted = None
            finally:
                if service.admission is not None:
                    service.admission.settle_free(own_id)
            told = {"input_tokens": job.signals.prompt_tokens if counted is None else counted}
            ids += headers.decision(job)
            await answer_json(send, 200, told, [*ids, _ESTIMATED] if counted is None else ids)
