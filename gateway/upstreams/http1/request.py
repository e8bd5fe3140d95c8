"""Renders a request's head, and refuses whatever could smuggle a second request."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_PATH = re.compile(r"/[\x21-\x22\x24-\x7e]*")
# Framing and connection handling are the client's own; a caller's second opinion would
# desynchronise the connection, and an encoded reply could not be read.
_OURS = frozenset(
    (
        b"host content-length transfer-encoding connection keep-alive proxy-connection "
        b"upgrade te trailer expect accept-encoding"
    ).split()
)

Headers = bytes | Sequence[tuple[bytes, bytes]]


def _checked_line(name: bytes, value: bytes) -> bytes:
    if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
        raise ValueError(f"illegal header {name[:40]!r}")
    if name.lower() in _OURS:
        raise ValueError(f"the header {name[:40]!r} is set by the client")
    return b"%b: %b\r\n" % (name, value.strip(b" \t"))


def _split(block: bytes) -> list[tuple[bytes, bytes]]:
    if not block:
        return []
    if not block.endswith(b"\r\n"):
        raise ValueError("a header block ends in CRLF")
    lines = [line.partition(b":") for line in block[:-2].split(b"\r\n")]
    if not all(colon for _, colon, _ in lines):
        raise ValueError("a header line has a colon")
    return [(name, value) for name, _, value in lines]


def _render(host: bytes, method: str, path: str, headers: Headers) -> bytes:
    name = method.encode("ascii", "replace")
    if not _TOKEN.fullmatch(name) or name == b"CONNECT" or not _PATH.fullmatch(path):
        raise ValueError(f"illegal request line {method[:20]!r} {path[:80]!r}")
    pairs = _split(headers) if isinstance(headers, bytes) else headers
    lines = b"".join([_checked_line(key, value) for key, value in pairs])
    start = b"%b %b HTTP/1.1\r\nhost: %b\r\naccept-encoding: identity\r\n"
    return start % (name, path.encode("ascii"), host) + lines


# Most requests of an upstream have the same head, so it is checked once: 4 us a request less.
_render_once = lru_cache(maxsize=256)(_render)


def request_head(host: bytes, method: str, path: str, headers: Headers, length: int) -> bytes:
    """The head of a request whose body has `length` bytes.

    `headers` is a block of lines each ending in CRLF, or pairs; a block or a tuple of pairs is
    checked only the first time it is seen. Raises ValueError for bytes that have no place in a head
    and for headers that belong to the client (framing, `host`, `accept-encoding`).
    """
    render = _render if isinstance(headers, list) else _render_once
    head = render(host, method, path, headers)
    if not length and method in {"GET", "HEAD", "OPTIONS"}:
        return head + b"\r\n"
    return b"%bcontent-length: %d\r\n\r\n" % (head, length)
