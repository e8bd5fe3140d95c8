"""What a simulated model says: a pure function of seed, model and messages.

Streaming, log-probabilities and sampling settings change how a reply is told, never what it says.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from gateway.core.money import Usage
from gateway.core.signals import text_of
from gateway.upstreams.simulated import judging
from gateway.upstreams.simulated.behaviour import Answer, Behaviour, Model
from gateway.upstreams.simulated.refusals import Declined
from gateway.upstreams.simulated.schema import instance
from gateway.upstreams.simulated.text import (
    cached_tokens,
    doubt,
    free_text,
    logprobs,
    prompt_tokens,
    tokens_of,
    wrong_answer,
)

_MARKER = re.compile(r"\[unsure:[0-9a-f]+\]")
_UNSURE = 0.2
"""The doubt (mean of minus the log-probabilities) from which a model says that it is not sure."""
_SORTED = json.JSONEncoder(sort_keys=True)
_DECLINES = "I'm sorry, but I can't help with that request."


@dataclass(frozen=True, slots=True)
class Said:
    """One choice. `tokens` are the text's, or those of the arguments when `tool` names a tool;
    `logprobs` is empty when nobody asked."""

    tokens: tuple[str, ...]
    finish: str = "stop"
    logprobs: tuple[float, ...] = ()
    tool: str = ""

    @property
    def text(self) -> str:
        """All tokens, joined."""
        return "".join(self.tokens)


@dataclass(frozen=True, slots=True)
class Speech:
    """A whole reply. `doubt` is the first choice's."""

    model: str
    choices: tuple[Said, ...]
    usage: Usage
    doubt: float


def last_prompt(body: Mapping[str, Any]) -> str:
    """Return the last user message's text, stripped: what answer keys and rules look at."""
    messages = reversed(body["messages"])
    return next((text_of(m) for m in messages if m.get("role") == "user"), "").strip()


def speak(behaviour: Behaviour, body: Mapping[str, Any], twist: str = "") -> Speech:
    """Decide the reply to a chat completion's body, which `refusals.admit` has let pass.

    `twist` is a fault of the text (see script.REPLY_FAULTS), if any. Raises Declined for what a
    model refuses: not being the one served, a prompt over its window, a field it lacks.
    """
    name = str(body["model"])
    model = behaviour.model(name)
    if model is None:
        raise Declined(404, f"The model `{name}` does not exist.", "model_not_found", "model")
    size = prompt_tokens(body)
    _check_model(model, body, size)
    told = [_choice(behaviour, model, body, index, twist) for index in range(body.get("n") or 1)]
    spoken = sum(len(said.tokens) for said, _ in told)
    usage = Usage(size, spoken, cached_tokens(body))
    return Speech(name, tuple(said for said, _ in told), usage, told[0][1])


def _check_model(model: Model, body: Mapping[str, Any], size: int) -> None:
    if model.context is not None and size > model.context:
        raise Declined(
            400,
            f"This model's window is {model.context} tokens; the messages have {size}.",
            "context_length_exceeded",
            "messages",
        )
    for field in model.rejects:
        if body.get(field) not in (None, False):
            raise Declined(400, f"Unsupported parameter: {field}.", "unsupported_parameter", field)


