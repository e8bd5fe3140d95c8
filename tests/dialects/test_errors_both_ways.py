"""Errors, there and back: what an upstream said, told in each dialect and heard by another gateway
before it, is the same error with the same code, field and wait."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.errors import (
    ContentRefused,
    ContextTooLong,
    UpstreamBusy,
    UpstreamDown,
    UpstreamOverloaded,
    UpstreamRejected,
    UpstreamTimeout,
)
from gateway.dialects.completions import COMPLETIONS
from gateway.dialects.messages import MESSAGES
from gateway.dialects.responses import RESPONSES
from gateway.upstreams.failures import from_reply

SPOKEN = {each.api: each for each in (MESSAGES, RESPONSES, COMPLETIONS)}
WORDS = st.text('ab é\n"\\', min_size=1, max_size=20).map(lambda text: f"<{text}>")
NAMES = st.from_regex(r"[a-z][a-z_.]{0,20}", fullmatch=True).map(lambda name: f"x_{name}")
WAITS = st.none() | st.integers(1, 600).map(float)
REJECTED = st.builds(
    UpstreamRejected,
    WORDS,
    status=st.sampled_from([400, 413, 422]),
    param=st.none() | NAMES,
    code=NAMES,
)
TOO_LONG = st.builds(
    ContextTooLong, WORDS, param=st.none() | NAMES, code=st.just("context_length_exceeded")
)
REFUSED = st.builds(ContentRefused, WORDS, param=st.none() | NAMES, code=st.just("content_filter"))
FULL = st.builds(UpstreamBusy, WORDS, retry_after=WAITS) | st.builds(
    UpstreamOverloaded, WORDS, retry_after=WAITS
)
LOST = st.builds(UpstreamTimeout, WORDS) | st.builds(UpstreamDown, WORDS, kind=st.just("server"))


@pytest.mark.parametrize("dialect", SPOKEN.values(), ids=SPOKEN)
@given(REJECTED | TOO_LONG | REFUSED | FULL | LOST)
@settings(max_examples=60)
def test_an_error_is_heard_as_what_it_was(dialect, error):
    body = orjson.dumps(dialect.error(error, "req_1"))
    wait = error.retry_after
    headers = {} if wait is None else {b"retry-after": b"%d" % wait}
    heard = from_reply(error.status, headers, body)
    assert (type(heard), heard.status, heard.kind) == (type(error), error.status, error.kind)
    assert heard.retry_after == wait
    if isinstance(error, UpstreamRejected):
        assert (heard.code, heard.param) == (error.code, error.param)
        assert heard.message.endswith(error.message)
