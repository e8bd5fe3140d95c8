"""What a wire is to whoever carries it: where it is spoken, how a call is written, how a reply is
read. And the first of them, OpenAI's chat completions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import orjson

from gateway.core.chat import Delta
from gateway.core.ports import UpstreamCall
from gateway.upstreams.wire import event_delta, plain_delta


class Reader(Protocol):
    """Reads one stream's events; `ended` once the last one has come, which may have left a `last`
    delta beside its own."""

    ended: bool
    last: Delta | None

    def read(self, data: bytes) -> Delta | None:
        """Read one event's data; None where it says nothing. Raises UpstreamError."""
        ...


@dataclass(frozen=True, slots=True)
class Speech:
    """One wire. `path` is under the base URL; `write` returns a call's body and the headers that
    it needs beside the upstream's own; `plain` reads a whole reply. `alike` says that each event
    can be read by itself, and that most differ in their text alone."""

    path: str
    write: Callable[[UpstreamCall], tuple[bytes, bytes]]
    plain: Callable[[bytes, UpstreamCall], Delta]
    reader: Callable[[UpstreamCall], Reader]
    alike: bool = False


class _ChatReader:
    __slots__ = ("_strip_logprobs", "_strip_usage", "ended", "last")

    def __init__(self, call: UpstreamCall) -> None:
        self._strip_usage, self._strip_logprobs = call.strip_usage, call.strip_logprobs
        self.ended = False
        self.last: Delta | None = None

    def read(self, data: bytes) -> Delta | None:
        if data == b"[DONE]":
            self.ended = True
            return None
        return event_delta(data, strip_usage=self._strip_usage, strip_logprobs=self._strip_logprobs)


def _write(call: UpstreamCall) -> tuple[bytes, bytes]:
    return orjson.dumps(call.body), b""


def _plain(raw: bytes, call: UpstreamCall) -> Delta:
    return plain_delta(raw, strip_logprobs=call.strip_logprobs)


CHAT = Speech("/chat/completions", _write, _plain, _ChatReader, alike=True)