def _choice(
    behaviour: Behaviour, model: Model, body: Mapping[str, Any], index: int, twist: str
) -> tuple[Said, float]:
    if (judged := judging.read(body)) is not None:
        return _judged(behaviour, model, body, judged)
    prompt = last_prompt(body)
    answer = behaviour.answers.get(prompt)
    random = _random(behaviour.seed, body, index, prompt if answer else None)
    right = random.random() < _accuracy(model, body, answer)
    doubtful = doubt(random, right=right)
    tool = _tool(body, prompt)
    if tool is not None:
        name, parameters = tool
        text = json.dumps(instance(parameters, random))
    else:
        name, text = "", _text(behaviour, model, body, random, answer, right)
        text = _twisted(text, twist) + _marker(body, doubtful)
    if twist == "bad_json" and (name or _wants_json(body)):
        text = text[: max(len(text) - 1, 1) * 2 // 3]
    return _told(body, text, name, doubtful, random), doubtful


def _judged(
    behaviour: Behaviour, model: Model, body: Mapping[str, Any], judged: judging.Judged
) -> tuple[Said, float]:
    answer = behaviour.answers.get(judged.prompt)
    random = _random(behaviour.seed, body, 0, judged.prompt)
    knows = _accuracy(model, body, answer)
    stated = judging.chance(judged, answer.right if answer else None, knows, random)
    text, odds = judging.answer(stated)
    tokens = tuple(tokens_of(text))
    rest = [0.0] * (len(tokens) - 1)
    told = (odds, *rest) if body.get("logprobs") else ()
    return Said(tokens, "stop", told), -odds


def _random(seed: int, body: Mapping[str, Any], index: int, prompt: str | None) -> Random:
    """Seed by the whole conversation, or by the prompt alone when the key knows it: examples and
    instructions of a recipe then leave the questions as hard as they were.

    A recipe's marker differs from process to process and is left out.
    """
    if prompt is None:
        prompt = _MARKER.sub("", _SORTED.encode(body["messages"]))
    text = f"{seed}\0{body['model']}\0{index}\0{prompt}"
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return Random(int.from_bytes(digest, "big"))


def _accuracy(model: Model, body: Mapping[str, Any], answer: Answer | None) -> float:
    if answer is None:
        return 1.0
    best = model.accuracy
    for sign, coached in model.coached:
        if any(sign in text_of(m) for m in body["messages"] if _is_system(m)):
            best = coached
    return best.hard if answer.hard else best.easy


def _is_system(message: Mapping[str, Any]) -> bool:
    return message.get("role") in ("system", "developer")


def _text(
    behaviour: Behaviour,
    model: Model,
    body: Mapping[str, Any],
    random: Random,
    answer: Answer | None,
    right: bool,
) -> str:
    if answer is None:
        words = random.lognormvariate(0.0, model.length.sigma) * model.length.median
        bounded = max(model.length.least, min(int(words), model.length.most))
        text = free_text(random, bounded)
    elif right:
        text = answer.right
    else:
        others = [behaviour.answers[p].right for p in _some(list(behaviour.answers), random)]
        text = wrong_answer(random, answer.right, answer.wrong, others)
    return _formatted(body.get("response_format"), text, random)


def _some(prompts: list[str], random: Random) -> list[str]:
    return random.choices(prompts, k=8)


def _formatted(wanted: object, text: str, random: Random) -> str:
    kind = wanted.get("type") if isinstance(wanted, Mapping) else None
    if kind == "json_object":
        return json.dumps({"answer": text})
    if kind != "json_schema" or not isinstance(wanted, Mapping):
        return text
    schema = (wanted.get("json_schema") or {}).get("schema") or {}
    made = instance(schema, random)
    place = (schema.get("properties") or {}).get("answer")
    if isinstance(made, dict) and place == {"type": "string"}:
        made["answer"] = text
    return json.dumps(made)


def _wants_json(body: Mapping[str, Any]) -> bool:
    wanted = body.get("response_format")
    return isinstance(wanted, Mapping) and wanted.get("type") in ("json_object", "json_schema")


def _twisted(text: str, twist: str) -> str:
    if twist == "refusal":
        return _DECLINES
    return "" if twist == "empty_reply" else text


def _marker(body: Mapping[str, Any], doubtful: float) -> str:
    """Say "not sure" in the words that a recipe asked for, when in doubt."""
    if doubtful < _UNSURE:
        return ""
    texts = (text_of(message) for message in body["messages"] if _is_system(message))
    found = next((hit for text in texts if (hit := _MARKER.search(text))), None)
    return f" {found.group()}" if found else ""


def _tool(body: Mapping[str, Any], prompt: str) -> tuple[str, object] | None:
    """Return the name and parameters of the tool to call: the one demanded, or one the prompt
    names; None when there is nothing to call or its result is already here."""
    offered = [tool.get("function") or {} for tool in body.get("tools") or ()]
    wanted = body.get("tool_choice") or "auto"
    if not offered or wanted == "none" or body["messages"][-1].get("role") == "tool":
        return None
    if isinstance(wanted, Mapping):
        name = (wanted.get("function") or {}).get("name")
        offered = [each for each in offered if each.get("name") == name]
    else:
        said = prompt.lower().replace(" ", "_")
        named = [each for each in offered if str(each.get("name")).lower() in said]
        offered = named or (offered if wanted == "required" else [])
    return (str(offered[0].get("name")), offered[0].get("parameters")) if offered else None


def _told(body: Mapping[str, Any], text: str, tool: str, doubtful: float, random: Random) -> Said:
    """Apply what the request says about the form: stop, the bound on tokens, log-probabilities."""
    finish = "tool_calls" if tool else "stop"
    if not tool:
        stops = body.get("stop") or ()
        for stop in (stops,) if isinstance(stops, str) else stops:
            text = text.split(stop, maxsplit=1)[0] if stop else text
    tokens = tokens_of(text)
    bound = body.get("max_completion_tokens") or body.get("max_tokens")
    if bound and len(tokens) > bound:
        tokens, finish = tokens[:bound], "length"
    odds = logprobs(random, len(tokens), doubtful) if body.get("logprobs") else ()
    return Said(tuple(tokens), finish, tuple(odds), tool)
