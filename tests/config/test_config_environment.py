"""References to the environment are expanded once, stay text, and are never shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import ConfigError, parse
from gateway.config.draft import Book
from gateway.config.environment import Expanded, expand, mask

CANARY = "c4nary"


def model(text, small, read, environ):
    return read(small.replace("model: tiny", f"model: {text}, price: {PRICE}"), environ)


PRICE = "{input: 1, output: 1}"


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("${A}", "one"),
        ("'${A}'", "one"),
        ('"${A}-${B}"', "one-two"),
        ("x-${A}-y", "x-one-y"),
        ("${NONE:-three}", "three"),
        ("${EMPTY:-three}", "three"),
        ("'${NONE:-a, b}'", "a, b"),
        ("${A:-three}", "one"),
        ('"$${A}"', "${A}"),
        ('"$${A} ${A}"', "${A} one"),
        ("$A", "$A"),
        ("${TWICE}", "${A}"),
        ("'${NONE:-$A}'", "$A"),
        ("${NUMBER}", "5"),
        ("${STRUCTURE}", "x, hold: none}"),
    ],
)
def test_a_reference(read, small, written, value):
    environ = {
        "A": "one",
        "B": "two",
        "EMPTY": "",
        "TWICE": "${A}",
        "NUMBER": "5",
        "STRUCTURE": "x, hold: none}",
    }
    assert model(written, small, read, environ).tiers["small"].model == value


@pytest.mark.parametrize(
    ("line", "read_back"),
    [
        ("server: {port: ${N}}", lambda settings: settings.server.port == 81),
        ("server: {drain: ${N}}", lambda settings: settings.server.drain == 81.0),
        ("server: {drain: ${N}ms}", lambda settings: settings.server.drain == 0.081),
        ("server:\n  max_body: ${N}KB", lambda settings: settings.server.max_body == 81_000),
        ("server: {admin: '127.0.0.1:${N}'}", lambda s: s.server.admin == ("127.0.0.1", 81)),
        ("server: {workers: ${TWO}}", lambda settings: settings.server.workers == 2),
    ],
)
def test_a_number_may_come_from_the_environment(read, small, line, read_back):
    assert read_back(read(f"{small}{line}\n", {"N": "81", "TWO": "2"}))


def test_a_flag_may_too(read, small):
    text = small.replace("model: tiny", "model: tiny, tools: ${F}")
    assert read(text, {"F": "false"}).tiers["small"].takes_tools is False


def test_comments_may_say_anything(read, small):
    assert read(f"# ${{NOT_THERE}} and ${{\n{small}") == read(small)


def test_a_private_character_is_refused(problems, small):
    told = "waterfall.yaml: contains a private-use character (U+E000 to U+E002)"
    assert problems(f"# \ue001\n{small}") == [told]


def test_the_environment_may_hold_bytes_that_are_no_text(problems, small):
    text = small.replace("model: tiny", "model: ${BYTES}")
    told = "waterfall.yaml:4: tiers.small.model: the environment's value is not UTF-8 text"
    assert problems(text, {"BYTES": "\udcff"}) == [told]


# ------------------------------------------------------------------ nothing is shown

SLIPS = [
    "server: {admin_key: [CANARY]}",
    "server: {admin_key: 'CANARY with a space'}",
    "server: {admin_key: {CANARY: 1}}",
    "server: {host: '', port: ${SECRET}}",
    "server: {log: ${SECRET}}",
    "server: ${SECRET}",
    "server: CANARY",
    "keys: [CANARY]",
    "keys: CANARY",
    "keys: [{name: app, hash: CANARY}]",
    "keys: [{name: app, hash: 'sha256:CANARY'}]",
    "keys: [{name: app, key: CANARY}]",
    "aliases: {gpt: ${SECRET}}",
    "aliases: {gpt: 'bad name ${SECRET}'}",
    "prices: {file: ${SECRET}}",
    "ledger: {url: '${SECRET}'}",
    "ledger: {url: 'postgres://me:CANARY@db'}",
    "ledger: {url: 'mysql://me:CANARY@db/x'}",
    "shared: {url: 'mongo://me:CANARY@db/x'}",
    "more: &CANARY 1\nother: *CANARY2",
    "more: !CANARY 1",
    "more: 'CANARY",
    'more: "CANARY \\q"',
    "more: {CANARY",
    "%CANARY",
]
SPOILED = [
    ("https://", "https://me:CANARY@"),
    ("https://", "ftp://me:CANARY@"),
    ("https://llm.example.com/v1", "sk-CANARY"),
    ('v1"', 'v1", api_key: "CANARY\\n"'),
    ('v1"', 'v1", apikey: CANARY'),
    ('v1"', 'v1", kind: ${SECRET}'),
    ("model: tiny", "model: ${SECRET}"),
    ("upstream: acme, model: tiny", "upstream: ${SECRET}, model: tiny"),
    ("model: tiny", "model: tiny, recipe: ${SECRET}"),
    ("model: tiny", "model: tiny, bar: {checks: [x${SECRET}]}"),
    ("small, large]", "small, large], aliases: ['${SECRET}', '${SECRET}']"),
    ("small, large]", "small, large, '${SECRET}']"),
    ("small, large]", "small, large], scorer: ${SECRET}"),
    ("small, large]", "small, large], baseline: {tier: '${SECRET}'}"),
]


@pytest.mark.parametrize("line", SLIPS)
def test_a_secret_is_never_shown(problems, small, line):
    text = f"{small}{line}\n".replace("CANARY", CANARY)
    assert CANARY not in "\n".join(problems(text, {"SECRET": CANARY}))


@pytest.mark.parametrize(("old", "new"), SPOILED)
def test_a_secret_in_the_wrong_place_is_never_shown(problems, small, old, new):
    text = small.replace(old, new.replace("CANARY", CANARY), 1)
    assert CANARY not in "\n".join(problems(text, {"SECRET": CANARY}))


def test_nor_in_what_the_error_grew_from(small):
    text = small.replace('v1"', f'v1", api_key: "{CANARY} "')
    with pytest.raises(ConfigError) as caught:
        parse(text, "waterfall.yaml", {}, lambda _: Book({}))
    chain, error = [], caught.value
    while error is not None:
        chain.append(repr(error))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    assert CANARY not in "".join(chain)


# ------------------------------------------------------------------ properties

VARIABLES = st.dictionaries(st.sampled_from(["A", "B_2", "_c"]), st.text(), min_size=3)


@given(environ=VARIABLES, parts=st.lists(st.sampled_from(["${A}", "${B_2}", "${_c}", "$${", "x"])))
def test_expansion_is_one_pass(environ, parts):
    meant = {"$${": "${", "x": "x"} | {f"${{{name}}}": text for name, text in environ.items()}
    whole = expand(mask("".join(parts)), environ)
    assert whole == "".join(meant[part] for part in parts)
    assert isinstance(whole, Expanded) == any(part[1:2] == "{" for part in parts)
