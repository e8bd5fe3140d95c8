"""An upstream that answers before it has thought, so that only what stands before it costs.

    python -m loadtests.instant

prints `listening URL`. It answers any chat completion with 700 bytes, or with a stream of 50
chunks. `pace=FIRST/GAP/CHUNKS` anywhere in a prompt sets the milliseconds to the first chunk and
between two, and how many there are: a prompt reaches the upstream through every proxy there is,
where model names and headers do not. It logs nothing and counts nothing.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, cast

import orjson
import uvloop

_PACE = re.compile(rb"pace=(\d+)/(\d+)/(\d+)")
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_STREAM = re.compile(rb'"stream": *true')
_ODDS = re.compile(rb'"logprobs": *true')
_USAGE = re.compile(rb'"include_usage": *true')
_CHUNKS = 50
_WORDS = 60
_EVENTS = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)


def _usage(tokens: int) -> dict[str, int]:
    return {"prompt_tokens": 100, "completion_tokens": tokens, "total_tokens": 100 + tokens}


def _word(place: int) -> str:
    return f" copper{place}"  # no word twice: a draft that repeats itself may be judged by that


def _odds(words: list[str]) -> dict[str, object]:
    rows = [{"token": w, "logprob": -0.05, "bytes": None, "top_logprobs": []} for w in words]
    return {"content": rows, "refusal": None}


@lru_cache
def plain(*, odds: bool) -> bytes:
    """Write the plain reply, head and all."""
    words = [_word(place) for place in range(_WORDS)]
    choice: dict[str, object] = {
        "index": 0,
        "message": {"role": "assistant", "content": "".join(words).strip()},
        "finish_reason": "stop",
    }
    if odds:
        choice["logprobs"] = _odds(words)
    made = {"id": "chatcmpl-instant", "object": "chat.completion", "created": 1_700_000_000}
    body = orjson.dumps({**made, "model": "m", "choices": [choice], "usage": _usage(_WORDS)})
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % len(body) + body


@lru_cache
def chunks(count: int, *, odds: bool, usage: bool) -> tuple[bytes, ...]:
    """Write a stream's pieces, framed: `count` chunks of text; the end comes with the last."""
    head = {"id": "chatcmpl-instant", "object": "chat.completion.chunk", "created": 1_700_000_000}
    row = []
    for place in range(count):
        word = _word(place)
        choice: dict[str, object] = {"index": 0, "delta": {"content": word}, "finish_reason": None}
        if place == 0:
            choice["delta"] = {"role": "assistant", "content": word.strip()}
        if odds:
            choice["logprobs"] = _odds([word])
        row.append(_event({**head, "model": "m", "choices": [choice]}))
    stop = {"index": 0, "delta": {}, "finish_reason": "stop"}
    end = _event({**head, "model": "m", "choices": [stop]})
    if usage:
        end += _event({**head, "model": "m", "choices": [], "usage": _usage(count)})
    row[-1] += end + _framed(b"data: [DONE]\n\n") + b"0\r\n\r\n"
    return tuple(row)


def _event(data: dict[str, object]) -> bytes:
    return _framed(b"data: %b\n\n" % orjson.dumps(data))


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Served(asyncio.Protocol):
    """One connection; requests come one after the other."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)
        self.had = bytearray()
        self.timer: asyncio.TimerHandle | None = None

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """Stop streaming to nobody."""
        if self.timer is not None:
            self.timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Gather a request; answer it when it is whole."""
        self.had += data
        end = self.had.find(b"\r\n\r\n")
        if end < 0:
            return
        length = _LENGTH.search(self.had, 0, end)
        if len(self.had) < end + 4 + (int(length[1]) if length else 0):
            return
        request = bytes(self.had)
        self.had.clear()
        self._answer(request)

    def _answer(self, request: bytes) -> None:
        if request.startswith(b"GET "):
            self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            return
        paced, odds = _PACE.search(request), bool(_ODDS.search(request))
        first, gap, count = map(int, paced.groups()) if paced else (0, 0, _CHUNKS)
        if _STREAM.search(request):
            row = chunks(max(1, count), odds=odds, usage=bool(_USAGE.search(request)))
            self._later(first, self._open, row, gap / 1e3)
        else:
            # As long as the same reply would take in pieces.
            self._later(first + gap * (count - 1), self.transport.write, plain(odds=odds))

    def _later(self, after: int, step: Callable[..., None], *given: Any) -> None:
        if after:
            self.timer = asyncio.get_running_loop().call_later(after / 1e3, step, *given)
        else:
            step(*given)

    def _open(self, row: tuple[bytes, ...], gap: float) -> None:
        if not gap:
            self.transport.write(_EVENTS + b"".join(row))
            return
        self.transport.write(_EVENTS + row[0])
        # Each chunk is due at its own time: a late one does not make those behind it late.
        due = asyncio.get_running_loop().time() + gap
        self._next(row, 1, due, gap)

    def _next(self, row: tuple[bytes, ...], place: int, due: float, gap: float) -> None:
        if place < len(row):
            loop = asyncio.get_running_loop()
            self.timer = loop.call_at(due, self._chunk, row, place, due, gap)

    def _chunk(self, row: tuple[bytes, ...], place: int, due: float, gap: float) -> None:
        if not self.transport.is_closing():
            self.transport.write(row[place])
            self._next(row, place + 1, due + gap, gap)


async def serve() -> None:
    """Serve until the process is ended."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Served, "127.0.0.1", 0, backlog=4096)
    print(f"listening http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve())
