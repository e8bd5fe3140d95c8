"""What the official SDK is asked to do, run in an environment of its own.

    python sdk_cases.py BASE_URL KEY simulated|llama

Prints one JSON object: each case's name, and "ok" or what went wrong.
"""

from __future__ import annotations

import asyncio
import json
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import openai
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

BASE_URL, KEY, BACKEND = sys.argv[1:4]
SIMULATED = BACKEND == "simulated"
SAY = [{"role": "user", "content": "What is the capital of France?"}]
PLACE = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": PLACE}}
client = OpenAI(base_url=BASE_URL, api_key=KEY, max_retries=0, timeout=60)
chat = client.chat.completions


class Capital(BaseModel):
    city: Literal["Paris", "Rome"]
    sure: bool


def asked(**fields):
    return {"model": "waterfall", "messages": SAY, "max_tokens": 64, "temperature": 0, **fields}


def raises(kind, status, call):
    error = caught(kind, call)
    if status is not None:
        assert error.status_code == status, error.status_code
        assert error.body["message"], error.body
        assert error.request_id, "an id to ask about"
    return error


def caught(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


def plain():
    answer = chat.create(**asked())
    assert answer.object == "chat.completion"
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason in {"stop", "length"}
    assert answer.usage.completion_tokens > 0
    assert answer._request_id


def every_listed_model():
    names = [model.id for model in client.models.list()]
    assert sorted(names) == ["auto", "large", "small", "waterfall"], names
    for name in names:
        assert client.models.retrieve(name).id == name
        assert chat.create(**asked(model=name)).choices[0].message.content


def streamed():
    whole = chat.create(**asked()).choices[0].message.content
    chunks = list(chat.create(**asked(stream=True)))
    said = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert said == whole, (said, whole)
    assert chunks[-1].choices[0].finish_reason
    assert all(chunk.usage is None for chunk in chunks)


def streamed_with_usage():
    options = {"include_usage": True}
    chunks = list(chat.create(**asked(stream=True, stream_options=options)))
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens > 0


def stream_helper():
    with chat.stream(**asked()) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert "content.delta" in kinds, kinds
    assert final.choices[0].message.content


def tools():
    answer = chat.create(**asked(tools=[WEATHER], tool_choice="required"))
    call = answer.choices[0].message.tool_calls[0]
    assert call.function.name == "weather"
    assert isinstance(json.loads(call.function.arguments)["place"], str)
    assert answer.choices[0].finish_reason == "tool_calls"
    turn = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
    said = {"role": "assistant", "tool_calls": [call.model_dump()]}
    after = chat.create(**asked(messages=[*SAY, said, turn], tools=[WEATHER]))
    assert after.choices[0].message


def tools_streamed():
    name, arguments = "", ""
    for chunk in chat.create(**asked(tools=[WEATHER], tool_choice="required", stream=True)):
        for choice in chunk.choices:
            for part in choice.delta.tool_calls or ():
                name += part.function.name or ""
                arguments += part.function.arguments or ""
    assert name == "weather", name
    assert "place" in json.loads(arguments)


def json_schema():
    wanted = {
        "type": "json_schema",
        "json_schema": {"name": "capital", "strict": True, "schema": Capital.model_json_schema()},
    }
    text = chat.create(**asked(max_tokens=256, response_format=wanted)).choices[0].message.content
    Capital.model_validate_json(text)
    chunks = chat.create(**asked(max_tokens=256, response_format=wanted, stream=True))
    again = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    Capital.model_validate_json(again)


def json_object():
    answer = chat.create(**asked(max_tokens=256, response_format={"type": "json_object"}))
    assert isinstance(json.loads(answer.choices[0].message.content), dict)


def parsed():
    answer = chat.parse(**asked(max_tokens=256, response_format=Capital))
    assert isinstance(answer.choices[0].message.parsed, Capital)


def logprobs():
    answer = chat.create(**asked(logprobs=True, top_logprobs=2))
    tokens = answer.choices[0].logprobs.content
    assert tokens
    assert all(token.logprob <= 0 for token in tokens)
    silent = chat.create(**asked())
    assert silent.choices[0].logprobs is None, "nobody asked"
    chunks = list(chat.create(**asked(logprobs=True, stream=True)))
    assert any(c.choices and c.choices[0].logprobs for c in chunks)
    assert not any(c.choices and c.choices[0].logprobs for c in chat.create(**asked(stream=True)))


def several_choices():
    answer = chat.create(**asked(n=2))
    assert sorted(choice.index for choice in answer.choices) == [0, 1]
    assert all(choice.message.content for choice in answer.choices)
    chunks = chat.create(**asked(n=2, stream=True))
    assert {choice.index for chunk in chunks for choice in chunk.choices} == {0, 1}


def unknown_model():
    error = raises(openai.NotFoundError, 404, lambda: chat.create(**asked(model="gpt-9")))
    assert error.code == "model_not_found"
    assert "waterfall" in str(error)
    raises(openai.NotFoundError, 404, lambda: client.models.retrieve("gpt-9"))


def bad_key():
    wrong = OpenAI(base_url=BASE_URL, api_key="sk-wrong", max_retries=0)
    raises(openai.AuthenticationError, 401, lambda: wrong.chat.completions.create(**asked()))
    raises(openai.AuthenticationError, 401, lambda: list(wrong.models.list()))


def no_leave():
    headers = {"x-waterfall-mode": "off"}
    raises(openai.PermissionDeniedError, 403, lambda: chat.create(**asked(), extra_headers=headers))


def bad_body():
    for fields in ({"messages": []}, {"n": 0}, {"messages": [{"role": "user", "content": 7}]}):
        error = raises(
            openai.BadRequestError, 400, lambda fields=fields: chat.create(**asked(**fields))
        )
        assert error.param.startswith(next(iter(fields))), error.param
    streamed_one = asked(stream=True, n=0)
    raises(openai.BadRequestError, 400, lambda: chat.create(**streamed_one))


def raw_response():
    raw = chat.with_raw_response.create(**asked(), extra_headers={"x-request-id": "mine-1"})
    assert raw.headers["x-request-id"] == "mine-1"
    assert raw.headers["x-waterfall-tier"] in {"small", "large"}
    assert float(raw.headers["x-waterfall-cost-usd"]) > 0
    assert raw.parse().choices[0].message.content
    with chat.with_streaming_response.create(**asked(stream=True)) as response:
        assert response.headers["x-waterfall-tier"] in {"small", "large"}
        assert list(response.iter_lines())


def overrides():
    raw = chat.with_raw_response.create(**asked(), extra_headers={"x-waterfall-tier": "large"})
    assert raw.headers["x-waterfall-start"] == "large; override"


def cancelled_early():
    stream = chat.create(**asked(stream=True, max_tokens=400), timeout=30)
    next(iter(stream))
    stream.close()
    assert chat.create(**asked()).choices[0].message.content, "the next one works"


def at_once():
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: chat.create(**asked()), range(8)))
    assert len({answer.choices[0].message.content for answer in answers}) == 1


