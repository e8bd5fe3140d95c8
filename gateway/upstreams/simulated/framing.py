"""A staged reply as bytes of HTTP/1.1, in good form or in a legal but odd one."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from http import HTTPStatus

from gateway.upstreams.simulated.show import JSON, Mark, Part, Show, Step, Wait

_LAST_CHUNK = b"0\r\n\r\n"


def head(show: Show, *, keep_alive: bool, named: str = "") -> bytes:
    """Write the status line and the headers, with what the request is `named` if anything. Streams
    are chunked, bodies counted."""
    if show.streams:
        length = "transfer-encoding: chunked\r\ncache-control: no-store"
    else:
        size = sum(len(step.data) for step in show.steps if isinstance(step, Part))
        length = f"content-length: {show.promised if show.promised is not None else size}"
    lines = [_status_line(show.status), f"content-type: {show.content_type}", length]
    lines += [f"{name}: {value}" for name, value in show.headers]
    if named:
        lines.append(f"x-request-id: {named}")
    if not keep_alive:
        lines.append("connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


@lru_cache(maxsize=64)
def _status_line(status: int) -> str:
    phrases = {known.value: known.phrase for known in HTTPStatus}
    return f"HTTP/1.1 {status} {phrases.get(status, 'Overloaded')}"


def frame(show: Show, part: Part) -> bytes:
    """Write one part: an event in a chunk of its own, or bytes of a body."""
    if not show.streams:
        return part.data
    if show.framing == "raw":
        return _chunk(part.data)
    if show.framing == "odd":
        return b"".join(map(_chunk, _pieces(_odd_event(part.data))))
    return b"%x\r\ndata: %s\n\n\r\n" % (len(part.data) + 8, part.data)


def tail(show: Show) -> bytes:
    """Write what follows the last part."""
    return _LAST_CHUNK if show.streams else b""


def dripped(show: Show, *, keep_alive: bool, named: str) -> Iterator[Step | bytes]:
    """Turn a whole reply into single bytes with waits between them; early waits are kept."""
    for step in show.steps:
        if isinstance(step, Wait):
            yield step
            continue
        if isinstance(step, Part):
            data = frame(show, step)
        else:
            data = tail(show)
            if step is Mark.HEAD:
                data = head(show, keep_alive=keep_alive, named=named)
        for place in range(len(data)):
            yield data[place : place + 1]
            yield Wait(show.drip)
        if isinstance(step, Part):
            yield Part(b"", step.tokens, step.usage)
    yield Mark.END


def plain_answer(status: int, body: bytes, *, keep_alive: bool) -> bytes:
    """Write an answer that is not a model's."""
    show = Show((Mark.HEAD, Part(body), Mark.END), status, JSON)
    return head(show, keep_alive=keep_alive) + body


def _odd_event(data: bytes) -> bytes:
    """Write one event with a comment, no space, line ends of two kinds and a field of no use."""
    return b": still here\r\n\r\nid: 7\r\ndata:%s\r\n\n" % data


def _pieces(data: bytes) -> Iterator[bytes]:
    """Cut it every seven bytes, characters or not."""
    return (data[place : place + 7] for place in range(0, len(data), 7))


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)
