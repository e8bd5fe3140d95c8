"""What an upstream's failure means here: statuses, error bodies and broken wires to core errors.

Only what an upstream says about the client's own request is repeated in its words; of the rest
(quotas, credentials, its own crashes) a client learns the status and a short code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from gateway.core.errors import (
    ContentRefused,
    ContextTooLong,
    NotAsked,
    NotFoundThere,
    UpstreamBusy,
    UpstreamDown,
    UpstreamError,
    UpstreamOverloaded,
    UpstreamRefusedUs,
    UpstreamRejected,
    UpstreamTimeout,
)
from gateway.upstreams.encoded import unpacked
from gateway.upstreams.http1 import ConnectFailed, HttpError, TimedOut, TooLarge

MAX_MESSAGE = 1000
"""Characters of an upstream's message that are kept."""
MAX_WAIT = 24 * 3600.0
"""Seconds: no Retry-After is believed beyond it."""

_REJECTIONS = (400, 413, 422)
_REFUSALS = (401, 402, 403, 404)  # 402: our account there is empty
_SHORT = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_SECONDS = re.compile(rb"\d+(\.\d*)?")
_CREDENTIALS = re.compile(r"//[^/\s]*@")

_MEANINGS: dict[str, int] = {
    "authentication_error": 401,
    "invalid_api_key": 401,
    "permission_error": 403,
    "model_not_found": 404,
    "not_found_error": 404,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "overloaded": 503,
    "overloaded_error": 503,
    "server_overloaded": 503,
    "timeout": 504,
    "timeout_error": 504,
    "invalid_request_error": 400,
    "badrequesterror": 400,
}
"""The status that a code or type stands for where no status is given: in a stream, or in a 200."""

