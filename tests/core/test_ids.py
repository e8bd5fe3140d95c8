from __future__ import annotations

import uuid

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.ids import Ids, uuid7

MOMENT = st.integers(0, 2**48 - 1)


def test_the_standard_s_own_example():
    """RFC 9562, appendix A.6."""
    entropy = 0xCC3 << 62 | 0x18C4DC0C0C07398F
    assert uuid7(0x017F22E279B0, entropy) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@settings(max_examples=25)
@given(MOMENT, st.integers(0, 2**90))
def test_it_is_a_version_7_uuid_of_its_moment(moment, entropy):
    read = uuid.UUID(uuid7(moment, entropy))
    assert (read.version, read.variant, read.int >> 80) == (7, uuid.RFC_4122, moment)


@settings(max_examples=25)
@given(MOMENT, MOMENT, st.integers(0, 2**74 - 1), st.integers(0, 2**74 - 1))
def test_ids_sort_by_time(one, other, entropy, more):
    first, second = uuid7(min(one, other), entropy), uuid7(max(one, other), more)
    assert one == other or first < second


def test_ids_are_drawn_of_a_store_of_randomness_and_no_byte_of_it_is_used_twice():
    asked: list[int] = []

    def entropy(size: int) -> bytes:
        asked.append(size)
        return b"".join((len(asked) * 100 + place).to_bytes(10) for place in range(size // 10))

    ids = Ids(lambda: 5_000_000, entropy)
    drawn = [ids.draw() for _ in range(150)]
    assert len(set(drawn)) == 150
    assert asked == [1000, 1000]
    assert drawn[0] == uuid7(5, 100)
    assert drawn[149] == uuid7(5, 249)
