"""The kinds of value a configuration's keys take: each says in one sentence what it must be."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

from pydantic import PlainValidator

from gateway.config import quantities
from gateway.config.problems import nearest, unsupported
from gateway.core.database_url import SCHEMES, DatabaseUrl
from gateway.core.difficulty import are_thresholds
from gateway.core.money import NANO

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}")
_DIGEST = re.compile(r"sha256:([0-9a-fA-F]{64})")
_VISIBLE = re.compile(r"[!-~]+")
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", re.ASCII)
_SCORERS = ("python", "remote", "llm")
"""Kinds of scorer that are written as a mapping."""
_HOST_LENGTH = 253
_OFF = "off"
_MEMORY_CAP = 1 << 40


def text(value: object) -> str:
    """Any text."""
    if not isinstance(value, str):
        raise ValueError("must be text")
    return str(value)


def filled(value: object) -> str:
    """Text with something in it."""
    if not (isinstance(value, str) and value.strip()):
        raise ValueError("must be text, and not empty")
    return str(value)


def flag(value: object) -> bool:
    """True or false."""
    known = quantities.plain(value)
    if not isinstance(known, bool):
        raise ValueError("must be true or false")
    return known


def name(value: object) -> str:
    """A name that fits a header, a metric's label and a URL."""
    if not (isinstance(value, str) and _NAME.fullmatch(value)):
        raise ValueError("must be a letter or digit, then letters, digits and . _ - : / @ +")
    return str(value)


def secret(value: object) -> str | None:
    """A credential; empty (a variable's empty default) means none."""
    if value == "":
        return None
    if not (isinstance(value, str) and _VISIBLE.fullmatch(value)):
        raise ValueError(
            "must be ASCII text without spaces, line ends or control characters "
            "(is there a line end after the key?)"
        )
    return str(value)


def digest(value: object) -> bytes:
    """A key's SHA-256."""
    match = _DIGEST.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(
            'must be sha256: and 64 hexadecimal digits, as printed by: printf %s "$KEY" | sha256sum'
        )
    return bytes.fromhex(match.group(1))


def whole(least: int, most: int) -> Callable[[object], int]:
    """Return a reader of whole numbers from `least` to `most`."""

    def read(value: object) -> int:
        known = quantities.plain(value)
        if isinstance(known, int) and not isinstance(known, bool) and least <= known <= most:
            return known
        raise ValueError(f"must be a whole number from {least} to {most}")

    return read


def choice(*words: str) -> Callable[[object], str]:
    """Return a reader of one of these words."""

    def read(value: object) -> str:
        if isinstance(value, str) and value in words:
            return str(value)
        close = nearest(str(value), words) if isinstance(value, str) else ""
        hint = f"; {close}" if close.startswith("did") else ""
        raise ValueError(f"must be {' or '.join(words)}{hint}")

    return read


def only(meant: str | int, instead: str) -> PlainValidator:
    """Take the one value that says what this version does anyway."""

    def read(value: object) -> str | int:
        known = quantities.plain(value)
        if known == meant and not isinstance(known, bool):
            return meant
        raise unsupported(f"only {meant} is: {instead}")

    return PlainValidator(read)


def refused(instead: str) -> PlainValidator:
    """Take nothing: a documented key that this version does not act on."""

    def read(_: object) -> None:
        raise unsupported(f"remove it. {instead}")

    return PlainValidator(read)


def address(value: object) -> tuple[str, int] | None:
    """`host:port`, or off."""
    if value == _OFF:
        return None
    host, colon, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    host = host.removeprefix("[").removesuffix("]")
    if colon and host and port.isascii() and port.isdecimal() and int(port[:9]) <= 65535:
        return host, int(port)
    raise ValueError("must be host:port, such as 127.0.0.1:9090, or off")


def is_loopback(host: str) -> bool:
    """Is this host's traffic on this machine alone?"""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def is_host(host: str) -> bool:
    """Is this an address (without a zone) or a name that can be looked up?"""
    try:
        return getattr(ipaddress.ip_address(host), "scope_id", None) is None
    except ValueError:
        labels = host.removesuffix(".").split(".")
        return len(host) <= _HOST_LENGTH and all(map(_LABEL.fullmatch, labels))


def base_url(written: str) -> SplitResult | None:
    """Take a URL apart; None for one to whose host no request could be sent."""
    try:
        parts = urlsplit(written)
        usable = parts.scheme in {"http", "https"} and parts.port != 0
    except ValueError:  # a port out of range, half an IPv6 address
        return None
    usable = usable and bool(_VISIBLE.fullmatch(written))
    return parts if usable and is_host(parts.hostname or "") else None


def ceiling(value: object) -> int | None:
    """Dollars over zero, in nano-dollars, or off."""
    if value == _OFF:
        return None
    amount = quantities.usd(value)
    if amount == 0:
        raise ValueError("must be an amount in US dollars over 0, such as 0.25, or off")
    return amount


def memory_or_off(value: object) -> int | None:
    """How much memory a process may have, or off."""
    try:
        return None if value == _OFF else quantities.size(value, most=_MEMORY_CAP)
    except ValueError as error:
        raise ValueError(f"{error}, or off") from error


