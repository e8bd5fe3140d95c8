"""Passes a request through to an upstream as it is, and its reply back, neither held in memory.

The gateway's own client is made for small JSON that is sent at once; uploads that are streamed with
back-pressure are httpx's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx

from gateway.config import UpstreamSettings
from gateway.config.presets import BEARER
from gateway.core.errors import GatewayError, NotFound, UpstreamDown, UpstreamError, UpstreamTimeout
from gateway.upstreams import failures
from gateway.upstreams.encoded import unpacked

_ERROR_BODY = 64 * 1024
_CONNECTIONS = 256
_KEPT = 32


class PassingClient:
    """One upstream's connections."""

    def __init__(self, settings: UpstreamSettings, timeout: float) -> None:
        """`timeout` is for silence on the wire, in seconds, while it is sent or answered."""
        self._key = settings.api_key
        scheme = "Bearer " if settings.key_header == BEARER else ""
        own = {settings.key_header: f"{scheme}{self._key}"} if self._key else {}
        self._client = httpx.AsyncClient(
            base_url=settings.base_url.rstrip("/"),
            headers={"user-agent": "waterfall", "accept-encoding": "identity", **own},
            timeout=httpx.Timeout(timeout, connect=settings.timeouts.connect),
            limits=httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_KEPT),
            follow_redirects=False,
            trust_env=False,
            proxy=settings.proxy,
            http2=settings.http2,
        )

    @asynccontextmanager
    async def send(
        self, method: str, path: str, headers: Mapping[str, str], body: AsyncIterator[bytes] | None
    ) -> AsyncIterator[httpx.Response]:
        """Send a request; the reply's head is there when the context is entered, and its body is
        read with `blocks`. Leaving closes the upstream's side at once.

        Raises UpstreamError, or NotFound where the upstream has no such thing.
        """
        request = self._client.build_request(method, path, headers=headers, content=body)
        try:
            reply = await self._client.send(request, stream=True)
        except httpx.HTTPError as error:
            raise from_wire(error) from error
        try:
            if not 200 <= reply.status_code < 300:
                raise await self._refusal(reply)
            yield reply
        finally:
            await reply.aclose()

    async def _refusal(self, reply: httpx.Response) -> GatewayError:
        told = b""
        async for block in self.blocks(reply):
            told += block
            if len(told) >= _ERROR_BODY:
                break
        heads = {name.lower(): value for name, value in reply.headers.raw}
        error = failures.from_reply(reply.status_code, heads, told)
        failures.mask(error, self._key)
        if reply.status_code == 404:
            said = failures.message_of(unpacked(heads, told)) or "The upstream has no such thing."
            return NotFound(said.replace(self._key, "***") if self._key else said)
        return error

    @staticmethod
    async def blocks(reply: httpx.Response) -> AsyncIterator[bytes]:
        """Yield a reply's body as it comes. Raises UpstreamError."""
        try:
            async for block in reply.aiter_raw():
                yield block
        except httpx.HTTPError as error:
            raise from_wire(error) from error

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()


def from_wire(error: httpx.HTTPError) -> UpstreamError:
    """Map what went wrong under the reply."""
    name = type(error).__name__
    if isinstance(error, httpx.TimeoutException):
        return UpstreamTimeout(f"The upstream was too slow ({name}).")
    kind = "connect" if isinstance(error, httpx.ConnectError) else "bad_response"
    return UpstreamDown(f"The upstream's connection failed ({name}).", kind=kind)
