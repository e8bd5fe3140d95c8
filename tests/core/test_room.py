"""How much is taken on at once."""

from __future__ import annotations

from gateway.core.room import CAPS, Caps, Room


def test_a_body_has_room_for_all_that_its_caps_let_it_have():
    assert CAPS.containers == 100_000
    assert Caps(messages=100_000, parts=1_000_000).containers > 1_100_000


def test_requests_are_bounded():
    room = Room(2, 100)
    assert [(room.full, room.enter()) for _ in range(3)] == [
        (False, True),
        (False, True),
        (True, False),
    ]
    room.leave()
    assert not room.full
    assert room.enter()


def test_bytes_are_bounded_but_one_body_alone_is_taken():
    room = Room(9, 100)
    assert room.charge(150)
    assert not room.charge(1)
    room.give_back(150)
    assert room.charge(60)
    assert not room.charge(41)
    assert room.charge(40)
    assert (room.requests, room.bytes) == (0, 100)
