"""An OpenAI-compatible embeddings endpoint: a text in, a vector out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import orjson

from gateway.core.money import Usage
from gateway.upstreams import failures
from gateway.upstreams.http1 import HttpError, Pool, Timeouts
from gateway.upstreams.openai import MAX_ERROR_BODY, request_headers

LARGEST: Final = 2 * 1024 * 1024
"""Bytes of a reply: a vector of 16,384 numbers takes a quarter of it."""


class Embeddings:
    """One endpoint and its connections; fits `gateway.scorers.embedding.Embedder`.

    url: the whole of it, such as "https://host/v1/embeddings".

    Raises ValueError for a URL or key that cannot be one (and does not repeat it).
    """

    def __init__(self, url: str, model: str, api_key: str | None) -> None:
        self._model, self._api_key = model, api_key
        self._headers = request_headers("scorer.remote", api_key)
        self._pool = Pool(url, limit=64, max_body=LARGEST)

    async def embed(
        self, text: str, seconds: float, on_sent: Callable[[], None]
    ) -> tuple[Sequence[float], Usage | None]:
        """Embed one text within `seconds`. Raises UpstreamError."""
        asked = {"model": self._model, "input": text, "encoding_format": "float"}
        limits = Timeouts(seconds, seconds, seconds, seconds)
        try:
            async with self._pool.exchange(
                "POST", "", self._headers, orjson.dumps(asked), limits, on_sent
            ) as exchange:
                told = await exchange.read_all()
        except HttpError as error:
            raise failures.from_wire(error) from error
        if not 200 <= exchange.status < 300:
            refusal = failures.from_reply(exchange.status, exchange.headers, told[:MAX_ERROR_BODY])
            failures.mask(refusal, self._api_key)
            raise refusal
        return _read(told)

    async def aclose(self) -> None:
        """Close every connection; calls under way fail."""
        await self._pool.aclose()


def _read(told: bytes) -> tuple[Sequence[float], Usage | None]:
    """Read the reply; whether its numbers are numbers is for whoever reads the vector."""
    try:
        payload = orjson.loads(told)
        vector = payload["data"][0]["embedding"]
    except (orjson.JSONDecodeError, KeyError, IndexError, TypeError):
        raise failures.nonsense("it has no data[0].embedding") from None
    if not isinstance(vector, list):
        raise failures.nonsense("its embedding is not a list")
    usage = payload.get("usage")
    used = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    return vector, Usage.clamped(used, 0)
