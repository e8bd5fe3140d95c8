"""What OpenAI's official SDK is asked of Responses and completions, in an environment of its own.

    python responses_cases.py BASE_URL KEY simulated|llama

Every value that comes back is read once more by the SDK's own models, strictly. Prints one JSON
object: each case's name, and "ok" or what went wrong.
"""

from __future__ import annotations

import asyncio
import json
import sys
import traceback
from typing import Literal

import openai
from openai import AsyncOpenAI, OpenAI
from openai.types import Completion
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

BASE_URL, KEY, BACKEND = sys.argv[1:4]
SAY = "What is the capital of France?"
PLACE = {
    "type": "object",
    "properties": {"place": {"type": "string"}},
    "required": ["place"],
    "additionalProperties": False,
}
WEATHER = {"type": "function", "name": "weather", "parameters": PLACE, "strict": True}
TIERS = ("small", "large")
client = OpenAI(base_url=BASE_URL, api_key=KEY, max_retries=0, timeout=60)
EVENT = TypeAdapter(ResponseStreamEvent)


class Capital(BaseModel):
    city: Literal["Paris", "Rome"]
    sure: bool


def asked(**fields):
    return {"model": "waterfall", "input": SAY, **fields}


def caught(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


def known(value):
    """See that every field is one of the SDK's."""
    extra = set(value.model_extra or {}) - {"store"}  # which OpenAI's own API returns
    assert not extra, f"{type(value).__name__} has {extra}"
    for name in type(value).model_fields:
        inner = getattr(value, name)
        for each in inner if isinstance(inner, list) else [inner]:
            if hasattr(each, "model_extra"):
                known(each)


def plain():
    for tier in TIERS:
        raw = client.responses.with_raw_response.create(**asked(model=tier))
        response = Response.model_validate_json(raw.content, strict=True)
        known(response)
        assert response.output_text
        assert response.status == "completed"
        assert response.usage.output_tokens > 0
        assert raw.headers["x-waterfall-tier"] == tier


def streamed():
    for tier in TIERS:
        whole = client.responses.create(**asked(model=tier)).output_text
        said, kinds = "", []
        stream = client.responses.create(**asked(model=tier, stream=True))
        for number, event in enumerate(stream):
            known(EVENT.validate_json(event.to_json(), strict=True))
            assert event.sequence_number == number
            kinds.append(event.type)
            if event.type == "response.output_text.delta":
                said += event.delta
        assert said == whole, (said, whole)
        steps = [kind for i, kind in enumerate(kinds) if i == 0 or kinds[i - 1] != kind]
        assert steps == [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ], steps


def stream_helper():
    for tier in TIERS:
        with client.responses.stream(**asked(model=tier)) as stream:
            kinds = {event.type for event in stream}
            final = stream.get_final_response()
        assert "response.completed" in kinds
        assert final.output_text


def tools():
    for tier in TIERS:
        offered = asked(model=tier, tools=[WEATHER], tool_choice="required")
        response = client.responses.create(**offered)
        call = response.output[-1]
        assert (call.type, call.name) == ("function_call", "weather")
        assert isinstance(json.loads(call.arguments)["place"], str)
        with client.responses.stream(**offered) as stream:
            kinds = {event.type for event in stream}
            final = stream.get_final_response()
        assert "response.function_call_arguments.done" in kinds
        assert isinstance(json.loads(final.output[-1].arguments)["place"], str)
        result = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
        turns = [{"role": "user", "content": SAY}, *response.output, result]
        assert client.responses.create(**asked(model=tier, input=turns, tools=[WEATHER])).output


def parsed():
    # llama.cpp's Messages know no output_config.
    for tier in TIERS if BACKEND == "simulated" else TIERS[:1]:
        response = client.responses.parse(**asked(model=tier, text_format=Capital))
        assert isinstance(response.output_parsed, Capital)


def instructed():
    turns = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": SAY}]
    for tier in TIERS:
        response = client.responses.create(
            **asked(
                model=tier,
                input=turns,
                instructions="Be kind.",
                max_output_tokens=64,
                reasoning={"effort": "low"},
                store=False,
                metadata={"a": "b"},
                include=["reasoning.encrypted_content"],
            )
        )
        assert response.output_text
        assert response.instructions == "Be kind."


def needs_a_store():
    error = caught(
        openai.BadRequestError,
        lambda: client.responses.create(**asked(previous_response_id="resp_1")),
    )
    assert "previous_response_id" in str(error)
    caught(openai.NotFoundError, lambda: client.responses.retrieve("resp_1"))
    caught(openai.NotFoundError, lambda: client.responses.delete("resp_1"))


def faults():
    def fault(text, **fields):
        return asked(model="small", extra_body={"simulate": text}, **fields)

    create = client.responses.create
    caught(openai.RateLimitError, lambda: create(**fault("429")))
    caught(openai.InternalServerError, lambda: create(**fault("500")))
    error = caught(
        openai.BadRequestError, lambda: create(**fault("400,code=context_length_exceeded"))
    )
    assert error.code == "context_length_exceeded"
    kinds = [event.type for event in create(**fault("cut,after=2", stream=True))]
    assert kinds[-2:] == ["error", "response.failed"], kinds
    caught(openai.NotFoundError, lambda: create(**asked(model="gpt-9")))


def asynchronous():
    async def ask():
        async with AsyncOpenAI(base_url=BASE_URL, api_key=KEY, max_retries=0) as one:
            whole = await one.responses.create(**asked())
            said = ""
            async for event in await one.responses.create(**asked(stream=True)):
                said += event.delta if event.type == "response.output_text.delta" else ""
            assert said == whole.output_text

    asyncio.run(ask())


def completions():
    for tier in TIERS:
        body = {"model": tier, "prompt": SAY, "max_tokens": 64}
        raw = client.completions.with_raw_response.create(**body)
        whole = Completion.model_validate_json(raw.content, strict=True)
        known(whole)
        assert whole.choices[0].text
        assert whole.usage.completion_tokens > 0
        chunks = list(client.completions.create(**body, stream=True))
        said = "".join(choice.text for chunk in chunks for choice in chunk.choices)
        assert said == whole.choices[0].text
        echoed = client.completions.create(**body, echo=True)
        assert echoed.choices[0].text == SAY + said
    caught(openai.BadRequestError, lambda: client.completions.create(**body, suffix="x"))


CASES = """
plain streamed stream_helper tools parsed instructed needs_a_store asynchronous completions
""".split()


def main():
    told = {}
    for case in [*CASES, *(["faults"] if BACKEND == "simulated" else [])]:
        try:
            globals()[case]()
            told[case] = "ok"
        except Exception:  # noqa: BLE001 (whatever it is, it is told)
            told[case] = traceback.format_exc()
    print(json.dumps({"version": openai.__version__, "cases": told}))  # noqa: T201


if __name__ == "__main__":
    main()
