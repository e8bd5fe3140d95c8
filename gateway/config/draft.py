"""A configuration in the making: its document, what it may look at, and what it has found."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import MappingProxyType

from gateway.config.checking import at, complain, quoted
from gateway.config.problems import ConfigError, Problem, Trail, dotted, nearest
from gateway.config.settings import PriceSettings
from gateway.config.text import Document
from gateway.core.money import Price


class Book(Mapping[str, Price]):
    """The prices of one day by model name, which do not change. `until` is the UNIX time from
    which others are in force, None where none are known; `coming` says of models that have no
    price yet on which day they will have."""

    def __init__(
        self,
        prices: Mapping[str, Price],
        until: float | None = None,
        coming: Mapping[str, date] = MappingProxyType({}),
    ) -> None:
        """Keep what is given."""
        self._prices = dict(prices)
        self.until, self.coming = until, coming

    def __getitem__(self, model: str) -> Price:
        return self._prices[model]

    def __iter__(self) -> Iterator[str]:
        return iter(self._prices)

    def __len__(self) -> int:
        return len(self._prices)


OpenBook = Callable[[PriceSettings], Book]


@dataclass(slots=True)
class Draft:
    """`folder` is what relative paths start from; `others` are the problems of other files."""

    document: Document
    environ: Mapping[str, str]
    folder: Path
    open_book: OpenBook
    files: list[Path] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    others: list[Problem] = field(default_factory=list)

    def complain(self, trail: Trail, message: str, value: object = None) -> None:
        """Note a problem."""
        complain(self.document, trail, message, value)

    def warn(self, trail: Trail, message: str) -> None:
        """Note what is allowed but unwise."""
        self.warnings.append(f"{self.document.name}: {dotted(trail)}: {message}")

    def quoted(self, trail: Trail, value: object) -> str:
        """Write a value for a message, as stars when it may be a secret."""
        return quoted(self.document, trail, value)

    def names(self, section: str) -> list[str]:
        """Every name in a section, also of entries that are otherwise wrong."""
        found = at(self.document, (section,))
        return list(found) if isinstance(found, dict) else []

    def known(self, trail: Trail, name: str, names: Collection[str], what: str) -> bool:
        """Is `name` one of `names`? If not, that is a problem."""
        if name in names:
            return True
        self.complain(trail, f"no {what} {self.quoted(trail, name)}; {nearest(name, names)}")
        return False

    def path(self, trail: Trail, written: str) -> Path | None:
        """Resolve a path against the file's folder; None, and a problem, when it cannot be one."""
        if "\0" in written:
            self.complain(trail, "must be a path", written)
            return None
        return self.folder / written

    def existing(self, trail: Trail, written: str, *, folder: bool = False) -> Path | None:
        """Resolve the path of something that must be there, and watch it from now on."""
        path = self.path(trail, written)
        if path is None:
            return None
        self.files.append(path)
        try:
            found = path.is_dir() if folder else path.is_file()
        except OSError:
            found = False
        if found:
            return path
        self.complain(trail, f"no such {'folder' if folder else 'file'}", written)
        return None

    def finish(self) -> None:
        """Raise ConfigError if anything was wrong, in the order of the file."""
        own = sorted(self.document.problems, key=lambda problem: problem.line or 0)
        if own or self.others:
            raise ConfigError([*own, *self.others], self.files)
