"""The body of an error that came compressed, though nobody asked: some front doors do so."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

MOST = 64 * 1024
"""Bytes that are unpacked: a few of a packed body can stand for gigabytes."""
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


def unpacked(headers: Mapping[bytes, bytes], body: bytes) -> bytes:
    """Return an error's body in plain bytes, as far as it came; nothing where it cannot be read.

    Reads gzip and deflate (RFC 9110, 8.4.1; deflate also without zlib's frame, as some send it).
    """
    coding = headers.get(b"content-encoding", b"identity").strip().lower()
    if coding == b"identity":
        return body
    if coding in {b"gzip", b"x-gzip"}:
        return _inflated(body, _GZIP_OR_ZLIB)
    if coding == b"deflate":
        return _inflated(body, _GZIP_OR_ZLIB) or _inflated(body, -zlib.MAX_WBITS)
    return b""


def _inflated(body: bytes, window: int) -> bytes:
    try:
        return zlib.decompressobj(window).decompress(body, MOST)
    except zlib.error:
        return b""
