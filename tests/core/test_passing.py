"""What is passed through: which endpoints, what they tell of themselves, what they cost."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sample_rows import whole_row as row

from gateway.core.errors import UpstreamBusy
from gateway.core.ledger import Origin
from gateway.core.money import FREE, UNPRICED, Cost, Price, Usage
from gateway.core.outcome import CallRecord
from gateway.core.passing import (
    NO_CHARGE,
    Passage,
    Passed,
    entry_of,
    group_of,
    model_in_form,
    price_of,
    usage_in,
)

PRICE = Price(input=20_000, output=0).sealed("book")
TOLD, GUESS = Usage(1000), Usage(7, estimated=True)
EMBED = Passage("embeddings", "POST", "/embeddings", "far")


@pytest.mark.parametrize(
    ("method", "path", "group"),
    [
        ("POST", "/embeddings", "embeddings"),
        ("GET", "/embeddings", None),
        ("POST", "/audio/speech", "audio"),
        ("POST", "/audio/speech/x", None),
        ("GET", "/files", "files"),
        ("DELETE", "/files/file-1", "files"),
        ("GET", "/files/file-1/content", "files"),
        ("GET", "/files/../admin", None),
        ("POST", "/batches/b1/cancel", "batches"),
        ("GET", "/responses/resp_1", "responses"),
        ("DELETE", "/responses/resp_1", "responses"),
        ("GET", "/responses/resp_1/input_items", "responses"),
        ("POST", "/responses/resp_1/cancel", "responses"),
        ("POST", "/responses/resp_1", None),
        ("POST", "/chat/completions", None),
    ],
)
def test_which_group_a_request_is_of(method, path, group):
    assert group_of(method, path) == group


FORM = b'--b\r\nContent-Disposition: form-data; name="model"\r\n%b\r\nwhisper-1\r\n--b--'


@pytest.mark.parametrize("extra", [b"", b"content-type: text/plain\r\n"])
def test_the_model_in_a_form(extra):
    assert model_in_form(b"junk" + FORM % extra) == "whisper-1"
    assert model_in_form(b'name="file"\r\n\r\nmodel') == ""


@pytest.mark.parametrize(
    ("head", "tail", "usage"),
    [
        (b"", b'{"data": [], "usage": {"prompt_tokens": 3}}', {"prompt_tokens": 3}),
        (b'{"usage":{"a":1},"data":', b"AAAA", {"a": 1}),
        (b"", b'data: {"usage": {"a": 1}}\n\ndata: {"usage": {"a": 2}}\n\n', {"a": 2}),
        (b"", b'{"text": "he said \\"usage\\": {\\"a\\": 1}"}', None),
        (b"", b'{"usage": {"a": 1}, "x": "cut \\"usage\\": {', {"a": 1}),
        (b"", b'"usage": {"a": ', None),
        (b"", b"\xff\xfe", None),
    ],
)
def test_the_usage_in_a_reply(head, tail, usage):
    assert usage_in(head, tail) == usage


@pytest.mark.parametrize(
    ("passage", "known", "told", "priced"),
    [
        (EMBED, PRICE, TOLD, (PRICE, TOLD)),
        (EMBED, PRICE, None, (PRICE, GUESS)),
        (EMBED, None, TOLD, (UNPRICED, TOLD)),
        (EMBED, UNPRICED, None, (UNPRICED, GUESS)),
        (replace(EMBED, group="audio"), PRICE, None, (UNPRICED, GUESS)),
        (replace(EMBED, group="audio"), PRICE, TOLD, (PRICE, TOLD)),
        (replace(EMBED, group="files"), None, None, (NO_CHARGE, Usage())),
        (replace(EMBED, group="batches"), None, None, (UNPRICED, GUESS)),
        (replace(EMBED, group="batches", method="GET"), None, None, (NO_CHARGE, Usage())),
        (replace(EMBED, group="batches", path="/batches/b/cancel"), None, None,
         (NO_CHARGE, Usage())),
    ],
)  # fmt: skip
def test_what_it_goes_by(passage, known, told, priced):
    assert price_of(passage, known, told, GUESS) == priced


def record(**changes):
    call = CallRecord("c", EMBED.tier, "far", "embed-1", 0.1, 0.2, "ok", TOLD, PRICE.cost(TOLD))
    passed = Passed(EMBED, call, "embed-1", PRICE, total=0.5, first=0.4, waited=0.3)
    origin = Origin("e", "r", 1.0, api="embeddings", requested_model="embed-1")
    return entry_of(origin, replace(passed, **changes), "cfg", 5)


def test_its_record_saves_nothing():
    entry = record()
    assert (entry.route, entry.served_tier, entry.start_tier) == ("passthrough/embeddings",) * 3
    assert (entry.cost, entry.baseline.cost, entry.baseline.basis) == (20, 20, "measured")
    assert (entry.status, entry.ending, entry.gateway_cost) == (200, "ok", 5)
    flat = row(entry)
    assert (flat["score"], flat["decided"], flat["escalated"]) == (None, None, False)
    assert flat["attempts"][0]["calls"][0]["cost"] == 20


def test_a_failed_and_a_broken_off_one():
    busy = UpstreamBusy("slow")
    call = replace(record().outcome.attempts[0].calls[0], cost=FREE, usage=Usage())
    failed = record(call=call, failure=busy, error=busy, first=None)
    assert (failed.status, failed.served_tier, failed.baseline.cost) == (429, "none", 0)
    gone = record(cancelled=True)
    assert (gone.status, gone.outcome.served, gone.cost) == (499, None, 20)
    nothing = record(call=None, error=busy)
    assert (nothing.outcome.attempts[0].calls, nothing.cost) == ((), 0)
    guessed = record(call=replace(call, usage=GUESS, cost=Cost()))
    assert guessed.baseline.basis == "estimated"
