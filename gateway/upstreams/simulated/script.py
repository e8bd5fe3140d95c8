"""Scripted faults: what can be made to go wrong, and which requests it happens to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

FAULTS: Mapping[str, str] = {
    "refuse": "the connection is closed at once, without a byte",
    "reset": "the connection is reset before the headers; with `after`, after so many tokens",
    "status": "`status` is answered, with Retry-After when `retry_after` is given",
    "hang": "nothing ever comes",
    "slow_first": "the first token comes `seconds` later",
    "stall": "silence after `after` tokens; the connection stays open",
    "cut": "the connection ends after `after` tokens",
    "error_event": "an error object in the stream after `after` tokens; plain: in a 200",
    "malformed": "JSON that is none, after `after` tokens",
    "short_body": "fewer bytes than promised, then the end",
    "html": "200 with a page of HTML",
    "empty": "200 with nothing in it",
    "null": "200 with `null`",
    "no_choices": "200 with an empty list of choices",
    "no_done": "a stream that ends without [DONE]",
    "two_done": "a stream with two [DONE]",
    "after_done": "a stream with one more chunk behind [DONE]",
    "odd_sse": "legal but odd framing: comments, CRLF, no space, pieces of a few bytes",
    "no_usage": "the usage is never told",
    "absurd_usage": "the usage is 10^18 and less than nothing",
    "wrong_model": "the reply names another model",
    "gzip": "the body is compressed though nobody asked",
    "redirect": "302 to another address",
    "slow_loris": "one byte every `seconds`",
    "huge": "`size` megabytes of content",
    "big_head": "a header line of `size` megabytes",
    "refusal": "the model declines to answer",
    "empty_reply": "a whole reply without any text",
    "bad_json": "where JSON was asked for: JSON cut in the middle",
}
"""Every fault's name, and what the peer meets."""
REPLY_FAULTS = frozenset({"refusal", "empty_reply", "bad_json"})
"""Those in which the wire is sound and only the text is not."""
STATUSES = (400, 401, 403, 404, 408, 413, 422, 429, 500, 502, 503, 504, 529)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong. `after` counts tokens already sent, `size` is in megabytes."""

    kind: str
    after: int = 0
    status: int = 500
    retry_after: str | None = None
    seconds: float = 1.0
    size: float = 1.0
    code: str | None = None

    @classmethod
    def read(cls, text: str) -> Fault:
        """Read `stall,after=3`, `fault=stall, after=3`, or a bare status such as `429`.

        Raises ValueError naming the word it cannot read.
        """
        words = [word.strip() for word in text.split(",") if word.strip()]
        given: dict[str, Any] = {}
        for word in words:
            name, has_value, value = word.partition("=")
            if not has_value:
                given.update(
                    {"kind": "status", "status": int(word)} if word.isdigit() else {"kind": word}
                )
            elif name == "fault":
                given["kind"] = value
            elif name in _READERS:
                given[name] = _READERS[name](value)
            else:
                raise ValueError(f"no setting {name!r} of a fault: one of {', '.join(_READERS)}")
        if "kind" not in given and "status" in given:
            given["kind"] = "status"
        if given.get("kind") not in FAULTS:
            raise ValueError(f"no fault {given.get('kind')!r}: one of {', '.join(FAULTS)}")
        return cls(**given)


_READERS = {
    "after": int,
    "status": int,
    "retry_after": str,
    "seconds": float,
    "size": float,
    "code": str,
}


@dataclass(frozen=True, slots=True)
class Rule:
    """Which requests a fault happens to: those of `model` (empty: any) whose last user message
    contains `contains`; of these, the ones at the places `on` (counted from 0; empty: all), and
    each with probability `chance`."""

    fault: Fault
    model: str = ""
    contains: str = ""
    chance: float = 1.0
    on: tuple[int, ...] = ()


@dataclass
class Director:
    """Hands out faults; it counts, so that a retry of the same request may fare better."""

    seed: int
    rules: tuple[Rule, ...]
    _seen: dict[int, int] = field(default_factory=dict)

    def fault(self, model: str, prompt: str, directive: object = None) -> Fault | None:
        """Choose what goes wrong with one request, None for nothing.

        `directive` is the request's own word: a fault's text, or `{model: text}`. It goes before
        every rule; of the rules the first that applies counts. Raises ValueError for a directive
        that cannot be read.
        """
        if isinstance(directive, Mapping):
            directive = directive.get(model)
        if isinstance(directive, str) and directive:
            return None if directive == "ok" else Fault.read(directive)
        chosen = None
        for place, rule in enumerate(self.rules):
            if rule.model in ("", model) and rule.contains in prompt:
                count = self._seen.get(place, 0)
                self._seen[place] = count + 1
                if chosen is None and self._applies(rule, place, count):
                    chosen = rule.fault
        return chosen

    def _applies(self, rule: Rule, place: int, count: int) -> bool:
        if rule.on and count not in rule.on:
            return False
        return rule.chance >= 1 or Random(f"{self.seed} {place} {count}").random() < rule.chance


def read_rules(data: object) -> tuple[Rule, ...]:
    """Read a script: a list of `{"fault": text, "model"?, "contains"?, "chance"?, "on"?: [n]}`.

    A text in the list is the fate of the request at its place, `ok` for none: a sequence.
    Raises ValueError for anything else.
    """
    if not isinstance(data, list):
        raise ValueError("a script is a list of rules")
    return tuple(
        rule for place, item in enumerate(data) if (rule := _rule(place, item)) is not None
    )


def parse_rules(text: str) -> tuple[Rule, ...]:
    """Read a script from JSON text. Raises ValueError."""
    return read_rules(json.loads(text))


def _rule(place: int, item: object) -> Rule | None:
    if isinstance(item, str):
        return None if item == "ok" else Rule(Fault.read(item), on=(place,))
    if not isinstance(item, Mapping) or not isinstance(item.get("fault"), str):
        raise ValueError(f"rule {place} of the script names no fault")
    if strange := set(item) - {"fault", "model", "contains", "chance", "on"}:
        raise ValueError(f"rule {place} of the script: no setting {strange.pop()!r}")
    return Rule(
        Fault.read(item["fault"]),
        str(item.get("model", "")),
        str(item.get("contains", "")),
        float(item.get("chance", 1.0)),
        tuple(int(number) for number in item.get("on", ())),
    )
