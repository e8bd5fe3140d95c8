"""Records of the spool as versions before this one wrote them: whole rows, a request's own beside
its attempts'."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateway.store.columns import OWN, blanks

_LACKING: Final = {table: blanks(table) for table in OWN}
"""What versions before some layout have not written: it is not known, which a blank would deny."""


def renewed(old: Mapping[str, Any]) -> dict[str, Any]:
    """Return an older record in the shape of `core.rows.row`, with nothing left out.

    Raises KeyError, TypeError or AttributeError for what is none.
    """
    began = old["started_at"]
    made: dict[str, Any] = {"attempts": [_attempt(each, began) for each in old["attempts"]]}
    if "shadow_of" in old:
        made["shadow"] = {"entry_id": old["shadow_of"], "started_at": began}
        return made
    made["request"] = _row("request", {**old, "decided": None})
    if old.get("decided") is not None:
        made["decided"] = old["decided"]
    made["scoring"] = [_call(each, began) for each in old.get("scoring", ())]
    if old.get("prompt") is not None:
        made["prompt"] = old["prompt"]
    return made


def _attempt(old: Mapping[str, Any], began: float) -> dict[str, Any]:
    return {
        "attempt": _row("attempt", old),
        "calls": [_call(each, began) for each in old["calls"]],
        "checks": [_row("check_result", each) for each in old["checks"]],
        "checking": [_call(each, began) for each in old.get("checking", ())],
    }


def _call(old: Mapping[str, Any], began: float) -> dict[str, Any]:
    return _row("call", {**old, "started_at": began + old["started"]})


def _row(table: str, old: Mapping[str, Any]) -> dict[str, Any]:
    whole = {**_LACKING[table], **old}
    return {name: whole[name] for name in OWN[table]}
