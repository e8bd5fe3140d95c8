"""Questions on their way through the gateway, over real HTTP, and what came back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from gateway.demo.questions import Question, grade
from gateway.upstreams.http1 import HttpError, Pool, Timeouts

PATIENCE = Timeouts(connect=5, first_token=60, silence=60, total=60)
AT_ONCE = 8
"""Questions under way at a time: as many as the two servers have slots."""
_LONGEST = 96


@dataclass(frozen=True, slots=True)
class Run:
    """One pass over the questions: `name` is its session in the ledger, `model` what is asked
    for, `headers` the overrides sent along."""

    name: str
    title: str
    model: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answered:
    """One question's reply, graded. `tier` served it, after `attempts`; `cost` is in dollars."""

    question: Question
    right: bool
    tier: str
    attempts: int
    cost: float


def request_id(run: Run, index: int) -> str:
    """Return the id that a question goes by in the ledger."""
    return f"demo-{run.name}-{index:04d}"


async def ask_all(
    base_url: str, run: Run, questions: Sequence[Question], tell: Callable[[Answered], None]
) -> list[Answered]:
    """Ask every question once, eight at a time; return the answers in the questions' order.

    Raises RuntimeError with the gateway's own words when one is not answered.
    """
    origin, _, path = base_url.removeprefix("http://").partition("/")
    pool = Pool(f"http://{origin}", limit=AT_ONCE)
    answers: dict[int, Answered] = {}
    waiting = iter(enumerate(questions))

    async def worker(left: Iterator[tuple[int, Question]]) -> None:
        for index, question in left:
            answers[index] = await _ask(pool, f"/{path}", run, index, question)
            tell(answers[index])

    try:
        async with asyncio.TaskGroup() as workers:
            for _ in range(AT_ONCE):
                workers.create_task(worker(waiting))
    except BaseExceptionGroup as group:  # one reason is enough, and reads as one
        raise group.exceptions[0] from None
    finally:
        await pool.aclose()
    return [answers[index] for index in range(len(questions))]


async def _ask(pool: Pool, path: str, run: Run, index: int, question: Question) -> Answered:
    body = {
        "model": run.model,
        "messages": [{"role": "user", "content": question.prompt}],
        "max_completion_tokens": _LONGEST,
        "temperature": 0,
    }
    headers = {
        "content-type": "application/json",
        "x-request-id": request_id(run, index),
        "x-waterfall-session": run.name,
        **run.headers,
    }
    sent = [(name.encode(), value.encode()) for name, value in headers.items()]
    try:
        async with pool.exchange(
            "POST", f"{path}/chat/completions", sent, orjson.dumps(body), PATIENCE
        ) as exchange:
            raw = await exchange.read_all()
            if exchange.status != 200:
                raise RuntimeError(f"The gateway answered {exchange.status}: {raw.decode()}")
            told = exchange.headers
    except HttpError as error:
        raise RuntimeError(f"The gateway did not answer: {error}") from error
    text = orjson.loads(raw)["choices"][0]["message"]["content"] or ""
    return Answered(
        question,
        grade(question, text),
        told[b"x-waterfall-tier"].decode(),
        int(told[b"x-waterfall-attempts"]),
        float(told[b"x-waterfall-cost-usd"]),
    )
