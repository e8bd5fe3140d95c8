"""Equal prompts have equal hashes, and nobody without the key can tell of which."""

from __future__ import annotations

import json
from hashlib import blake2b

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.chat import ChatRequest
from gateway.core.prompt_hash import SIZE, hasher

HELLO = [{"role": "user", "content": "Hello."}]


def asked(messages, **fields):
    return ChatRequest({"model": "waterfall", "messages": messages, **fields})


def test_without_a_key_there_is_none():
    assert hasher(None)(asked(HELLO)) == ""


def test_it_goes_by_the_messages_and_the_key_alone():
    of = hasher("a key")
    one = of(asked(HELLO))
    assert len(bytes.fromhex(one)) == SIZE
    assert one == of(asked(HELLO, temperature=0.7, stream=True))
    assert one == of(asked([{"content": "Hello.", "role": "user"}]))
    assert one != hasher("another")(asked(HELLO))
    others = ([*HELLO, *HELLO], [{"role": "system", "content": "Hello."}], [])
    assert len({one, *(of(asked(each)) for each in others)}) == 4
    written = json.dumps(HELLO, sort_keys=True, separators=(",", ":")).encode()
    assert one != blake2b(written, digest_size=SIZE).hexdigest()


texts = st.text(st.characters(), max_size=20)


@given(st.lists(texts, max_size=4), st.lists(texts, max_size=4))
def test_equal_conversations_and_no_others_have_one(one, other):
    of = hasher("a key")
    hashes = [
        of(asked([{"role": "user", "content": text} for text in each])) for each in (one, other)
    ]
    assert (hashes[0] == hashes[1]) == (one == other)


def test_half_a_surrogate_pair_has_one_too():
    assert hasher("a key")(asked([{"role": "user", "content": "\ud83d"}]))
