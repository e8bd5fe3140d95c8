"""Tells equal prompts without keeping them: a hash that nobody can make who has not the key."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import blake2b, sha256

from gateway.core.chat import ChatRequest

SIZE = 16
"""Bytes of a hash: two of a billion prompts are the same with a chance of one in 10^20."""


def _no_hash(_: ChatRequest) -> str:
    return ""


def hasher(secret: str | None) -> Callable[[ChatRequest], str]:
    """Make what hashes a request's messages, whole and in their order, with a secret, into SIZE
    bytes in hex; without a secret, into nothing. What else was asked (model, tools, temperature) is
    not in it, nor is the order of a message's fields."""
    if secret is None:
        return _no_hash
    key = sha256(secret.encode()).digest()

    def prompt_hash(request: ChatRequest) -> str:
        # Unlike its order, a message's text is what it is: nothing is normalised. ASCII, so that
        # half a surrogate pair, which JSON may hold, has bytes too.
        whole = json.dumps(request.messages, sort_keys=True, separators=(",", ":"))
        return blake2b(whole.encode("ascii"), digest_size=SIZE, key=key).hexdigest()

    return prompt_hash
