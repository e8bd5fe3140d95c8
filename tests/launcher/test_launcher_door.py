"""The door hands each connection to who has the fewest, and loses none on the way."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket

import pytest
from app.serving import until
from fastapi import FastAPI

from gateway.api.doors import StartError
from gateway.launcher import door as doors
from gateway.launcher.door import Door, Line
from gateway.launcher.handed import serving_handed
from gateway.launcher.sockets import listen, reserve

DRAIN = 2.0


class Entrance:
    """A door on loopback, with so many lines, and clients of it."""

    def __init__(self, stack, lines):
        self.sock = listen("127.0.0.1", 0)
        self.address = self.sock.getsockname()
        self.door = Door(self.sock)
        stack.callback(self.door.shut)
        self.lines = [Line() for _ in range(lines)]
        for line in self.lines:
            line.theirs.setblocking(False)
            stack.callback(line.close)
            stack.callback(line.theirs.close)
        self._stack = stack
        self.taken = []

    def open(self):
        for line in self.lines:
            self.door.add(line)

    async def come(self, count=1):
        """So many clients connect; return the sockets, once they have."""
        came = []
        for _ in range(count):
            client = self._stack.enter_context(socket.socket())
            client.setblocking(False)
            await asyncio.get_running_loop().sock_connect(client, self.address)
            came.append(client)
        return came

    def take(self, line):
        """What a worker finds on its line."""
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                told, given, _, _ = socket.recv_fds(line.theirs, 1, 1)
                if not told:
                    break
                found += [self._stack.enter_context(socket.socket(fileno=each)) for each in given]
        return found


@pytest.fixture
async def stack():
    with contextlib.ExitStack() as opened:
        yield opened


async def test_connections_are_dealt_out_in_turns(stack):
    it = Entrance(stack, 3)
    it.open()
    await it.come(9)
    await until(lambda: sum(line.held for line in it.lines) == 9)
    assert [len(it.take(line)) for line in it.lines] == [3, 3, 3]


async def test_who_has_the_fewest_is_next(stack):
    it = Entrance(stack, 2)
    it.open()
    await it.come(8)
    await until(lambda: sum(line.held for line in it.lines) == 8)
    first, second = it.lines
    first.theirs.send(b"eee")
    await it.come(3)
    await until(lambda: (first.count(), second.count()) == (4, 4))


async def test_what_is_handed_over_is_the_connection_and_names_tcp(stack):
    it = Entrance(stack, 1)
    it.open()
    (client,) = await it.come()
    await until(lambda: it.lines[0].held)
    (taken,) = it.take(it.lines[0])
    assert taken.getpeername() == client.getsockname()
    assert taken.proto == socket.IPPROTO_TCP
    assert taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_whoever_comes_while_nobody_serves_waits(stack):
    it = Entrance(stack, 2)
    first, second = it.lines
    it.door.add(first)
    it.door.remove(first)
    await it.come(3)
    await asyncio.sleep(0.05)
    it.door.add(second)
    await until(lambda: second.held == 3)
    assert len(it.take(second)) == 3


async def test_what_a_worker_that_has_gone_cannot_take_the_next_one_gets(stack):
    it = Entrance(stack, 2)
    it.open()
    it.lines[0].theirs.close()
    await it.come(4)
    await until(lambda: it.lines[1].held == 4)
    it.lines[1].theirs.close()
    await it.come(2)
    other = Line()
    other.theirs.setblocking(False)
    stack.callback(other.close)
    stack.callback(other.theirs.close)
    await asyncio.sleep(0.05)
    it.door.add(other)
    await until(lambda: other.held == 2)


async def test_one_that_is_stuck_is_given_no_more_than_its_line_holds(stack, monkeypatch):
    monkeypatch.setattr(doors, "REST", 0.05)
    it = Entrance(stack, 1)
    it.lines[0].ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    it.open()
    came = await it.come(40)
    await asyncio.sleep(0.2)
    assert 0 < it.lines[0].held < 40
    taken = []

    def all_taken():
        taken.extend(it.take(it.lines[0]))
        return len(taken) == len(came)

    await until(all_taken)


async def test_what_the_system_refuses_for_now_is_no_reason_to_give_a_worker_up(stack, monkeypatch):
    monkeypatch.setattr(doors, "REST", 0.05)
    it = Entrance(stack, 1)
    it.open()
    real, refused = socket.send_fds, []

    def refuses(*given):
        if len(refused) < 2:
            refused.append(given)
            raise OSError(errno.ETOOMANYREFS, "Too many references")
        return real(*given)

    monkeypatch.setattr(socket, "send_fds", refuses)
    await it.come(3)
    await until(lambda: it.lines[0].held == 3)


async def test_without_room_for_a_connection_it_rests_and_goes_on(stack, monkeypatch, caplog):
    monkeypatch.setattr(doors, "REST", 0.05)
    it = Entrance(stack, 1)
    full = OSError(24, "Too many open files")
    it.door._sock = refusing = _Refusing(it.sock, full)
    it.open()
    await it.come(2)
    await until(lambda: refusing.refused >= 2)
    assert "no connection can be accepted for 0.05 s: Too many open files" in caplog.text
    refusing.error = None
    await until(lambda: it.lines[0].held == 2)


class _Refusing:
    """A listening socket that cannot accept."""

    def __init__(self, real, error):
        self._real, self.error, self.refused = real, error, 0

    def accept(self):
        if self.error:
            self.refused += 1
            raise self.error
        return self._real.accept()

    def __getattr__(self, name):
        return getattr(self._real, name)


async def test_when_it_shuts_who_has_come_is_still_handed_over(stack):
    it = Entrance(stack, 1)
    it.open()
    await it.come(5)
    it.door.shut()
    assert len(it.take(it.lines[0])) == 5
    with pytest.raises(OSError, match="onnect"):
        await it.come()


async def test_once_it_is_shut_nobody_is_let_to_it(stack):
    it = Entrance(stack, 2)
    it.door.add(it.lines[0])
    it.door.shut()
    for line in it.lines:  # ready too late, one after the other, and then they end
        it.door.add(line)
    for line in it.lines:
        it.door.remove(line)
    assert all(line.theirs.recv(1) == b"" for line in it.lines)


async def test_a_port_is_free_again_at_once_though_the_gateway_closed_first(stack):
    address = "127.0.0.1", 0
    for _ in range(3):  # the second and third find the ends of the one before
        sock = reserve(*address)
        address = sock.getsockname()
        door, line = Door(sock), Line()
        stack.callback(door.shut)
        stack.callback(line.close)
        with pytest.raises(StartError, match="in use"):
            reserve(*address)
        door.add(line)
        with pytest.raises(StartError, match="in use"):
            reserve(*address)
        client = stack.enter_context(socket.socket())
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, address)
        await until(lambda held=line: held.held)
        _, given, _, _ = socket.recv_fds(line.theirs, 1, 1)
        line.theirs.close()
        socket.socket(fileno=given[0]).close()
        client.close()
        door.shut()


# ------------------------------------------------------------------ a worker's end of it


def app():
    made = FastAPI()

    @made.get("/")
    async def root(seconds: float = 0):
        await asyncio.sleep(seconds)
        return "served"

    return made


async def ask(client, path="/"):
    """Ask on a kept connection; return the reply's head."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(client, f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    told = b""
    while not told.endswith(b'"served"'):
        block = await loop.sock_recv(client, 65_536)
        assert block, "the connection was closed in the middle"
        told += block
    return told.partition(b"\r\n\r\n")[0].lower()


