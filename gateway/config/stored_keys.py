"""A key of the store, read as one of the configuration's is."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from gateway.config.draft import Book, Draft
from gateway.config.policy import keys as read_keys
from gateway.config.settings import KeySettings
from gateway.config.text import read

_NO_HASH = "sha256:" + "0" * 64


def stored_key(
    name: str, settings: Mapping[str, Any], routes: Collection[str] | None = None
) -> KeySettings:
    """Read what is kept of a key: `settings` are as in `keys`, without name and hash. The digest
    that comes out is none. Its routes must be among `routes`, where those are given.

    Raises ConfigError with everything that is wrong.
    """
    known = settings.get("routes") or () if routes is None else routes
    document = {
        "routes": {str(each): {} for each in known},
        "keys": [{"name": name, "hash": _NO_HASH, **settings}],
    }
    draft = Draft(read(json.dumps(document), "key", {}), {}, Path(), lambda _: Book({}))
    found = read_keys(draft)
    draft.finish()
    return found[0]
