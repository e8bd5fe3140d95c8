"""How long to wait, and what of an upstream's words may be told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import UpstreamError
from gateway.upstreams.failures import (
    MAX_MESSAGE,
    MAX_WAIT,
    from_reply,
    in_event,
    mask,
    retry_after,
)


def told(status, error=None, **headers):
    named = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    return from_reply(status, named, orjson.dumps({"error": error}))


# ------------------------------------------------------------------ Retry-After

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def http_date(seconds):
    return format_datetime(NOW + timedelta(seconds=seconds), usegmt=True).encode()


WAITS = [
    (b"1", 1.0),
    (b"60", 60.0),
    (b"3600", 3600.0),
    (b" 2.5 ", 2.5),
    (b"0", 0.0),
    (b"9" * 400, MAX_WAIT),
    (http_date(90), 90.0),
    (http_date(-90), 0.0),
    (http_date(10**7), MAX_WAIT),
    (b"Sun, 22 Nov 2026 12:00:07 -0000", 7.0),
    (b"soon", None),
    (b"", None),
    (b"-5", None),
    (b"nan", None),
    (b"inf", None),
    (b"1e3", None),
    (b"\xff\xfe", None),
    (b"1, 2", None),
    (b"Sun, 99 Foo 99999 99:99:99 GMT", None),
    (None, None),
]


@pytest.mark.parametrize(("value", "seconds"), WAITS)
def test_retry_after_is_read_in_every_form(value, seconds):
    assert retry_after(value, NOW.timestamp()) == seconds


@given(st.binary(max_size=40))
def test_no_retry_after_is_believed_beyond_a_day(value):
    wait = retry_after(value, NOW.timestamp())
    assert wait is None or 0 <= wait <= MAX_WAIT


@pytest.mark.parametrize(
    ("status", "wait"), [(429, 7.0), (503, 7.0), (529, 7.0), (500, None), (400, None)]
)
def test_a_wait_is_kept_where_it_means_one(status, wait):
    assert told(status, retry_after=b"7").retry_after == wait


# ------------------------------------------------------------------ what must not be told

SECRET = "sk-live-4242424242424242"


@pytest.mark.parametrize("position", range(MAX_MESSAGE - 40, MAX_MESSAGE + 10))
def test_a_key_never_survives_even_where_the_message_is_cut(position):
    message = "x" * (position - 10) + " key: " + SECRET + " was refused " + "y" * 3000
    error = told(400, {"message": message, "param": SECRET, "code": SECRET})
    mask(error, SECRET)
    assert SECRET[:4] not in f"{error} {error.body()}"
    assert len(error.message) <= MAX_MESSAGE + 4


def test_an_endless_word_is_dropped():
    assert told(400, {"message": "x" * 5000}).message == "The upstream rejects the request (400)."


def test_credentials_in_an_address_are_cut_out():
    error = told(400, {"message": "cannot load http://joe:pass@host/image.png today"})
    assert error.message == "cannot load http://host/image.png today"


def test_without_a_secret_nothing_is_masked():
    error = told(400, {"message": "fine"})
    for secret in (None, ""):
        mask(error, secret)
    assert error.message == "fine"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 600) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["error", "message", "code", "type", "param", "status", "detail", "innererror"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=10,
)


@given(body=JSON, status=st.integers(300, 599))
def test_any_body_is_one_small_error(body, status):
    error = from_reply(status, {}, orjson.dumps(body))
    assert isinstance(error, UpstreamError)
    assert 400 <= error.status <= 599
    assert isinstance(error.message, str)
    orjson.dumps(error.body())
    assert isinstance(in_event(orjson.dumps(body)), UpstreamError)