async def test_a_worker_that_leaves_says_so_with_the_next_reply(stack):
    it = Entrance(stack, 1)
    (line,) = it.lines
    it.open()
    async with serving_handed(app(), line.theirs, DRAIN) as handed:
        clients = await it.come(3)
        heads = [await ask(client) for client in clients]
        assert not [head for head in heads if b"connection: close" in head]
        assert not handed.left.is_set()
        it.door.remove(line)
        await handed.left.wait()
        parting = asyncio.create_task(handed.part(DRAIN, ()))
        await asyncio.sleep(0.2)
        assert not parting.done(), "a client may be about to send"
        assert all([b"connection: close" in await ask(client) for client in clients])
        await parting
        assert handed.idle


async def test_what_was_handed_over_is_served_though_the_worker_stops(stack):
    it = Entrance(stack, 1)
    it.open()
    async with serving_handed(app(), it.lines[0].theirs, DRAIN):
        (client,) = await it.come()
        slow = asyncio.create_task(ask(client, "/?seconds=0.3"))
        await asyncio.sleep(0.1)
    assert b"200 ok" in await slow
    assert not it.lines[0].give(client), "who sends now is told"


async def test_the_door_hears_of_every_end(stack):
    it = Entrance(stack, 1)
    (line,) = it.lines
    it.open()
    async with serving_handed(app(), line.theirs, DRAIN) as handed:
        clients = await it.come(4)
        await until(lambda: line.count() == 4)
        for client in clients[:3]:
            client.close()
        await until(lambda: line.count() == 1)
        # One that has gone before it could be served has ended too.
        (gone,) = await it.come()
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        gone.close()
        await until(lambda: line.count() == 1)
        assert not handed.idle
