"""Errors of requests that did not arrive: too slow, or with a head out of bounds."""

from __future__ import annotations

from gateway.core.errors import BadRequest


class TooSlow(BadRequest):
    """The request did not arrive in time."""

    status, code = 408, "request_timeout"


class UrlTooLong(BadRequest):
    """The request's URL is over its bound."""

    status, code = 414, "url_too_long"


class HeadTooLarge(BadRequest):
    """The request's headers are too many, or too large."""

    status, code = 431, "headers_too_large"
