"""Files and images of a chat as Anthropic's Messages take them."""

from __future__ import annotations

import base64

import pytest

from gateway.core.errors import CannotCarry
from gateway.dialects.messages.write_request import write_request

TEXT = base64.b64encode("größer".encode()).decode()


def block_of(part):
    said = {"role": "user", "content": [part]}
    told, dropped = write_request({"model": "claude", "messages": [said]})
    assert dropped == []
    return told["messages"][0]["content"][0]


def file(data, name="a"):
    return {"type": "file", "file": {"filename": name, "file_data": data}}


def test_a_text_is_told_as_text_and_a_pdf_as_it_is():
    for media in ("text/plain", "text/csv", "text/markdown"):
        told = block_of(file(f"data:{media};base64,{TEXT}"))
        source = {"type": "text", "media_type": "text/plain", "data": "größer"}
        assert told == {"type": "document", "source": source, "title": "a"}
    for data in ("cGRm", "data:application/pdf;base64,cGRm"):
        source = {"type": "base64", "media_type": "application/pdf", "data": "cGRm"}
        assert block_of(file(data))["source"] == source


def test_an_image_s_kind_has_anthropic_s_name():
    image = {"type": "image_url", "image_url": {"url": "data:image/jpg;base64,anBn"}}
    assert block_of(image)["source"]["media_type"] == "image/jpeg"


@pytest.mark.parametrize(
    "data",
    ["data:application/zip;base64,emlw", "data:text/plain;base64,/w==", "data:text/plain;base64,!"],
)
def test_what_anthropic_would_refuse_is_left_to_another_tier(data):
    with pytest.raises(CannotCarry, match=r"messages\[0\]"):
        block_of(file(data))
