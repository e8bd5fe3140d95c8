"""A threshold's live forms: a mapping of what it is to bring about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.config.fields import thresholds, whole
from gateway.config.quantities import share
from gateway.core.routing import Target


def threshold(value: object) -> tuple[float, ...] | Target:
    """One difficulty, a list of them that never falls, or what they are to bring about."""
    return target(value) if isinstance(value, dict) else thresholds(value)


def target(value: Mapping[Any, object]) -> Target:
    """`{target_share: s, window: n}` or `{target_quality: q, confidence: c, until: d}`."""
    for first, readers in _FORMS.items():
        if first in value and set(value) <= set(readers):
            return Target(
                **{
                    name: _part(key, value[key], read)
                    for key, (name, read) in readers.items()
                    if key in value
                }
            )
    raise ValueError(
        "must be {target_share: 0.2}, with `window` if you like, or {target_quality: 0.98}, "
        "with `confidence` and `until` if you like"
    )


def _part(key: str, value: object, read: Callable[[object], Any]) -> Any:
    """Read one key of what is told of as a single value."""
    try:
        return read(value)
    except ValueError as error:
        raise ValueError(f"{key} {error}") from error


def _inside(value: object) -> float:
    amount = share(value)
    if not 0 < amount < 1:
        raise ValueError("must be a share over 0 and under 1, such as 0.2 or 20%")
    return amount


def _confidence(value: object) -> float:
    amount = share(value)
    if not 0.5 <= amount <= 0.999:
        raise ValueError("must be a share from 0.5 to 0.999, such as 0.9 or 90%")
    return amount


_FORMS: Final[Mapping[str, Mapping[str, tuple[str, Callable[[object], Any]]]]] = {
    "target_share": {
        "target_share": ("share", _inside),
        "window": ("window", whole(200, 100_000)),
    },
    "target_quality": {
        "target_quality": ("quality", _inside),
        "confidence": ("confidence", _confidence),
        "until": ("until", share),
    },
}
"""By the key that says which form it is: every key's field and reader."""
