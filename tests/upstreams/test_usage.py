"""What upstreams of each dialect say they used, as their own documentation shows it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.money import TOKEN_CAP, Usage
from gateway.upstreams.usage import ANTHROPIC, OPENAI, read_usage

USED = {"prompt_tokens": 41, "completion_tokens": 17}

OF_OPENAI = {
    "OpenAI: cached within the prompt, reasoning within the completion": (
        {
            **USED,
            "total_tokens": 58,
            "prompt_tokens_details": {"cached_tokens": 30, "audio_tokens": 5, "image_tokens": 4},
            "completion_tokens_details": {
                "reasoning_tokens": 9,
                "audio_tokens": 2,
                "image_tokens": 1,
                "accepted_prediction_tokens": 0,
            },
        },
        Usage(
            *(41, 17, 30),
            reasoning=9,
            audio_input=5,
            audio_output=2,
            image_input=4,
            image_output=1,
        ),
    ),
    "parts that overlap are cut, the cached first": (
        {**USED, "prompt_tokens_details": {"cached_tokens": 38, "audio_tokens": 38}},
        Usage(41, 17, 38, audio_input=3),
    ),
    "DeepSeek: hits and misses beside the whole": (
        {**USED, "prompt_cache_hit_tokens": 30, "prompt_cache_miss_tokens": 11},
        Usage(41, 17, 30),
    ),
    "Moonshot: cached at the top": ({**USED, "cached_tokens": 30}, Usage(41, 17, 30)),
    "OpenRouter: written to the cache": (
        {**USED, "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 30}},
        Usage(41, 17, cache_write=30),
    ),
    "xAI: reasoning beside the completion": (
        {
            "prompt_tokens": 10_120,
            "completion_tokens": 1_499,
            "total_tokens": 14_428,
            "prompt_tokens_details": {"cached_tokens": 128},
            "completion_tokens_details": {"reasoning_tokens": 2_809},
        },
        Usage(10_120, 1_499 + 2_809, 128, reasoning=2_809),
    ),
    "Gemini: thoughts in the total alone": (
        {"prompt_tokens": 20, "completion_tokens": 198, "total_tokens": 623},
        Usage(20, 603, reasoning=405),
    ),
    "cached beside the prompt": (
        {**USED, "total_tokens": 158, "prompt_tokens_details": {"cached_tokens": 100}},
        Usage(141, 17, 100),
    ),
    "a total that is too small": ({**USED, "total_tokens": 3}, Usage(41, 17)),
    "a total that is none": ({**USED, "total_tokens": "many"}, Usage(41, 17)),
    "a total beyond belief": ({**USED, "total_tokens": 10**18}, None),
    "a tier of service": ({**USED, "service_tier": "flex"}, Usage(41, 17, service="flex")),
    "a tier of service that is no word": ({**USED, "service_tier": "Not a word"}, Usage(41, 17)),
    "a tier of service that is none": ({**USED, "service_tier": None}, Usage(41, 17)),
    "counts that are none": (
        {**USED, "prompt_tokens_details": {"cached_tokens": True, "audio_tokens": -4}},
        Usage(41, 17),
    ),
}


@pytest.mark.parametrize(("reported", "used"), OF_OPENAI.values(), ids=OF_OPENAI)
def test_openai_s_dialect(reported, used):
    assert read_usage(reported, OPENAI) == used


OF_ANTHROPIC = {
    "cached and written beside the input": (
        {
            "input_tokens": 50,
            "cache_read_input_tokens": 100_000,
            "cache_creation_input_tokens": 248,
            "cache_creation": {"ephemeral_5m_input_tokens": 148, "ephemeral_1h_input_tokens": 100},
            "output_tokens": 503,
            "service_tier": "priority",
        },
        Usage(*(100_298, 503, 100_000, 248), cache_write_1h=100, service="priority"),
    ),
    "nothing cached": ({"input_tokens": 7, "output_tokens": 3}, Usage(7, 3)),
    "all cached": (
        {"input_tokens": 0, "cache_read_input_tokens": 9, "output_tokens": 3},
        Usage(9, 3, 9),
    ),
    "written, told by how long it is kept alone": (
        {
            "input_tokens": 7,
            "cache_creation": {"ephemeral_5m_input_tokens": 600, "ephemeral_1h_input_tokens": 50},
            "output_tokens": 3,
        },
        Usage(657, 3, cache_write=650, cache_write_1h=50),
    ),
    "no input": ({"cache_read_input_tokens": 9, "output_tokens": 3}, None),
    "negative": ({"input_tokens": -7, "output_tokens": 3}, None),
}


@pytest.mark.parametrize(("reported", "used"), OF_ANTHROPIC.values(), ids=OF_ANTHROPIC)
def test_anthropic_s_dialect(reported, used):
    assert read_usage(reported, ANTHROPIC) == used


def test_a_tier_of_service_outside_of_the_usage():
    assert read_usage(USED, OPENAI, "priority").service == "priority"
    within = {**USED, "service_tier": "flex"}
    assert read_usage(within, OPENAI, "priority").service == "flex"


COUNTS = st.one_of(st.integers(-5, 200), st.just(10**18), st.none(), st.booleans(), st.text())
NAMES = st.sampled_from(
    "prompt_tokens completion_tokens total_tokens cached_tokens input_tokens output_tokens "
    "reasoning_tokens audio_tokens image_tokens cache_write_tokens cache_read_input_tokens "
    "cache_creation_input_tokens ephemeral_1h_input_tokens service_tier".split()
)
DETAILS = st.dictionaries(NAMES, COUNTS)
REPORTS = st.dictionaries(
    st.one_of(
        NAMES,
        st.sampled_from(["prompt_tokens_details", "completion_tokens_details", "cache_creation"]),
    ),
    st.one_of(COUNTS, DETAILS),
)


@given(REPORTS, st.sampled_from([OPENAI, ANTHROPIC]))
def test_whatever_is_reported_parts_never_exceed_their_whole(reported, dialect):
    used = read_usage(reported, dialect)
    if used is not None:
        assert 0 <= used.prompt <= TOKEN_CAP
        assert 0 <= used.completion <= TOKEN_CAP
        assert used.cached + used.cache_write + used.audio_input + used.image_input <= used.prompt
        assert used.reasoning + used.audio_output + used.image_output <= used.completion
        assert used.cache_write_1h <= used.cache_write
