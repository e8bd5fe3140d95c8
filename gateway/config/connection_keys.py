"""The shape of how an upstream that is spoken to over HTTP is connected to."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import PlainValidator

from gateway.config.draft import Draft
from gateway.config.fields import Flag, whole
from gateway.config.resilience_keys import ResilienceKeys

MOST_WARM = 64
"""Connections that one process opens ahead of use, to one upstream."""


def proxy_url(value: object) -> str | None:
    """A proxy's URL, whose user and password are percent-encoded; empty means none."""
    if value == "":
        return None
    told = "must be http(s)://host:port, or http(s)://user:password@host:port with both encoded"
    if not isinstance(value, str) or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError(told)
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError(told) from None
    further = parts.path.strip("/") or parts.query or parts.fragment
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port or further:
        raise ValueError(told)
    return str(value)


class ConnectionKeys(ResilienceKeys):
    """What a server that is reached over HTTP has beside all upstreams."""

    warm: Annotated[int, PlainValidator(whole(0, MOST_WARM))] = 2
    proxy: Annotated[str | None, PlainValidator(proxy_url)] = None
    http2: Flag = False


def connecting(draft: Draft, entry: str, keys: ConnectionKeys, url: str) -> dict[str, Any]:
    """Return what of an upstream's settings is about its connections to `url`."""
    trail = ("upstreams", entry)
    if keys.http2 and url.startswith("http:"):
        draft.complain((*trail, "http2"), "takes an https:// base_url, where it is agreed on")
    if keys.warm and "warm" in keys.model_fields_set and (keys.proxy or keys.http2):
        told = "means nothing with proxy or http2, whose connections calls make; remove it"
        draft.complain((*trail, "warm"), told)
    return {"warm": keys.warm, "proxy": keys.proxy, "http2": keys.http2}
