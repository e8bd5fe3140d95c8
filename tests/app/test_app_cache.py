"""The cache of replies on real sockets, where a client that is answered is gone at once."""

from __future__ import annotations

import asyncio

import httpx
from api.serving import CHAT, LIMIT, ask_for
from app.serving import listening

QUESTIONS = 20


async def test_whoever_leaves_with_the_answer_does_not_undo_its_being_kept(tmp_path):
    # Patient: with the common 100 ms a machine that is busy elsewhere keeps nothing.
    changes = {"routes__waterfall__cache": {}, "shared": {"timeout": "5s"}}
    async with listening(tmp_path, **changes) as served:
        url = served.base_url.removesuffix("/v1")

        async def ask(number):
            said = [{"role": "user", "content": f"Say hello to number {number}."}]
            async with httpx.AsyncClient(base_url=url, timeout=LIMIT) as client:
                answer = await client.post(CHAT, json=ask_for(messages=said))
            assert answer.status_code == 200, answer.text
            return answer.headers["x-waterfall-cache"]

        assert {await ask(number) for number in range(QUESTIONS)} == {"miss"}
        await served.gateway.switch.service.in_flight.idle()
        await asyncio.sleep(0.3)  # what is kept is kept behind the answer
        assert [await ask(number) for number in range(QUESTIONS)] == ["hit"] * QUESTIONS
