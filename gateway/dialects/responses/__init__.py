"""OpenAI's Responses: https://platform.openai.com/docs/api-reference/responses."""

from gateway.dialects.dialect import Dialect
from gateway.dialects.responses.read_request import read_request
from gateway.dialects.responses.write_events import Telling
from gateway.dialects.responses.write_reply import error_body, plain_reply

RESPONSES = Dialect(
    api="responses",
    read=read_request,
    error=error_body,
    plain=plain_reply,
    stream=Telling,
)