_CONTENT_CODES = frozenset(
    "content_filter content_policy_violation responsibleaipolicyviolation "
    "content_policy_error moderation_blocked".split()
)
_CONTEXT_CODES = frozenset(
    "context_length_exceeded exceed_context_size_error context_window_exceeded "
    "model_context_window_exceeded prompt_too_long".split()
)
_MERELY_BUSY = (None, "rate_limit_error")
"""Codes of a 429 that say no more than its status."""
_WORDLESS = (None, "invalid_request_error")
"""Codes that do not tell one client's fault from another."""
# How OpenAI, vLLM, llama.cpp, TGI, SGLang, Anthropic and Google say it when no code does.
_CONTEXT_WORDS = re.compile(
    r"maximum context length|maximum model length|context (length|size|window)\b.*\bexceed"
    r"|exceed\w*\b.*\bcontext (length|size|window)|longer than the model's context"
    r"|(prompt|input) is too long|input token count\b.*\bexceeds the maximum"
    r"|inputs tokens \+ max_new_tokens. must be",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Told:
    """What an upstream's error body says; `codes` are its code, type and inner code, lower-case.

    `status` is the one the body itself names, None when it names none.
    """

    message: str = ""
    code: str | None = None
    param: str | None = None
    codes: tuple[str, ...] = ()
    status: int | None = None


# What a request may name by its own id, as OpenAI and Anthropic say that they have none such. Only
# how a message begins counts: further on are the client's own words.
_OWN_THING = re.compile(
    r"(no such )?(file|(previous )?response|item|conversation|prompt|container|vector store|skill)"
    r"( object)?( with id\b|: | not found: | ['\"`])",
    re.IGNORECASE,
)
_OURS_CODES = frozenset("model_not_found deploymentnotfound model_not_available".split())
_OURS_WORDS = re.compile(
    r"\b(models?|deployments?|endpoints?|urls?|routes?|paths?)\b", re.IGNORECASE
)
_NOTHING_SAID = re.compile(r"(404|file|page|resource)?:?\s*(not found)?\.?", re.IGNORECASE)


def from_reply(status: int, headers: Mapping[bytes, bytes], body: bytes) -> UpstreamError:
    """Map an HTTP reply which is not a success. `body` may be cut off, or anything at all; it is
    as it came, packed or not."""
    try:
        payload = orjson.loads(unpacked(headers, body))
    except orjson.JSONDecodeError:
        payload = None
    wait = retry_after(headers.get(b"retry-after"), datetime.now(tz=UTC).timestamp())
    return _meaning(status, _told(payload), wait)


def message_of(body: bytes) -> str:
    """Return what an error's body says in words, empty where it says nothing that is one."""
    try:
        return _told(orjson.loads(body)).message
    except orjson.JSONDecodeError:
        return ""


def in_payload(payload: Mapping[str, Any]) -> UpstreamError | None:
    """Return the error that a JSON object carries in place of a reply, None when it has none."""
    if not (payload.get("error") or payload.get("object") == "error"):
        return None
    told = _told(payload)
    implied = (_MEANINGS[code] for code in told.codes if code in _MEANINGS)
    context = _is_context(told) or not _CONTENT_CODES.isdisjoint(told.codes)
    return _meaning(told.status or next(implied, 400 if context else 500), told, None)


def in_event(data: bytes) -> UpstreamError:
    """Map the data of an event named `error`, whatever it holds."""
    try:
        payload = orjson.loads(data)
    except orjson.JSONDecodeError:
        payload = None
    if not isinstance(payload, Mapping):
        return UpstreamDown("The upstream reported an error in its stream.", kind="server")
    error = payload if payload.get("error") else {"error": payload}
    return in_payload(error) or _meaning(500, Told(), None)


def from_wire(error: HttpError) -> UpstreamError:
    """Map what went wrong under the reply: connecting, waiting, or an incomplete message."""
    if isinstance(error, TimedOut):
        return UpstreamTimeout(f"The upstream was too slow ({error.phase.replace('_', ' ')}).")
    if isinstance(error, ConnectFailed) and error.fault == "sockets":
        told = "This gateway has no sockets left; try again soon."
        return NotAsked(told, retry_after=1.0, code="no_sockets")
    if isinstance(error, ConnectFailed):
        why = f"{error.fault}, {error.detail}" if error.fault == "proxy" else error.fault
        return UpstreamDown(f"Cannot connect to the upstream ({why}).", kind="connect")
    return nonsense(str(error), lasting=isinstance(error, TooLarge))


def nonsense(what: str, *, lasting: bool = False) -> UpstreamDown:
    """Return the error for a reply that is none; `what` is in our words, never the upstream's."""
    told = f"The upstream's reply cannot be used: {what}."
    return UpstreamDown(told, kind="bad_response", lasting=lasting)


def mask(error: UpstreamError, secret: str | None) -> None:
    """Take our credential out of everything the error would tell, should an upstream echo it."""
    if not secret:
        return
    error.message = error.message.replace(secret, "***")
    error.args = (error.message,)
    error.param = error.param and error.param.replace(secret, "***")
    error.code = error.code and error.code.replace(secret, "***")


def retry_after(value: bytes | None, now: float) -> float | None:
    """Read a Retry-After: seconds, or an HTTP date against `now` (UNIX seconds).

    Returns seconds from now, 0 to a day, or None when there is none or it cannot be read.
    """
    if value is None:
        return None
    value = value.strip()
    if _SECONDS.fullmatch(value):
        return min(float(value), MAX_WAIT)
    try:
        moment = parsedate_to_datetime(value.decode("ascii")).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(moment - now, 0.0), MAX_WAIT)


def _meaning(status: int, told: Told, wait: float | None) -> UpstreamError:
    if status in {400, 403, 404, 413, 422}:
        special = _rejected(status, told)
        if special is not None:
            return special
    note = _note(status, told)
    if status in _REFUSALS:
        why = f"The upstream refuses the gateway's credentials or model{note}."
        sure = status == 404 and "support" not in told.message  # "no endpoint that supports images"
        return UpstreamRefusedUs(why, credentials=status in {401, 402}, sure=sure)
    if status == 429:
        said = None if told.code in _MERELY_BUSY else told.code
        return UpstreamBusy(f"The upstream limits its rate{note}.", retry_after=wait, code=said)
    if status in {503, 529}:
        return UpstreamOverloaded(f"The upstream is overloaded{note}.", retry_after=wait)
    if status in {408, 504}:
        return UpstreamTimeout(f"The upstream timed out{note}.")
    return UpstreamDown(f"The upstream failed{note}.", kind="server")


