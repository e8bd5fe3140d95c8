"""What an HTTP client is to an upstream that calls through it: our own fits it, and httpx."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Protocol, Self

from gateway.upstreams.http1 import Headers, Sink, Timeouts


class Exchange(Protocol):
    """One request and its reply; see `gateway.upstreams.http1.Exchange` for what each promises."""

    @property
    def status(self) -> int:
        """The reply's status."""
        ...

    @property
    def headers(self) -> Mapping[bytes, bytes]:
        """Its headers, names in lower case."""
        ...

    async def read(self) -> bytes:
        """The next part of the body, b"" at the end of a complete one."""
        ...

    async def pour(self, sink: Sink) -> None:
        """Hand the body on as it comes."""
        ...

    async def read_all(self) -> bytes:
        """The whole rest of the body."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Connections(Protocol):
    """Connections to one origin; see `gateway.upstreams.http1.Pool`."""

    def exchange(
        self,
        method: str,
        path: str,
        headers: Headers,
        body: bytes,
        timeouts: Timeouts,
        on_sent: Callable[[], None] | None = None,
    ) -> Exchange:
        """A request to be sent when the exchange is entered."""
        ...

    async def warm(self, count: int, timeouts: Timeouts) -> None:
        """Connect ahead of use, where that can be; raises what an exchange would."""
        ...

    async def aclose(self) -> None:
        """Cut every connection."""
        ...
