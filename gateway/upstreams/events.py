"""Reads one stream's events into deltas, and says how it has ended."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.core.chat import Delta
from gateway.core.errors import UpstreamError
from gateway.upstreams import failures
from gateway.upstreams.speaking import Reader
from gateway.upstreams.sse import Decoder, Event, EventTooLarge
from gateway.upstreams.template import Template


class Events:
    """One stream's events, read block by block: its deltas, and how it has ended."""

    __slots__ = (
        "_begun",
        "_decoder",
        "_ended",
        "_reader",
        "_template",
        "error",
        "is_over",
        "template",
    )

    def __init__(self, reader: Reader, *, alike: bool) -> None:
        """`alike` is as in Speech."""
        self._reader, self._decoder = reader, Decoder()
        self._template = Template(reader.read) if alike else None
        self.template: Template | None = None
        """What a block that is an event by itself may be read by: none in the middle of one."""
        self._begun: set[int] = set()
        self._ended: set[int] = set()
        self.is_over = False
        """Has its last event come, or its failure? Then nothing more of it is to be read."""
        self.error: UpstreamError | None = None

    def read_all(self, blocks: Sequence[bytes]) -> list[Delta]:
        """Read the deltas that blocks complete, up to the end of the stream or its failure."""
        deltas: list[Delta] = []
        for block in blocks:
            if self.template is not None:
                alike = self.template.read(block)
                if alike is not None:
                    deltas.append(alike)
                    continue
            deltas += self.read(block)
            if self.is_over:
                break
        return deltas

    def read(self, block: bytes) -> list[Delta]:
        """Read the deltas that a block completes, up to the end of the stream or its failure."""
        deltas: list[Delta] = []
        try:
            for event in _decoded(self._decoder, block):
                if event.name == b"error":
                    raise failures.in_event(event.data)
                delta = self._reader.read(event.data)
                if delta is not None:
                    deltas.append(delta)
                    for piece in delta.pieces:
                        (self._ended if piece.finish else self._begun).add(piece.index)
                if self._reader.ended:
                    self.is_over = True
                    break
        except UpstreamError as error:
            self.error, self.is_over = error, True
        if self._template is not None:
            self._learn(self._template, block, deltas)
        return deltas

    def _learn(self, template: Template, block: bytes, deltas: Sequence[Delta]) -> None:
        between = self._decoder.is_between
        if between and self.template is not None and len(deltas) == 1:
            template.learn(block, deltas[0])
        self.template = template if between else None

    def check(self) -> None:
        """Raise its failure, and unless this is a proper end: after the last event, or without it
        when every choice has ended."""
        if self.error is not None:
            raise self.error
        if not (self._begun or self._ended):
            raise failures.nonsense("its stream has no choices")
        if not self.is_over and self._begun - self._ended:
            raise failures.nonsense("its stream ended early")


def _decoded(decoder: Decoder, block: bytes) -> list[Event]:
    try:
        return decoder.feed(block)
    except EventTooLarge as error:
        raise failures.nonsense(str(error), lasting=True) from error
