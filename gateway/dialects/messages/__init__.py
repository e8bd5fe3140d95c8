"""Anthropic's Messages, as https://docs.anthropic.com/en/api/messages describes them."""

from gateway.dialects.dialect import Dialect
from gateway.dialects.messages.read_request import read_request
from gateway.dialects.messages.write_events import Telling
from gateway.dialects.messages.write_reply import error_body, plain_reply

MESSAGES = Dialect(
    api="messages",
    read=read_request,
    error=error_body,
    plain=plain_reply,
    stream=Telling,
    headers=("anthropic-beta",),
    id_header="request-id",
)
