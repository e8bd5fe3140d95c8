"""`${NAME}` and `${NAME:-default}` in a configuration's values, expanded once and never again.

YAML gives braces a meaning of their own inside `{flow: mappings}`, where an unquoted `${NAME}`
would be a syntax error. So the braces of a reference are masked before YAML reads the text, one
character for one, and the masked references are expanded in the values that YAML hands back: what
a variable contains can never become structure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_OPEN, _SHUT, _LITERAL = "\ue000", "\ue001", "\ue002"
_WRITTEN = re.compile(r"\$\$\{|\$\{([^{}\n\"':]*(?::-[^{}\n]*)?)\}")
_MASKED = re.compile(f"{_OPEN}{_OPEN}([^{_SHUT}]*){_SHUT}")
_MASKS = re.compile(f"[{_OPEN}{_SHUT}{_LITERAL}]")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Expanded(str):
    """Text that came, wholly or in part, from the environment: it may be a secret, and where a
    number is wanted it may be one."""

    __slots__ = ()


def has_masks(text: str) -> bool:
    """Does the text contain a character that masking uses, or a masked reference?"""
    return _MASKS.search(text) is not None


def mask(text: str) -> str:
    """Hide the braces of every reference, and every escaped `$${`, from YAML."""
    return _WRITTEN.sub(_hide, text)


def _hide(match: re.Match[str]) -> str:
    body = match.group(1)
    return _LITERAL * 3 if body is None else f"{_OPEN}{_OPEN}{body}{_SHUT}"


def expand(text: str, environ: Mapping[str, str]) -> str:
    """Put each masked reference's value in its place; what had one comes back as Expanded.

    Raises ValueError, naming the variable, when one is missing or a reference is malformed.
    """
    if "${" in text:
        raise ValueError("'${' without its '}' (write $${ for the two characters themselves)")
    found = _MASKED.search(text) is not None
    # One pass from left to right: an inserted value is never looked at again.
    pieces = _MASKED.split(text)
    pieces[::2] = [piece.replace(_LITERAL * 3, "${") for piece in pieces[::2]]
    pieces[1::2] = [_value(body, environ) for body in pieces[1::2]]
    whole = "".join(pieces)
    return Expanded(whole) if found else whole


def _value(body: str, environ: Mapping[str, str]) -> str:
    name, colon, default = body.partition(":-")
    if not _NAME.fullmatch(name):
        raise ValueError(
            "not a reference: write ${NAME} or ${NAME:-default}, or $${ for the characters"
        )
    value = environ.get(name)
    if colon:
        return value or default
    if value is None:
        raise ValueError(
            f"the environment variable {name} is not set "
            f"(set it, or give a default: ${{{name}:-...}})"
        )
    return value
