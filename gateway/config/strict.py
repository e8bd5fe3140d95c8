"""How every mapping of a configuration is read: the keys that are known, and no others."""

from __future__ import annotations

from pydantic import ConfigDict

STRICT = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)
