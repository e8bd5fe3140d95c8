"""What tools returned beside text, and how they failed, reaches tiers whose chat says text only."""

from __future__ import annotations

from gateway.dialects.messages.read_request import read_request


def test_what_a_tool_shows_and_how_it_failed_reach_a_chat_s_tier():
    """A chat's tool says text only: images are a user's, and come after all the results."""
    source = {"type": "base64", "media_type": "image/png", "data": "aWVuZA=="}
    image, text = {"type": "image", "source": source}, {"type": "text", "text": "a"}
    results = [
        {"type": "tool_result", "tool_use_id": "c1", "content": [text, image]},
        {"type": "tool_result", "tool_use_id": "c2", "content": [image]},
        {"type": "tool_result", "tool_use_id": "c3", "content": [text, text], "is_error": True},
        {"type": "tool_result", "tool_use_id": "c4", "content": "no", "is_error": True},
    ]
    said = {"role": "user", "content": [*results, {"type": "text", "text": "And now?"}]}
    *tools, user = read_request({"model": "m", "max_tokens": 9, "messages": [said]}, {}).messages
    assert [message["role"] for message in tools] == ["tool"] * 4
    first, second, third, fourth = (message["content"] for message in tools)
    assert (first, fourth) == ("a", "Error: no")
    assert "next message" in second
    assert [part["text"] for part in third] == ["Error:", "a", "a"]
    assert [part["type"] for part in user["content"]] == ["image_url", "image_url", "text"]
