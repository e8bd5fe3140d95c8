"""Errors that come compressed: status and wait always count, words where they unpack."""

from __future__ import annotations

import gzip
import zlib

import pytest
from upstreams.asking import answer
from upstreams.scripted import Scripted, whole

from gateway.config import UpstreamSettings
from gateway.core.errors import NotFound, UpstreamBusy, UpstreamRejected
from gateway.upstreams.encoded import MOST, unpacked
from gateway.upstreams.passing import PassingClient

ERROR = b'{"error":{"message":"the words","type":"t","code":"c","param":"p"}}'


def raw_deflate(body):
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


CODINGS = {
    "gzip": gzip.compress,
    "X-GZIP": gzip.compress,
    "deflate": zlib.compress,
    " deflate": raw_deflate,
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("name", "pack"), CODINGS.items(), ids=CODINGS)
async def test_a_packed_error_keeps_status_wait_and_words(name, pack, stream):
    packed = pack(ERROR)
    heard = await answer(whole(packed, 429, content_encoding=name, retry_after=7), stream=stream)
    assert (type(heard.error), heard.error.retry_after) == (UpstreamBusy, 7.0)
    assert heard.error.code == "c"
    heard = await answer(whole(packed, 422, content_encoding=name), stream=stream)
    assert (type(heard.error), heard.error.message) == (UpstreamRejected, "the words")


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "gzip", "deflate"])
async def test_of_what_does_not_unpack_status_and_wait_are_left(coding):
    heard = await answer(whole(b"\x1b\x00ouch", 429, content_encoding=coding, retry_after=7))
    assert (type(heard.error), heard.error.retry_after) == (UpstreamBusy, 7.0)
    assert heard.error.code == "rate_limited"


async def test_what_is_passed_through_says_a_packed_error_s_words_too():
    packed = gzip.compress(ERROR)
    async with Scripted(whole(packed, 404, content_encoding="gzip")) as server:
        client = PassingClient(UpstreamSettings("far", "openai", server.url), 5.0)
        with pytest.raises(NotFound, match="the words"):
            async with client.send("GET", "/files/x", {}, None):
                pass
        await client.aclose()


def test_a_little_that_stands_for_a_lot_is_unpacked_up_to_the_cap():
    bomb = gzip.compress(bytes(64 * 2**20))
    assert len(bomb) < MOST * 2
    assert unpacked({b"content-encoding": b"gzip"}, bomb) == bytes(MOST)


def test_what_was_cut_off_is_unpacked_as_far_as_it_came():
    body = bytes(range(256)) * 16
    part = unpacked({b"content-encoding": b"gzip"}, gzip.compress(body)[:-40])
    assert part
    assert body.startswith(part)


@pytest.mark.parametrize("headers", [{}, {b"content-encoding": b"Identity"}])
def test_what_is_plain_stays_as_it_is(headers):
    assert unpacked(headers, ERROR) == ERROR
