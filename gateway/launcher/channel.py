"""The private line between the supervisor and a worker: a socket pair that nobody else can open.

Both ends may ask, and both learn at once when the other has gone, however it went.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from itertools import count
from typing import Any

import orjson

from gateway.core.errors import BadRequest, GatewayError

_HEAD = 4
Answer = Callable[[Any], Awaitable[Any]]
"""Answers one kind of question: takes and returns JSON values. Raises GatewayError to refuse."""


class LineLost(Exception):
    """The other side has gone, or could not answer; the message says which."""


class Channel:
    """Frames of JSON, each a question, an answer or news; questions are answered side by side."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answers: MutableMapping[str, Answer],
    ) -> None:
        """`answers` are by the question's name, and may be added to later."""
        self.answers = answers
        self.closed = asyncio.Event()
        """Set when the other side has gone, and everything it had said was taken up."""
        self._reader = reader
        self._writer = writer
        self._numbers = count()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def over(cls, sock: socket.socket, answers: MutableMapping[str, Answer]) -> Channel:
        """Speak over a connected socket."""
        return cls(*await asyncio.open_unix_connection(sock=sock), answers)

    async def ask(self, name: str, given: Any = None, limit: float = 10.0) -> Any:
        """Ask the other side, and wait at most `limit` seconds. Raises LineLost, or BadRequest
        where it refused."""
        if self.closed.is_set():
            raise LineLost("has gone")
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        self._send({"ask": name, "number": number, "given": given})
        try:
            async with asyncio.timeout(limit):
                return await answer
        except TimeoutError:
            raise LineLost(f"did not answer within {limit:g} s") from None
        finally:
            self._waiting.pop(number, None)

    def tell(self, name: str, given: Any = None) -> None:
        """Tell the other side something that wants no answer; nothing happens where it has gone."""
        self._send({"ask": name, "number": None, "given": given})

    async def close(self) -> None:
        """Let what was said go out, then hang up."""
        self._writer.close()
        with contextlib.suppress(OSError):  # it had gone already
            await self._writer.wait_closed()
        await self.closed.wait()

    def _send(self, frame: Any) -> None:
        if not self._writer.is_closing():
            data = orjson.dumps(frame)
            self._writer.write(len(data).to_bytes(_HEAD) + data)

    async def _read(self) -> None:
        try:
            while True:
                head = await self._reader.readexactly(_HEAD)
                self._take(orjson.loads(await self._reader.readexactly(int.from_bytes(head))))
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(LineLost("has gone"))
            self._writer.close()
            self.closed.set()

    def _take(self, frame: Any) -> None:
        if "ask" in frame:
            task = asyncio.create_task(self._answer(frame))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
            return
        waiting = self._waiting.get(frame["number"])
        if waiting is None or waiting.done():  # too late: nobody waits for it any more
            return
        if "refused" in frame:
            waiting.set_exception(BadRequest(frame["refused"], param=frame["param"]))
        elif "failed" in frame:
            waiting.set_exception(LineLost(frame["failed"]))
        else:
            waiting.set_result(frame["answer"])

    async def _answer(self, frame: Any) -> None:
        said: dict[str, Any]
        try:
            said = {"answer": await self.answers[frame["ask"]](frame["given"])}
        except GatewayError as error:
            said = {"refused": error.message, "param": error.param}
        except Exception as error:  # noqa: BLE001 - whoever asked is told; the line stays up
            said = {"failed": f"failed: {type(error).__name__}: {error}"}
        if frame["number"] is not None:
            self._send({"number": frame["number"], **said})
