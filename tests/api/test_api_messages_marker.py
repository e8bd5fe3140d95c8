"""The not-sure marker and a tier of Anthropic's Messages whose client speaks them too."""

from __future__ import annotations

import orjson
from api.serving import config, house
from api.test_api_messages import MESSAGES, asked, whole_of
from dialects.samples import named, stream_of
from upstreams.scripted import Scripted, streamed, whole


async def test_the_marker_is_cut_from_an_anthropic_tier_s_own_events(tmp_path):
    (tmp_path / "r.yaml").write_text("version: 1\nbefore: Be terse.\nnot_sure: true\n")
    async with Scripted() as server:
        document = config(
            upstreams__far={"kind": "anthropic", "base_url": server.url},
            tiers__small__upstream="far",
            tiers__small__recipe="r.yaml",
        )
        async with house(tmp_path, document) as gateway:
            marker = gateway.gateway._marker
            text = {"type": "text", "text": f"Fine. {marker} or not"}
            sent = [streamed(*named(stream_of(text, size=5))), plain_of(text)]
            server._rows = [[sent[0], "close"], [sent[1]]]
            body = asked(model="small", system="Be kind.")
            for stream in (True, False):
                answer = await gateway.post({**body, "stream": stream}, MESSAGES)
                message = whole_of(answer) if stream else answer.json
                assert message["content"] == [{"type": "text", "text": "Fine. "}]
                assert marker not in answer.body.decode()
    told = orjson.loads(server.requests[0].partition(b"\r\n\r\n")[2])["system"]
    assert told.startswith("Be terse.\n\nBe kind.\n\n")
    assert marker in told


def plain_of(*blocks):
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m"}
    ended = {"stop_reason": "end_turn", "stop_sequence": None}
    usage = {"usage": {"input_tokens": 3, "output_tokens": 4}}
    return whole(orjson.dumps({**message, **ended, **usage, "content": blocks}))
