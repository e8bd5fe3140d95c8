"""A repair shows the model its reply and what was wrong with it, after the client's own words."""

from __future__ import annotations

from core.tries import SMALL, malformed

from gateway.core.chat import ChatRequest, Choice, Reply
from gateway.core.ledger import escalations
from gateway.core.outcome import Outcome
from gateway.core.repair import MOST_CHARS, mended
from gateway.core.verdict import PASS, Evidence, Finding

ASKED = ChatRequest({"model": "m", "messages": [{"role": "user", "content": "q"}], "seed": 3})
TOLD = Evidence("format", Finding("fail", "schema_invalid", broken=True, detail="it is not JSON"))


def turns(**more):
    request = mended(ASKED, malformed(SMALL, **more))
    assert request.body["seed"] == 3
    assert request.messages[:1] == ASKED.messages
    return [(turn["role"], turn["content"]) for turn in request.messages[1:]]


def test_the_reply_and_what_is_wrong_with_it():
    (who, said), (asker, asked) = turns(reply=Reply((Choice("{bad"),)), asked=[])
    assert (who, said, asker) == ("assistant", "{bad", "user")
    assert "it does not have the form that was asked for" in asked


def test_the_check_s_own_words():
    attempt = malformed(SMALL, asked=[])
    attempt = type(attempt)(SMALL, reply=attempt.reply, evidence=(Evidence("shape", PASS), TOLD))
    asked = mended(ASKED, attempt).messages[-1]["content"]
    assert "cannot be used: it is not JSON." in asked


def test_calls_of_tools_are_shown_as_text():
    call = {"id": "1", "name": "add", "arguments": "{}"}
    (_, said), _ = turns(reply=Reply((Choice("", tool_calls=(call,)),)))
    assert said == '[{"name": "add", "arguments": "{}"}]'


def test_a_long_reply_is_cut_and_none_is_said_to_be_none():
    (_, said), _ = turns(reply=Reply((Choice("x" * (MOST_CHARS + 1)),)))
    assert len(said) == MOST_CHARS
    assert turns(reply=Reply(()))[0][1] == turns(reply=None)[0][1] == "(nothing)"


def test_a_repair_is_no_escalation():
    first, second = malformed(SMALL), malformed(SMALL)
    outcome = Outcome((first, second), second)
    assert escalations(outcome) == []
    assert not outcome.escalated