def asynchronous():
    async def ask():
        async with AsyncOpenAI(base_url=BASE_URL, api_key=KEY, max_retries=0) as one:
            whole = await one.chat.completions.create(**asked())
            said = ""
            async for chunk in await one.chat.completions.create(**asked(stream=True)):
                said += (chunk.choices[0].delta.content or "") if chunk.choices else ""
            assert said == whole.choices[0].message.content
            several = [one.chat.completions.create(**asked()) for _ in range(4)]
            assert len(await asyncio.gather(*several)) == 4
            stream = await one.chat.completions.create(**asked(stream=True, max_tokens=400))
            async for _ in stream:
                break
            await stream.close()

    asyncio.run(ask())


# ------------------------------------------------------------------ with scripted faults


def fault(text, **fields):
    return asked(extra_body={"simulate": text}, **fields)


def timeouts():
    raises(openai.APITimeoutError, None, lambda: chat.create(**fault("hang"), timeout=0.4))
    late = {"x-waterfall-deadline": "300ms"}
    for stream in (False, True):
        error = raises(
            openai.APIStatusError,
            504,
            lambda s=stream: chat.create(**fault("hang", stream=s), extra_headers=late),
        )
        assert error.type == "timeout", error.type


def upstreams_faults():
    raises(openai.RateLimitError, 429, lambda: chat.create(**fault("429")))
    raises(openai.InternalServerError, 502, lambda: chat.create(**fault("500")))
    raises(openai.InternalServerError, 503, lambda: chat.create(**fault("503")))
    raises(openai.UnprocessableEntityError, 422, lambda: chat.create(**fault("422")))


def escalated():
    body = fault({"s-model": "refusal"})
    raw = chat.with_raw_response.create(**body)
    assert raw.headers["x-waterfall-escalated"] == "true"
    alone = chat.create(**asked(model="large"))
    assert raw.parse().choices[0].message.content == alone.choices[0].message.content
    chunks = chat.create(**{**body, "stream": True})
    said = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert said == alone.choices[0].message.content


def broken_stream():
    stream = chat.create(**fault("cut,after=2", model="large", stream=True))
    error = raises(openai.APIError, None, lambda: list(stream))
    assert error.code == "stream_broken", error.code


CASES = """
plain every_listed_model streamed streamed_with_usage stream_helper tools tools_streamed
json_schema json_object parsed logprobs several_choices unknown_model bad_key bad_body
raw_response overrides no_leave cancelled_early at_once asynchronous
""".split()
FAULTS = "timeouts upstreams_faults escalated broken_stream".split()


def main():
    told = {}
    for case in [*CASES, *(FAULTS if SIMULATED else [])]:
        try:
            globals()[case]()
            told[case] = "ok"
        except Exception:  # noqa: BLE001 (whatever it is, it is told)
            told[case] = traceback.format_exc()
    print(json.dumps({"openai": openai.__version__, "cases": told}))  # noqa: T201


if __name__ == "__main__":
    main()