def _not_found(told: Told) -> UpstreamError | None:
    """Read a 404: about what the request names, or (None too) about the model or address that we
    ask for, as is one that says nothing else."""
    if not _OURS_CODES.isdisjoint(told.codes):
        return UpstreamRefusedUs(
            f"The upstream has no such model{_note(404, told)}.", sure=True, code=told.code
        )
    if _OWN_THING.match(told.message):
        return NotFoundThere(**_words(404, told))
    if _NOTHING_SAID.fullmatch(told.message.strip()) or _OURS_WORDS.search(told.message):
        return None
    why = f"The upstream does not find what the request names{_note(404, told)}."
    return NotFoundThere(why, status=404, code=told.code)


def _rejected(status: int, told: Told) -> UpstreamError | None:
    """Read a 4xx that may be about the request itself; None when it is not."""
    if status == 404:
        return _not_found(told)
    if not _CONTENT_CODES.isdisjoint(told.codes):
        return ContentRefused(**_words(status, told))
    if status not in _REJECTIONS:
        return None
    if "rate_limit_exceeded" in told.codes:  # some say 413 to more tokens than a minute allows
        why = f"The upstream limits its rate{_note(status, told)}."
        return UpstreamBusy(why, code="rate_limit_exceeded")
    if _is_context(told):
        words = _words(status, told)
        if told.code in _WORDLESS:  # clients of OpenAI's know it by its code alone
            words["code"] = "context_length_exceeded"
        return ContextTooLong(**words)
    return UpstreamRejected(**_words(status, told))


def _words(status: int, told: Told) -> dict[str, Any]:
    message = told.message or f"The upstream rejects the request ({status})."
    kept = status if status in {*_REJECTIONS, 404} else 400
    return {"message": message, "status": kept, "param": told.param, "code": told.code}


def _is_context(told: Told) -> bool:
    return not _CONTEXT_CODES.isdisjoint(told.codes) or bool(_CONTEXT_WORDS.search(told.message))


def _note(status: int, told: Told) -> str:
    return f" ({status}, {told.code})" if told.code else f" ({status})"


def _told(payload: Any) -> Told:
    """Find the error in whichever of the usual shapes it comes."""
    if isinstance(payload, list) and payload:  # Google wraps its errors in a list
        payload = payload[0]
    if not isinstance(payload, Mapping):
        return Told()
    error = payload.get("error") or payload
    if isinstance(error, str):
        return Told(_clip(error))
    if not isinstance(error, Mapping):
        return Told()
    inner = error.get("innererror")
    named = [error.get("code"), error.get("type")]
    named.append(inner.get("code") if isinstance(inner, Mapping) else None)
    codes = [name for name in named if isinstance(name, str) and _SHORT.fullmatch(name)]
    param = error.get("param")
    return Told(
        message=_message(error),
        code=next(iter(codes), None),
        param=param if isinstance(param, str) and len(param) <= 200 else None,
        codes=tuple(name.lower() for name in codes),
        status=_status(error.get("code")) or _status(error.get("status")),
    )


def _message(error: Mapping[str, Any]) -> str:
    message = error.get("message") or error.get("detail") or ""
    if not isinstance(message, str):
        message = orjson.dumps(message).decode()
    return _clip(message)


def _status(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:4])
    return value if isinstance(value, int) and 400 <= value <= 599 else None


def _clip(message: str) -> str:
    """Cut a message to its cap, between words: half a secret could not be masked any more."""
    if len(message) > MAX_MESSAGE:
        words = message[:MAX_MESSAGE].rpartition(" ")[0]
        message = f"{words} ..." if words else ""
    return _CREDENTIALS.sub("//", message)
