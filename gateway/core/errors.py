"""Every error this gateway raises on purpose; each class knows its HTTP status and its wire names.

GatewayError                      status  type
├── BadRequest                    400     invalid_request_error   the client's own mistake
│   ├── BodyTooLarge              413     (408, 414 and 431 are in core.arrival)
│   ├── UnsupportedMedia          415
│   └── CeilingTooLow             400     no call fits the request's own dollar ceiling
├── Unauthorized                  401     authentication_error
├── Forbidden                     403     permission_error
├── NotFound                      404     not_found
├── Conflict                      409     conflict                the same request is under way
├── NotReady                      503     overloaded
├── Overloaded                    503     overloaded              one request too many at once
├── RateLimited                   429     rate_limit_error        a limit of key or route is used up
├── BudgetSpent                   429     insufficient_quota      a budget of key or route is spent
├── LimitsUnknown                 503     overloaded              ... or nobody can say
├── UpstreamError                 502     upstream_error          one tier could not answer
│   ├── UpstreamRejected          4xx     the client's own fault: a bigger model won't help
│   │   ├── ContextTooLong        400     ... unless the next tier's window is larger
│   │   ├── ContentRefused        400     ... unless the next tier's moderation differs
│   │   ├── CannotCarry           400     ... unless the next tier speaks another dialect
│   │   └── NotFoundThere         404     ... unless the next tier's upstream has what it names
│   ├── UpstreamBusy              429     rate_limit_error
│   ├── UpstreamOverloaded        503     overloaded
│   ├── UpstreamTimeout           504     timeout
│   ├── UpstreamRefusedUs         502     it refused *our* credentials or model name
│   └── UpstreamDown              502     no connection, a 5xx, or nonsense on the wire
├── Exhausted                     varies  every tier failed; carries each failure in order
├── StreamBroken                  502     failed after bytes had reached the client
└── DeadlineExceeded              504     the request's own deadline passed
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class GatewayError(Exception):
    """Something went wrong that a client should hear of, in words it can act on."""

    status = 500
    type = "internal_error"
    code: str | None = None

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        """`param` names the request field at fault; `retry_after` is in seconds."""
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after = retry_after
        self.headers: Sequence[tuple[bytes, bytes]] = ()
        """What an answer with it says beside that."""
        self.code = self.code if code is None else code

    def body(self) -> dict[str, Any]:
        """Return the error in OpenAI's shape."""
        told = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return {"error": told}


class BadRequest(GatewayError):
    """The client's own mistake."""

    status, type = 400, "invalid_request_error"


class BodyTooLarge(BadRequest):
    """The request's body is over the configured size."""

    status, code = 413, "body_too_large"


class UnsupportedMedia(BadRequest):
    """The body is not plain JSON."""

    status, code = 415, "unsupported_media_type"


class CeilingTooLow(BadRequest):
    """Not even the cheapest call is expected to fit the dollar ceiling."""

    code = "max_cost_too_low"


class Unauthorized(GatewayError):
    """No key, or not one of ours."""

    status, type, code = 401, "authentication_error", "invalid_api_key"


class Forbidden(GatewayError):
    """A valid key that may not do this."""

    status, type, code = 403, "permission_error", "not_allowed"


class NotFound(GatewayError):
    """No such model, route or path."""

    status, type, code = 404, "not_found", "not_found"


class MethodNotAllowed(BadRequest):
    """The path exists, the method does not."""

    status, code = 405, "method_not_allowed"


class NotReady(GatewayError):
    """The gateway is starting or draining."""

    status, type, code = 503, "overloaded", "not_ready"


class Conflict(GatewayError):
    """The same request is under way already."""

    status, type, code = 409, "conflict", "request_in_progress"


class RateLimited(GatewayError):
    """A key or route has used up what it may in this time."""

    status, type, code = 429, "rate_limit_error", "rate_limit_exceeded"


class BudgetSpent(GatewayError):
    """A budget of a key or route does not reach for this request; trying again does not help."""

    status, type, code = 429, "insufficient_quota", "insufficient_quota"


class LimitsUnknown(GatewayError):
    """What is left of a limit cannot be told, and it is one that lets nothing pass then."""

    status, type, code = 503, "overloaded", "limits_unavailable"


class Overloaded(GatewayError):
    """More is under way than the gateway takes on at once."""

    status, type, code = 503, "overloaded", "overloaded"


class UpstreamError(GatewayError):
    """One call to one tier failed."""

    status, type = 502, "upstream_error"
    code: str | None = "upstream_error"
    kind = "bad_response"
    """A bounded name for logs and metrics."""
    falls_through = True
    """May the cascade try another tier?"""
    lasting = False
    """Would the same call surely fail so again?"""

    @property
    def has_own_code(self) -> bool:
        """Is its code the upstream's, for a limit of its own or a model that it has not?"""
        return self.kind in {"rate_limited", "auth"} and self.code != type(self).code


