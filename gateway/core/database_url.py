"""A database server's address, which holds a secret: it is written without it."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit

SCHEMES = ("postgresql", "postgres")
_SECRET = frozenset({"password", "sslpassword", "passfile"})


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """`postgresql://user@host:port/database`, with whatever else libpq knows after a `?`.

    Raises ValueError for what is no such address, or names no database.
    """

    url: str = field(repr=False)
    shown: str = field(init=False)
    """The same without its password: for messages, and for a configuration's digest."""

    def __post_init__(self) -> None:
        """Check the address, and write it without its password."""
        parts = urlsplit(self.url)
        if parts.scheme not in SCHEMES or not parts.path.strip("/"):
            raise ValueError("must be postgresql://user@host/database")
        user, at, place = parts.netloc.rpartition("@")
        known = [(key, value) for key, value in parse_qsl(parts.query) if key not in _SECRET]
        query = f"?{urlencode(known)}" if known else ""
        shown = f"{parts.scheme}://{user.partition(':')[0]}{at}{place}{parts.path}{query}"
        object.__setattr__(self, "shown", shown)

    @property
    def has_secret(self) -> bool:
        """Does it hold a password?"""
        return self.shown != self.url

    @property
    def name(self) -> str:
        """The database's own name."""
        return urlsplit(self.url).path.strip("/")

    def __str__(self) -> str:
        return self.shown
