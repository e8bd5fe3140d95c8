"""Faults as rewritings of a reply's row of steps."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from gateway.upstreams.simulated.refusals import error_body
from gateway.upstreams.simulated.render import DONE
from gateway.upstreams.simulated.script import REPLY_FAULTS, Fault
from gateway.upstreams.simulated.show import FOREVER, Mark, Part, Show, Step, Wait, error_show

_MEGABYTE = 1_000_000


def spoil(show: Show, fault: Fault) -> Show:
    """Let a fault happen to a reply; those of the text itself have happened before."""
    spoilt = show if fault.kind in REPLY_FAULTS else _SPOIL[fault.kind](show, fault)
    return replace(spoilt, fault=fault)


def _before(show: Show, after: int) -> tuple[Step, ...]:
    """Return the steps up to the token numbered `after`; half of a plain body stands for any."""
    at = show.steps.index(Mark.HEAD) + 1
    if not show.streams:
        body = _body(show)
        half = replace(body, data=body.data[: len(body.data) // 2], usage=None)
        return (*show.steps[:at], half)
    if after <= 0:
        return show.steps[:at]
    for place in range(at, len(show.steps)):
        step = show.steps[place]
        after -= step.tokens if isinstance(step, Part) else 0
        if after <= 0:
            return show.steps[: place + 1]
    return show.steps[: _place(show, DONE)]


def _body(show: Show) -> Part:
    return next(step for step in show.steps if isinstance(step, Part))


def _place(show: Show, data: bytes) -> int:
    return next(p for p, s in enumerate(show.steps) if isinstance(s, Part) and s.data == data)


def _broken(show: Show, after: int, ending: Step) -> Show:
    promised = None if show.streams else len(_body(show).data)
    return replace(show, steps=(*_before(show, after), ending), promised=promised)


def _instead(show: Show, *data: bytes, content_type: str | None = None) -> Show:
    """Let other events, or another body, come where the first part would have."""
    early = show.steps[: show.steps.index(Mark.HEAD) + 1]
    kind = content_type or show.content_type
    return replace(show, steps=(*early, *map(Part, data), Mark.END), content_type=kind)


def _odd_chunk(show: Show, fault: Fault, data: bytes, *, ends: bool) -> Show:
    """Put strange data after some tokens of a stream; a plain body is that data."""
    if not show.streams:
        return _instead(show, data)
    before = _before(show, fault.after)
    rest = (Mark.END,) if ends else show.steps[len(before) :]
    return replace(show, steps=(*before, Part(data), *rest))


def _error_event(show: Show, fault: Fault) -> Show:
    data = error_body(fault.status, "The model stopped unexpectedly.", fault.code)
    return _odd_chunk(show, fault, data, ends=True)


def _malformed(show: Show, fault: Fault) -> Show:
    parts = [step.data for step in show.steps if isinstance(step, Part)]
    return _odd_chunk(show, fault, parts[0][: len(parts[0]) * 2 // 3], ends=False)


def _status(_show: Show, fault: Fault) -> Show:
    message = f"A simulated error of status {fault.status}."
    wait = (("retry-after", fault.retry_after),) if fault.retry_after is not None else ()
    return error_show(fault.status, error_body(fault.status, message, fault.code), wait)


def _empty_choices(show: Show, _fault: Fault) -> Show:
    def edit(data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "choices": []}

    return _edited(show, edit)


def _edited(show: Show, edit: Callable[[dict[str, Any]], dict[str, Any]]) -> Show:
    def edited(step: Step) -> Step:
        if not isinstance(step, Part) or step.data == DONE:
            return step
        data = edit(json.loads(step.data))
        told = data.get("usage") if step.usage else None
        return Part(json.dumps(data).encode(), step.tokens, told)

    return replace(show, steps=tuple(map(edited, show.steps)))


def _wrong_model(show: Show, _fault: Fault) -> Show:
    return _edited(show, lambda data: {**data, "model": "some-other-model"})


def _no_usage(show: Show, _fault: Fault) -> Show:
    if not show.streams:
        return _edited(show, lambda data: {k: v for k, v in data.items() if k != "usage"})
    return replace(show, steps=tuple(s for s in show.steps if not _tells_usage(s)))


def _tells_usage(step: Step) -> bool:
    return isinstance(step, Part) and step.usage is not None


def _absurd_usage(show: Show, _fault: Fault) -> Show:
    absurd = {"prompt_tokens": 10**18, "completion_tokens": -7, "total_tokens": 10**18}
    return _edited(show, lambda data: {**data, "usage": absurd} if "usage" in data else data)


def _done(show: Show, tail: Iterable[bytes]) -> Show:
    if not show.streams:
        return show
    return replace(show, steps=(*show.steps[: _place(show, DONE)], *map(Part, tail), Mark.END))


def _after_done(show: Show, _fault: Fault) -> Show:
    late = [s.data for s in show.steps if isinstance(s, Part) and s.tokens][:1] or [b"{}"]
    return _done(show, (DONE, *late))


def _gzip(show: Show, _fault: Fault) -> Show:
    squeezed = gzip.compress(b"".join(_flat(show)))
    return replace(_instead(show, squeezed), headers=(("content-encoding", "gzip"),))


def _flat(show: Show) -> Iterator[bytes]:
    for step in show.steps:
        if isinstance(step, Part):
            yield b"data: %s\n\n" % step.data if show.streams else step.data


def _huge(show: Show, fault: Fault) -> Show:
    filler = "x" * int(fault.size * _MEGABYTE)

    def edit(data: dict[str, Any]) -> dict[str, Any]:
        for choice in data["choices"]:
            part = choice.get("message") or choice["delta"]
            if part.get("content"):
                part["content"] = filler
        return data

    if not show.streams:
        return _edited(show, edit)
    before = len(_before(show, 1))
    first = replace(show, steps=show.steps[:before])
    return replace(show, steps=(*_edited(first, edit).steps, *show.steps[before:]))


def _big_head(show: Show, fault: Fault) -> Show:
    return replace(show, headers=(("x-filler", "x" * int(fault.size * _MEGABYTE)),))


def _redirect(show: Show, _fault: Fault) -> Show:
    elsewhere = (("location", "http://127.0.0.1:9/v1/chat/completions"),)
    return replace(_instead(show, b""), status=302, headers=elsewhere, content_type="text/html")


def _reset(show: Show, fault: Fault) -> Show:
    if fault.after:
        return _broken(show, fault.after, Mark.RESET)
    return replace(show, steps=(Mark.RESET,))


def _drip(show: Show, fault: Fault) -> Show:
    return replace(show, framing="drip", drip=fault.seconds)


_PAGE = b"<!doctype html><title>Welcome</title><p>This is not the page you are looking for."
_SPOIL: Mapping[str, Callable[[Show, Fault], Show]] = {
    "refuse": lambda show, _: replace(show, steps=(Mark.FIN,)),
    "reset": _reset,
    "status": _status,
    "hang": lambda show, _: replace(show, steps=(FOREVER,)),
    "slow_first": lambda show, fault: replace(show, steps=(Wait(fault.seconds), *show.steps)),
    "stall": lambda show, fault: _broken(show, fault.after, FOREVER),
    "cut": lambda show, fault: _broken(show, fault.after, Mark.FIN),
    "error_event": _error_event,
    "malformed": _malformed,
    "short_body": lambda show, fault: _broken(show, max(fault.after, 1), Mark.FIN),
    "html": lambda show, _: _instead(show, _PAGE, content_type="text/html"),
    "empty": lambda show, _: _instead(show, *(() if show.streams else (b"",))),
    "null": lambda show, _: _instead(show, b"null", *((DONE,) if show.streams else ())),
    "no_choices": _empty_choices,
    "no_done": lambda show, _: _done(show, ()),
    "two_done": lambda show, _: _done(show, (DONE, DONE)),
    "after_done": _after_done,
    "odd_sse": lambda show, _: replace(show, framing="odd" if show.streams else ""),
    "no_usage": _no_usage,
    "absurd_usage": _absurd_usage,
    "wrong_model": _wrong_model,
    "gzip": _gzip,
    "redirect": _redirect,
    "slow_loris": _drip,
    "huge": _huge,
    "big_head": _big_head,
}