class UpstreamRejected(UpstreamError):
    """The upstream says the request itself is wrong; its status, code and param are kept."""

    status, type, code = 400, "invalid_request_error", None
    kind = "rejected"
    falls_through = False

    def __init__(
        self, message: str, *, status: int = 400, param: str | None = None, code: str | None = None
    ) -> None:
        """`status` is the upstream's own: 400, 404, 413 or 422."""
        super().__init__(message, param=param, code=code)
        self.status = status


class ContextTooLong(UpstreamRejected):
    """The prompt does not fit this model's window; a tier with a larger one may take it."""

    kind, falls_through = "context_length", True


class ContentRefused(UpstreamRejected):
    """The upstream's moderation refused; another tier's may not."""

    kind, falls_through = "content_filter", True


class CannotCarry(UpstreamRejected):
    """The tier's dialect cannot say what the request asks for; another tier's may."""

    kind, falls_through = "unsupported", True

    def __init__(self, message: str, *, param: str | None = None) -> None:
        """`param` names the request field at fault."""
        super().__init__(message, param=param, code="unsupported_by_dialect")


class NotFoundThere(UpstreamRejected):
    """The upstream has not what the request names (a file, an item); another's may."""

    type, kind, falls_through = "not_found", "not_found", True


class UpstreamBusy(UpstreamError):
    """Rate limited (429)."""

    status, type, code = 429, "rate_limit_error", "rate_limited"
    kind = "rate_limited"


class UpstreamOverloaded(UpstreamError):
    """Overloaded (503, 529)."""

    status, type, code = 503, "overloaded", "upstream_overloaded"
    kind = "overloaded"


class NotAsked(UpstreamOverloaded):
    """Nobody was asked: the upstream is left alone, or has all the calls it is given, or the
    gateway has no socket for one more. To wait and ask there again would only be a longer line."""


class UpstreamTimeout(UpstreamError):
    """Too slow: to connect, to its first token, between tokens, or as a whole."""

    status, type, code = 504, "timeout", "upstream_timeout"
    kind = "timeout"


class UpstreamRefusedUs(UpstreamError):
    """Our credentials (401, 403) or our model name (404) were refused: our fault, never theirs."""

    code, kind = "upstream_refused_gateway", "auth"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        credentials: bool = False,
        sure: bool = False,
    ) -> None:
        """`credentials`: it is surely those; `sure`: our model or address, whoever asks."""
        super().__init__(message, code=code)
        self.credentials, self.sure = credentials, sure


class UpstreamDown(UpstreamError):
    """No connection, a broken one, a 5xx, or nonsense on the wire."""

    code = "upstream_down"
    kind = "connect"

    def __init__(self, message: str, *, kind: str = "connect", lasting: bool = False) -> None:
        """`kind`: connect, server or bad_response."""
        super().__init__(message)
        self.kind, self.lasting = kind, lasting


UNBILLED = frozenset(
    "rejected context_length content_filter unsupported not_found rate_limited overloaded auth "
    "server connect".split()
)
"""Kinds of failure for which nothing is billed; after any other, what was used is estimated."""


class StreamBroken(GatewayError):
    """The served tier failed after bytes had reached the client: there is no second chance."""

    status, type, code = 502, "upstream_error", "stream_broken"


class DeadlineExceeded(GatewayError):
    """The request's own deadline passed before any tier had answered."""

    status, type, code = 504, "timeout", "deadline_exceeded"


class Exhausted(GatewayError):
    """Every tier failed; `failures` holds (tier name, error) in the order they came."""

    def __init__(self, failures: Sequence[tuple[str, UpstreamError]]) -> None:
        """Take the status that tells the client most about what to do next; and the upstreams' own
        code for a limit or the lack of a model, where they agree."""
        told = "; ".join(f"{tier}: {error.message}" for tier, error in failures)
        codes = {error.code if error.has_own_code else None for _, error in failures}
        code = (codes.pop() if len(codes) == 1 else None) or "exhausted"
        super().__init__(f"Every tier failed. {told}", code=code)
        self.failures = tuple(failures)
        errors = [error for _, error in failures]
        waits = [error.retry_after for error in errors if error.retry_after is not None]
        if all(isinstance(error, UpstreamTimeout) for error in errors):
            self.status, self.type = 504, "timeout"
        elif all(isinstance(error, UpstreamBusy) for error in errors):
            self.status, self.type = 429, "rate_limit_error"
            self.retry_after = min(waits, default=1.0)
        elif any(isinstance(error, UpstreamOverloaded) for error in errors):
            self.status, self.type = 503, "overloaded"
            self.retry_after = min(waits, default=1.0)
        else:
            self.status, self.type = 502, "upstream_error"

    def body(self) -> dict[str, Any]:
        """Return OpenAI's shape with each attempt's failure under `attempts`."""
        body = super().body()
        body["error"]["attempts"] = [
            {"tier": tier, "type": error.type, "code": error.code, "message": error.message}
            for tier, error in self.failures
        ]
        return body
