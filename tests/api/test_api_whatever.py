"""Properties: whatever is sent, the answer is a reply or an error that a client can read."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import orjson
import pytest
from api.serving import CHAT, config, house
from hypothesis import given
from hypothesis import strategies as st

USER = {"role": "user", "content": "Say hello."}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False)
    | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)  # fmt: skip
FIELDS = st.sampled_from(
    "model messages stream stream_options n max_tokens max_completion_tokens logprobs "
    "top_logprobs tools tool_choice response_format stop logit_bias temperature user seed "
    "metadata functions x".split()
)
SOUND = {"model": "auto", "messages": [USER]}
MESSAGE = st.fixed_dictionaries({}, optional={
    "role": st.sampled_from(["user", "system", "tool", "assistant", "?"]) | JSON,
    "content": st.text(max_size=9) | JSON | st.lists(JSON, max_size=3),
    "tool_calls": JSON,
    "name": JSON,
})  # fmt: skip
NEARLY = st.builds(
    lambda fields, messages: {**SOUND, **fields, **({"messages": messages} if messages else {})},
    st.dictionaries(FIELDS, JSON, max_size=4),
    st.lists(MESSAGE, max_size=3),
)


@pytest.fixture(scope="module")
def ask():
    """One gateway for many requests, outside any test's own loop."""
    with (
        tempfile.TemporaryDirectory() as folder,
        asyncio.Runner() as runner,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr("gateway.api.feedback._LOOK_AGAIN", ())  # once is enough: nobody else serves
        opening = house(Path(folder), config(server__max_body="64KB"))
        it = runner.run(opening.__aenter__())
        yield lambda raw, path=CHAT, **headers: runner.run(it.post(raw, path, **headers))
        runner.run(opening.__aexit__(None, None, None))


def sound_or_refused(answer):
    assert answer.raised is None
    assert answer.status in {200, 400, 404, 413, 415}, (answer.status, answer.body)
    assert answer.whole
    if answer.status != 200:
        assert answer.error["type"] in {"invalid_request_error", "not_found"}


@given(raw=st.binary(max_size=300))
def test_no_bytes_give_a_fault(ask, raw):
    sound_or_refused(ask(raw))


@given(body=JSON)
def test_no_json_gives_a_fault(ask, body):
    sound_or_refused(ask(orjson.dumps(body, option=orjson.OPT_NON_STR_KEYS)))


@given(body=NEARLY)
def test_no_nearly_sound_request_gives_a_fault(ask, body):
    raw = orjson.dumps(body)
    sound_or_refused(ask(raw))
    sound_or_refused(ask(raw, "/v1/route"))


HEADERS = st.sampled_from(
    "x_waterfall_tier x_waterfall_threshold x_waterfall_mode x_waterfall_max_cost_usd "
    "x_waterfall_deadline x_waterfall_session x_waterfall_details x_request_id authorization "
    "content_type content_encoding content_length origin idempotency_key".split()
)
VALUES = st.text(st.characters(max_codepoint=127), max_size=20) | st.sampled_from(
    ["0", "1", "0.5", "nan", "inf", "-1", "1e999", "0,1", "1_0", "small", "off", "10ms", "true"]
)


@given(headers=st.dictionaries(HEADERS, VALUES, max_size=4))
def test_no_headers_give_a_fault(ask, headers):
    answer = ask(orjson.dumps(SOUND), **headers)
    assert answer.raised is None
    # 504: a deadline of next to nothing is legal, and soon over. 422: an Idempotency-Key of before.
    assert answer.status in {200, 400, 413, 415, 422, 504}, (answer.status, answer.body)
    assert b"\r" not in b"".join(value for _, value in answer.headers)
    assert b"\n" not in b"".join(value for _, value in answer.headers)


FEEDBACK = st.fixed_dictionaries({}, optional={
    "request_id": st.sampled_from(["known", "unheard-of"]) | JSON,
    "score": st.floats(0, 1) | JSON,
    "label": st.sampled_from(["judge", "a.b-c_d"]) | JSON,
    "tier": st.sampled_from(["small", "large", "none", "waterfall"]) | JSON,
    "more": JSON,
})  # fmt: skip


@given(body=FEEDBACK | JSON)
def test_no_feedback_gives_a_fault(ask, body):
    assert ask(orjson.dumps(SOUND), x_request_id="known").status == 200
    sound_or_refused(ask(orjson.dumps(body, option=orjson.OPT_NON_STR_KEYS), "/v1/feedback"))


@given(raw=st.binary(max_size=300))
def test_no_bytes_for_feedback_give_a_fault(ask, raw):
    sound_or_refused(ask(raw, "/v1/feedback"))
