"""Strict scanners of the dialects: everything that is answered, plain and each event of a stream,
is held to the types that OpenAI and Anthropic publish in their own SDKs.

    python schema_cases.py '{"through": [ADDRESS, KEY, {MODEL: [PATH, ...]}], ...}'

Prints one JSON object: for each name and model, by path, how many objects were held to a type, and
each violation once.
"""

from __future__ import annotations

import json
import sys
from typing import Annotated, get_args, get_origin

import httpx
from anthropic.types import Message, RawMessageStreamEvent
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter, ValidationError

SAY = [{"role": "user", "content": "What is the capital of France?"}]
PLACE = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}
OPENAI_TOOL = {"type": "function", "function": {"name": "weather", "parameters": PLACE}}
FLAT = {"type": "function", "name": "weather", "parameters": PLACE, "strict": False}
CHAT, OLD = {"messages": SAY, "max_tokens": 24}, {"prompt": "Say hello.", "max_tokens": 24}
PATHS = {
    "/chat/completions": (ChatCompletion, ChatCompletionChunk),
    "/completions": (Completion, Completion),
    "/responses": (Response, ResponseStreamEvent),
    "/messages": (Message, RawMessageStreamEvent),
}
ASKED = {
    "/chat/completions": [
        CHAT,
        {**CHAT, "tools": [OPENAI_TOOL], "tool_choice": "required", "max_tokens": 64},
        {**CHAT, "max_tokens": 1},
        {**CHAT, "stream_options": {"include_usage": True}},
    ],
    "/completions": [OLD, {**OLD, "max_tokens": 1}],
    "/responses": [
        {"input": "Say hello.", "max_output_tokens": 24},
        {"input": "Say hello.", "tools": [FLAT], "tool_choice": "required"},
        {"input": "Say hello.", "max_output_tokens": 1, "instructions": "Be brief."},
    ],
    "/messages": [
        CHAT,
        {
            **CHAT,
            "max_tokens": 64,
            "tools": [{"name": "weather", "input_schema": PLACE}],
            "tool_choice": {"type": "any"},
        },
        {**CHAT, "max_tokens": 1},
    ],
}


def type_of(kind, text):
    """The type of a union's that an object says it is of."""
    union = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    named = json.loads(text).get("type")
    found = [
        each for each in get_args(union) if named in get_args(each.model_fields["type"].annotation)
    ]
    return found[0] if found else None


def violations(kind, text):
    """What is wrong with an object, each place without its numbers."""
    one = kind if isinstance(kind, type) else type_of(kind, text)
    if one is None:
        yield f"no such event: {text[:60]}"
        return
    try:
        TypeAdapter(one).validate_json(text, strict=True)
    except ValidationError as error:
        for each in error.errors(include_url=False, include_input=False):
            steps = ["*" if isinstance(step, int) else step for step in each["loc"]]
            union = next((at for at, step in enumerate(steps) if step[:1].isupper()), None)
            if union is None:
                yield f"{'.'.join(steps)}: {each['type']}"
            else:  # it was tried as each of several types
                yield f"{'.'.join(steps[:union])}: of none of its types"


def scan(client, path, model):
    """Ask for everything on a path; returns how much was looked at, and what was wrong."""
    plain, event = PATHS[path]
    seen, wrong = 0, set()
    for body in ASKED[path]:
        for stream in (False, True):
            if "stream_options" in body and not stream:
                continue
            reply = client.post(path, json={**body, "model": model, "stream": stream})
            if reply.status_code != 200:
                wrong.add(f"{path}: {reply.status_code} {reply.text[:200]}")
                continue
            if not stream:
                told = [(plain, reply.text)]
            else:
                lines = [line[6:] for line in reply.text.split("\n") if line.startswith("data: ")]
                told = [(event, line) for line in lines if line != "[DONE]"]
                done = lines.count("[DONE]")
                if done != (path in {"/chat/completions", "/completions"}):
                    wrong.add(f"{path}: {done} x [DONE]")
            for kind, text in told:
                seen += 1
                wrong.update(f"{path}: {each}" for each in violations(kind, text))
    return seen, sorted(wrong)


def main():
    asked = json.loads(sys.argv[1])
    told = {}
    for name, (address, key, models) in asked.items():
        headers = {"authorization": f"Bearer {key}", "x-api-key": key}
        headers["anthropic-version"] = "2023-06-01"
        with httpx.Client(base_url=address, headers=headers, timeout=120) as client:
            for model, paths in models.items():
                told[f"{name} {model}"] = {path: scan(client, path, model) for path in paths}
    print(json.dumps(told))  # noqa: T201


if __name__ == "__main__":
    main()
