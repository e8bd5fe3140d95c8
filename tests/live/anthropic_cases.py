"""What Anthropic's official SDK is asked to do, run in an environment of its own.

    python anthropic_cases.py BASE_URL KEY simulated|llama

Every value that comes back is read once more by the SDK's own models, strictly: a field that is
missing, of another type, or none of theirs is a violation. Prints one JSON object: each case's
name, and "ok" or what went wrong.
"""

from __future__ import annotations

import asyncio
import json
import sys
import traceback

import anthropic
from anthropic import Anthropic, AsyncAnthropic
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import ConfigDict, TypeAdapter

BASE_URL, KEY, BACKEND = sys.argv[1:4]
SAY = [{"role": "user", "content": "What is the capital of France?"}]
PLACE = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}
WEATHER = {"name": "weather", "description": "What it is like.", "input_schema": PLACE}
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
TIERS = ("small", "large")
client = Anthropic(base_url=BASE_URL, api_key=KEY, max_retries=0, timeout=60)
create = client.messages.create
STRICT = ConfigDict(strict=True)
EVENT = TypeAdapter(RawMessageStreamEvent, config=STRICT)


def asked(**fields):
    return {"model": "waterfall", "messages": SAY, "max_tokens": 64, **fields}


def caught(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


def known(value, model=None):
    """See that every field is one of the SDK's."""
    model = model or type(value)
    extra = set(value.model_extra or {})
    assert not extra, f"{model.__name__} has {extra}"
    for name in type(value).model_fields:
        inner = getattr(value, name)
        for each in inner if isinstance(inner, list) else [inner]:
            if hasattr(each, "model_extra"):
                known(each)


def strict(raw):
    message = Message.model_validate_json(raw, strict=True)
    known(message)
    return message


def plain():
    for tier in TIERS:
        raw = client.messages.with_raw_response.create(**asked(model=tier))
        message = strict(raw.http_response.content)
        assert message.content[0].text
        assert message.stop_reason in {"end_turn", "max_tokens"}
        assert message.usage.output_tokens > 0
        assert raw.headers["x-waterfall-tier"] == tier
        assert raw.parse()._request_id == raw.headers["request-id"]


def streamed():
    for tier in TIERS:
        whole = create(**asked(model=tier)).content[0].text
        said, kinds = "", []
        for event in create(**asked(model=tier, stream=True)):
            known(EVENT.validate_json(event.to_json()))
            kinds.append(event.type)
            if event.type == "content_block_delta":
                said += event.delta.text
        assert said == whole, (said, whole)
        assert kinds[0] == "message_start"
        assert kinds[-2:] == ["message_delta", "message_stop"], kinds


def stream_helper():
    for tier in TIERS:
        with client.messages.stream(**asked(model=tier)) as stream:
            said = "".join(stream.text_stream)
            final = stream.get_final_message()
        assert said == final.content[0].text
        assert final.usage.output_tokens > 0
        assert final.usage.input_tokens > 0
        assert final.stop_reason


def tools():
    for tier in TIERS:
        # A tiny model that has to call may ramble: greedily it does the same each time.
        offered = {"tools": [WEATHER], "tool_choice": {"type": "any"}}
        offered |= {"max_tokens": 400, "extra_body": {"temperature": 0}}
        raw = client.messages.with_raw_response.create(**asked(model=tier, **offered))
        message = strict(raw.http_response.content)
        call = message.content[-1]
        assert (call.type, call.name, message.stop_reason) == ("tool_use", "weather", "tool_use")
        assert isinstance(call.input["place"], str)
        with client.messages.stream(**asked(model=tier, **offered)) as stream:
            kinds = {event.type for event in stream}
            final = stream.get_final_message()
        assert "input_json" in kinds, kinds
        assert isinstance(final.content[-1].input["place"], str)
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
        turns = [
            {"role": "assistant", "content": [call.to_dict()]},
            {"role": "user", "content": [result]},
        ]
        again = asked(model=tier, messages=[*SAY, *turns], tools=[WEATHER])
        assert create(**again).content


def everything_that_may_be_sent():
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    blocks = [{"type": "text", "text": "What is this?"}, {"type": "image", "source": source}]
    system = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    for tier in TIERS:
        message = create(
            **asked(
                model=tier,
                system=system,
                messages=[{"role": "user", "content": blocks}],
                stop_sequences=["END"],
                metadata={"user_id": "u-1"},
                thinking={"type": "enabled", "budget_tokens": 1024},
                service_tier="auto",
            )
        )
        assert message.content[-1].text


def parsed():
    schema = {**PLACE, "additionalProperties": False}
    form = {"format": {"type": "json_schema", "schema": schema}}
    # llama.cpp's Messages know no output_config.
    greedy = {"max_tokens": 256, "extra_body": {"temperature": 0}}  # or a tiny model may ramble
    for tier in TIERS if BACKEND == "simulated" else TIERS[:1]:
        message = create(**asked(model=tier, output_config=form, **greedy))
        assert isinstance(json.loads(message.content[0].text)["place"], str)


def counted():
    for tier in TIERS:
        told = client.messages.count_tokens(model=tier, messages=SAY, system="Be brief.")
        assert told.input_tokens > 0


def asynchronous():
    async def ask():
        async with AsyncAnthropic(base_url=BASE_URL, api_key=KEY, max_retries=0) as one:
            whole = await one.messages.create(**asked())
            async with one.messages.stream(**asked()) as stream:
                said = [text async for text in stream.text_stream]
            assert "".join(said) == whole.content[0].text

    asyncio.run(ask())


def bearer():
    one = Anthropic(base_url=BASE_URL, auth_token=KEY, api_key=None, max_retries=0)
    assert one.messages.create(**asked()).content


def cancelled_early():
    stream = create(**asked(stream=True, max_tokens=400))
    next(iter(stream))
    stream.close()
    assert create(**asked()).content


def fault(text, **fields):
    return asked(extra_body={"simulate": text}, **fields)


def faults():
    for tier in TIERS:
        for kind, status, what in (
            (anthropic.RateLimitError, 429, "429"),
            (anthropic.InternalServerError, 502, "500"),
            (anthropic.InternalServerError, 503, "503"),
            (anthropic.BadRequestError, 400, "400,code=context_length_exceeded"),
        ):
            error = caught(kind, lambda t=tier, w=what: create(**fault(w, model=t)))
            assert error.status_code == status, (what, error.status_code)
            assert error.body["error"]["type"], error.body
            assert error.request_id, "an id to ask about"
        stream = create(**fault("cut,after=2", model=tier, stream=True))
        caught(anthropic.APIError, lambda s=stream: list(s))
    error = caught(anthropic.RateLimitError, lambda: create(**fault("429")))
    assert int(error.response.headers["retry-after"]) >= 1


def refusals():
    error = caught(anthropic.NotFoundError, lambda: create(**asked(model="claude-9")))
    assert error.body["error"]["type"] == "not_found_error", error.body
    wrong = Anthropic(base_url=BASE_URL, api_key="sk-wrong", max_retries=0)
    caught(anthropic.AuthenticationError, lambda: wrong.messages.create(**asked()))
    caught(anthropic.BadRequestError, lambda: create(**asked(messages=[])))
    search = [{"type": "web_search_20250305", "name": "web_search"}]
    error = caught(anthropic.BadRequestError, lambda: create(**asked(model="small", tools=search)))
    assert "web_search" in str(error)


def escalated():
    body = fault({"s-model": "refusal"})
    raw = client.messages.with_raw_response.create(**body)
    assert raw.headers["x-waterfall-escalated"] == "true"
    alone = create(**asked(model="large"))
    assert raw.parse().content[0].text == alone.content[0].text
    with client.messages.stream(**body) as stream:
        assert "".join(stream.text_stream) == alone.content[0].text


CASES = """
plain streamed stream_helper tools parsed counted asynchronous bearer cancelled_early refusals
""".split()
SIMULATED = "everything_that_may_be_sent faults escalated".split()


def main():
    told = {}
    for case in [*CASES, *(SIMULATED if BACKEND == "simulated" else [])]:
        try:
            globals()[case]()
            told[case] = "ok"
        except Exception:  # noqa: BLE001 (whatever it is, it is told)
            told[case] = traceback.format_exc()
    print(json.dumps({"version": anthropic.__version__, "cases": told}))  # noqa: T201


if __name__ == "__main__":
    main()
