"""A shared state in Redis or Valkey: for every process of every machine.

Every draw is one script, which the server runs in one piece and by its own clock; its arithmetic is
that of `gateway.core.allowance`, to which a test holds it. A number of ours is under 2^53.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from gateway.core.allowance import FOLD, Drawn
from gateway.shared.port import LEASE, Draw, SharedDown

if TYPE_CHECKING:
    from redis.asyncio import Redis

T = TypeVar("T")
PREFIX = "waterfall:"

DRAW = """
local kind, capacity, speed = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local holder, used, kept = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local back, want, least = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local lease, fold, keep = tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local granted, left, wait = 0, 0, 0
if kind == 'rate' then
  local level = capacity
  local state = redis.call('HMGET', KEYS[1], 'level', 'at')
  if state[1] then
    level = tonumber(state[1]) + math.max(0, now - tonumber(state[2])) * speed
  end
  level = math.min(level + back, capacity)
  local there = math.floor(level)
  if there >= least then granted = math.min(want, there)
  else wait = math.max(0, (least - level) / speed) end
  left = there - granted
  redis.call('HSET', KEYS[1], 'level', string.format('%.17g', level - granted),
    'at', string.format('%.6f', now))
else
  local closed, claimed = 0, 0
  local state = redis.call('HGETALL', KEYS[1])
  for i = 1, #state, 2 do
    if state[i] == 'closed' then closed = closed + tonumber(state[i + 1])
    elseif state[i] ~= 'h:' .. holder then
      local u, k, t = string.match(state[i + 1], '(%-?%d+) (%-?%d+) ([%d.]+)')
      u, k, t = tonumber(u), tonumber(k), tonumber(t)
      if t <= now then
        if kind == 'budget' then u = u + k end
        k = 0
        if t + fold <= now then
          closed = closed + u
          u = 0
          redis.call('HDEL', KEYS[1], state[i])
          redis.call('HSET', KEYS[1], 'closed', string.format('%.0f', closed))
        else
          redis.call('HSET', KEYS[1], state[i], string.format('%.0f %.0f %.6f', u, k, t))
        end
      end
      claimed = claimed + u + k
    end
  end
  local free = capacity - closed - claimed - used - kept
  if least > 0 and free >= least then granted = math.min(want, free) end
  left = free - granted
  redis.call('HSET', KEYS[1], 'h:' .. holder,
    string.format('%.0f %.0f %.6f', used, kept + granted, now + lease))
end
redis.call('PEXPIRE', KEYS[1], math.ceil(keep * 1000))
return {string.format('%.0f', granted), string.format('%.0f', left), string.format('%.6f', wait)}
"""


class RedisShared:
    """Fits gateway.shared.port.Shared."""

    def __init__(self, url: str, timeout: float) -> None:
        """`timeout` is for an answer, in seconds, and a second at least: who wants it sooner leaves
        earlier. Connects when it is asked first. Raises ValueError for what is no such address."""
        self._url, self._longest = url, max(timeout, 1.0)
        self._leaving: set[asyncio.Task[None]] = set()
        self._connect()

    def _connect(self) -> None:
        # Imported here: who has no such server need not have its library.
        from redis.asyncio import Redis  # noqa: PLC0415

        self._redis: Redis = Redis.from_url(
            self._url,
            socket_timeout=self._longest,
            socket_connect_timeout=self._longest,
            health_check_interval=0,
            retry=None,
            client_name="waterfall",
        )
        self._script = self._redis.register_script(DRAW)

    def _connect_anew(self) -> None:
        """Leave every connection there is. One that somebody is using stays open until he is done:
        the library does not survive that it is closed under him."""
        task = asyncio.create_task(self._leave(self._redis))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
        self._connect()

    async def _leave(self, client: Redis) -> None:
        try:
            await asyncio.sleep(2 * self._longest)
        finally:
            await client.aclose()

    async def draw(self, draws: Sequence[Draw]) -> list[Drawn]:
        """See the port."""
        return await self._run(lambda: self._draw(draws))

    async def _draw(self, draws: Sequence[Draw]) -> list[Drawn]:
        if len(draws) == 1:
            found = [await self._script(keys=[_key(draws[0].name)], args=_arguments(draws[0]))]
        else:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for draw in draws:
                    await self._script(
                        keys=[_key(draw.name)], args=_arguments(draw), client=pipeline
                    )
                found = await pipeline.execute()
        return [Drawn(int(each[0]), int(each[1]), float(each[2])) for each in found]

    async def get(self, name: str) -> bytes | None:
        """See the port."""
        return cast("bytes | None", await self._run(lambda: self._redis.get(_key(name))))

    async def put(self, name: str, value: bytes, seconds: float) -> None:
        """See the port."""
        await self._run(lambda: self._redis.set(_key(name), value, px=_milliseconds(seconds)))

    async def claim(self, name: str, value: bytes, seconds: float) -> bytes | None:
        """See the port."""
        found = await self._run(
            lambda: self._redis.set(_key(name), value, px=_milliseconds(seconds), nx=True, get=True)
        )
        return cast("bytes | None", found)

    async def drop(self, name: str) -> None:
        """See the port."""
        await self._run(lambda: self._redis.delete(_key(name)))

    async def aclose(self) -> None:
        """See the port."""
        leaving = [*self._leaving]
        for task in leaving:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        await self._redis.aclose()

    async def _run(self, command: Callable[[], Awaitable[T]]) -> T:
        from redis.exceptions import ReadOnlyError, RedisError  # noqa: PLC0415 (as above)

        asked = self._redis
        try:
            async with asyncio.timeout(self._longest):
                return await command()
        except (RedisError, OSError, TimeoutError) as error:
            if isinstance(error, ReadOnlyError) and asked is self._redis:
                # Its role has been given to another under the same name: connect there anew.
                self._connect_anew()
            raise SharedDown(type(error).__name__) from error


def _key(name: str) -> str:
    return PREFIX + name


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _arguments(draw: Draw) -> list[Any]:
    terms, ask = draw.terms, draw.ask
    whole = (ask.used, ask.kept, ask.back, ask.want, ask.least)
    return [
        *(terms.kind, terms.capacity, terms.per_second, ask.holder),
        *(*whole, LEASE, FOLD, draw.keep),
    ]