def seconds_or_off(value: object) -> float | None:
    """A duration, or off."""
    try:
        return None if value == _OFF else quantities.seconds(value)
    except ValueError as error:
        raise ValueError(f"{error}, or off") from error


def token_range(value: object) -> tuple[int, int]:
    """`[least, most]` tokens."""
    if isinstance(value, list) and len(value) == 2:
        least, most = quantities.tokens(value[0]), quantities.tokens(value[1])
        if least <= most:
            return least, most
    raise ValueError("must be two numbers of tokens, [least, most]")


def hold(value: object) -> tuple[str, int]:
    """`reply`, `sentence`, `none`, or `{tokens: n}`: the policy and its number."""
    if isinstance(value, str) and value in {"reply", "sentence", "none"}:
        return str(value), 0
    if isinstance(value, dict) and set(value) == {"tokens"}:
        return "tokens", whole(1, 100_000)(value["tokens"])
    raise ValueError("must be reply, sentence, none, or {tokens: 48}")


def mode(value: object) -> tuple[str, float]:
    """`enforce`, `observe`, or `{enforce: 10%}`: the mode and the share it decides for."""
    if value in ("enforce", "observe"):
        return str(value), 1.0
    if isinstance(value, dict) and set(value) == {"enforce"}:
        if share := quantities.share(value["enforce"]):
            return "enforce", share
        raise ValueError("enforces nothing: write observe, which serves everybody the baseline")
    raise ValueError("must be enforce, observe, or {enforce: 10%}")


def thresholds(value: object) -> tuple[float, ...]:
    """One difficulty, or a list of them that never falls."""
    each = tuple(quantities.share(item) for item in (value if isinstance(value, list) else [value]))
    if not are_thresholds(each):
        raise ValueError("must be a number from 0 to 1, or a list of such that never falls")
    return each


def scorer(value: object) -> str | dict[str, Any]:
    """A word, a folder, a function, or a mapping of one kind; what is in it is read later."""
    if isinstance(value, dict) and len(set(value) & set(_SCORERS)) == 1:
        return value
    if isinstance(value, str) and value.startswith("python:"):
        return f"python:{function(value.removeprefix('python:'))}"
    if not isinstance(value, str) or not value.strip() or value in _SCORERS:
        raise ValueError(
            "must be default, rules, an artefact's folder, python:module.function, or one of "
            "{python: module.function, timeout: 50ms}, {remote: {...}} and {llm: {...}}"
        )
    return str(value)


def function(value: object) -> str:
    """`module.function`."""
    if isinstance(value, str) and _FUNCTION.fullmatch(value):
        return str(value)
    raise ValueError("must be the dotted name of a function, such as my_package.scoring.score")


def candidate(value: object) -> str | None:
    """`default`, `rules`, an artefact's folder, or off."""
    if value == _OFF:
        return None
    named = filled(value)
    if named in _SCORERS or named.startswith("python:"):
        raise ValueError("must be default, rules, an artefact's folder, or off: it may not wait")
    return named


def band(value: object) -> tuple[float, float]:
    """`[low, high]`, two difficulties."""
    if isinstance(value, list) and len(value) == 2:
        low, high = quantities.share(value[0]), quantities.share(value[1])
        if low < high:
            return low, high
    raise ValueError("must be two difficulties, [low, high], the first below the second")


def ledger_url(value: object) -> str | DatabaseUrl:
    """`sqlite:///file`: the file's path; or a database of a PostgreSQL server."""
    if isinstance(value, str) and value.partition(":")[0] in SCHEMES:
        return DatabaseUrl(value)
    path = value.removeprefix("sqlite:///") if isinstance(value, str) else ""
    if not path or path == value:
        raise ValueError(
            "must be sqlite:///path (four slashes before an absolute one) or "
            "postgresql://user@host/database"
        )
    return str(path)


def accuracy(value: object) -> float | dict[str, float]:
    """A share, or one for each model."""
    if isinstance(value, dict):
        return {model: quantities.share(part) for model, part in value.items()}
    return quantities.share(value)


def one_or_more(value: object) -> list[str]:
    """A path, or a list of them."""
    return [filled(each) for each in (value if isinstance(value, list) else [value])]


def unless_off(value: object) -> object:
    """`off`, which is nothing; or whatever it is."""
    return None if value == _OFF else value


def mapping(value: object) -> dict[str, Any]:
    """Any mapping, as it is."""
    if not isinstance(value, dict):
        raise ValueError("must be a mapping")
    return value


Text = Annotated[str, PlainValidator(text)]
Filled = Annotated[str, PlainValidator(filled)]
Flag = Annotated[bool, PlainValidator(flag)]
Helpers = Annotated[int, PlainValidator(whole(1, 64))]
Memory = Annotated[int | None, PlainValidator(memory_or_off)]
Name = Annotated[str, PlainValidator(name)]
Secret = Annotated[str | None, PlainValidator(secret)]
Seconds = Annotated[float, PlainValidator(quantities.seconds)]
Share = Annotated[float, PlainValidator(quantities.share)]
Tokens = Annotated[int, PlainValidator(quantities.tokens)]
Usd = Annotated[int, PlainValidator(quantities.usd)]
HALF_A_DOLLAR = NANO // 2
