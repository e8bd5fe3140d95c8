"""Who is asking, and what they may do. Keys are kept as hashes and compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from gateway.api.http import Scope, header
from gateway.core.errors import BadRequest, Forbidden, Unauthorized
from gateway.core.limits import Limits

EVERYTHING = frozenset({"tier", "threshold", "mode"})
_LOCAL_HOST = re.compile(rb"(?i:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?")


@dataclass(frozen=True, slots=True)
class Key:
    """A key: SHA-256 `digest` of its text, the `routes` it may use (None: all), and the
    overrides it may send, and the `limits` on it. It `expires` at a UNIX time."""

    name: str
    digest: bytes
    routes: frozenset[str] | None = None
    allow: frozenset[str] = frozenset()
    limits: Limits | None = None
    expires: float | None = None

    def require(self, override: str, param: str | None = None) -> None:
        """Raise Forbidden unless this key may send that override; `param` is where it stood."""
        if override not in self.allow:
            raise Forbidden(
                f"This key may not set the {override}. Add {override!r} to its `allow`.",
                param=param or f"x-waterfall-{override}",
            )


OPEN = Key("", b"", None, EVERYTHING)
"""Who everybody is while no keys are configured."""


def bearer(scope: Scope) -> str | None:
    """Return the bearer token of the Authorization header, if that is what it holds."""
    scheme, _, token = (header(scope, b"authorization") or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


class Stored(Protocol):
    """Keys that come and go while the gateway runs."""

    def find(self, token: str) -> Key | None:
        """Return a key that is good. Raises Unauthorized for one that is so no more, and NotReady
        for one that is not known while the store is not to be had."""
        ...


@dataclass(frozen=True, slots=True)
class Keys:
    """The configuration's, and those of the store where there is one."""

    fixed: tuple[Key, ...] = ()
    stored: Stored | None = None

    def __bool__(self) -> bool:
        return bool(self.fixed) or self.stored is not None

    def __iter__(self) -> Iterator[Key]:
        return iter(self.fixed)


def authenticate(scope: Scope, keys: Iterable[Key], stored: Stored | None = None) -> Key:
    """Return the key that was sent. Raises Unauthorized, or what the store does.

    Every key is compared, whether or not one has matched, so that time tells nothing.
    """
    token = bearer(scope) or header(scope, b"x-api-key")
    if not token:
        raise Unauthorized("Send your key as `Authorization: Bearer <key>`, or as `x-api-key`.")
    digest = hashlib.sha256(token.encode("latin-1", "replace")).digest()
    found = [key for key in keys if hmac.compare_digest(key.digest, digest)]
    own = stored.find(token) if stored is not None and not found else None
    if not found and own is None:
        raise Unauthorized("This key is not known here.")
    if own is not None and any(key.name == own.name for key in keys):
        # Budgets and replies are kept by a key's name, so there can be but one of each.
        raise Unauthorized(
            f"The configuration has had a key {own.name!r} since this one was made, and that is "
            "the one that is good. Give the configuration's another name.",
            code="key_name_taken",
        )
    return own or found[0]


def identify(scope: Scope, keys: Keys) -> Key:
    """Return who is asking: by key where keys are configured, else anyone at this machine.

    Raises Unauthorized, or BadRequest for a foreign Host while no key protects us (a web page
    could otherwise reach us under a name of its own).
    """
    if keys:
        return authenticate(scope, keys.fixed, keys.stored)
    require_local_host(scope)
    return OPEN


@lru_cache
def _is_local(host: bytes) -> bool:
    return _LOCAL_HOST.fullmatch(host) is not None


def require_local_host(scope: Scope) -> None:
    """Raise BadRequest unless the Host header names this machine's loopback."""
    names = []
    for key, value in scope["headers"]:
        if key == b"host":
            names.append(value)
    if len(names) != 1 or not _is_local(names[0]):
        raise BadRequest(
            "Without keys this gateway answers only to localhost. Configure `keys` to serve "
            "it under another name.",
            code="host_not_allowed",
        )
