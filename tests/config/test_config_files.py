"""Loading from a real folder: what is read, what is watched, what is warned of."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from gateway.config import ConfigError, PriceSettings, load, load_recipe, parse_recipe
from gateway.config.draft import Book
from gateway.config.text import DEPTH_LIMIT, SIZE_LIMIT
from gateway.core.money import Price
from gateway.core.recipes import Recipe
from gateway.core.verdict import CheckSpec
from gateway.prices import open_book

BOOK = Book({"tiny": Price(input=7), "huge": Price(input=7)})

RECIPE = """\
version: 3
before: Be terse. Write ${HOME} as it is.
after: Think.
output: Answer in one word.
examples: [{user: "2+2?", assistant: "4"}]
not_sure: true
params: {temperature: 0, stop: ["\\n"]}
"""


def load_it(path, environ=None):
    return load(path, environ or {}, lambda _: BOOK)


def refused(path):
    with pytest.raises(ConfigError) as caught:
        load_it(path)
    return str(caught.value).splitlines()


@pytest.fixture
def file(tmp_path, small):
    path = tmp_path / "waterfall.yaml"
    path.write_text(small)
    path.chmod(0o644)
    return path


def test_a_recipe(tmp_path):
    path = tmp_path / "terse.yaml"
    path.write_text(RECIPE)
    assert load_recipe(path) == Recipe(
        name="terse",
        version=3,
        before="Be terse. Write ${HOME} as it is.",
        after="Think.",
        output="Answer in one word.",
        examples=(("2+2?", "4"),),
        not_sure=True,
        params={"temperature": 0, "stop": ["\n"]},
    )


@pytest.mark.parametrize("param", ["messages", "model", "stream", "n", "stream_options"])
def test_a_recipe_may_not_set_what_is_not_its_to_set(param):
    with pytest.raises(ConfigError, match=rf"r.yaml:2: params.{param}: not for a recipe to set: "):
        parse_recipe(f"version: 1\nparams: {{{param}: 1}}\n", "r.yaml", "r")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("before: x", "r.yaml:1: version: is required"),
        ("version: 0", "version: must be a whole number from 1 to 1000000 (got 0)"),
        ("version: 1\nafter: 5", "r.yaml:2: after: must be text (got 5)"),
        ("version: 1\nbeforr: x", "r.yaml:2: beforr: unknown key; did you mean 'before'?"),
        ("version: 1\nexamples: [{user: x}]", "r.yaml:2: examples[0].assistant: is required"),
        ("version: 1\nparams: [x]", "r.yaml:2: params: must be a mapping (got a list)"),
        ("[]", "r.yaml:1: must be a mapping (got a list)"),
        ("", "r.yaml: the file is empty"),
    ],
)
def test_a_wrong_recipe(text, message):
    with pytest.raises(ConfigError) as caught:
        parse_recipe(text, "r.yaml", "r")
    assert message in str(caught.value)


def test_what_is_named_is_read_and_watched(file, small):
    folder = file.parent
    (folder / "r").mkdir()
    (folder / "r" / "terse.yaml").write_text(RECIPE)
    (folder / "artefact").mkdir()
    (folder / "prices.yaml").write_text("models: {}")
    text = small.replace("model: tiny", "model: tiny, recipe: r/terse.yaml")
    text = text.replace("large]", "large], scorer: artefact")
    file.write_text(f"{text}prices: {{file: prices.yaml}}\n")
    opened = []
    settings = load(file, {}, lambda asked: opened.append(asked) or BOOK)
    assert opened == [PriceSettings("builtin", (folder / "prices.yaml",))] == [settings.prices]
    assert settings.routes["waterfall"].scorer == str(folder / "artefact")
    tier = settings.tiers["small"]
    assert tier.recipe.label == "terse@3"
    assert tier.bar.checks[-1] == CheckSpec("unsure")
    names = {path.relative_to(folder).as_posix() for path in settings.files}
    assert names == {"waterfall.yaml", "r/terse.yaml", "artefact", "prices.yaml"}


def test_a_named_unsure_check_is_not_doubled(file, small):
    (file.parent / "r.yaml").write_text(RECIPE)
    more = "model: tiny, recipe: r.yaml, bar: {checks: [unsure, shape]}"
    file.write_text(small.replace("model: tiny", more))
    assert load_it(file).tiers["small"].bar.checks == (CheckSpec("unsure"), CheckSpec("shape"))


def test_every_file_s_problems_are_told_together(file, small):
    (file.parent / "r.yaml").write_text("versoin: 1")
    (file.parent / "p.yaml").write_text("modles: {}")
    text = small.replace("model: tiny", "model: tiny, recipe: r.yaml").replace("large]", "big]")
    file.write_text(f"{text}prices: {{file: p.yaml}}\n")
    with pytest.raises(ConfigError) as caught:
        load(file, {}, open_book)
    names = ["waterfall.yaml", "p.yaml", "r.yaml"]
    assert [path.name for path in caught.value.files] == names
    assert [(each.file, each.path) for each in caught.value.problems] == [
        ("waterfall.yaml", "routes.waterfall.tiers[1]"),
        ("p.yaml", "models"),
        ("p.yaml", "modles"),
        ("r.yaml", "version"),
        ("r.yaml", "versoin"),
    ]


# ------------------------------------------------------------------ warnings


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("https://llm.example.com/v1", False),
        ("http://llm.example.com/v1", True),
        ("http://10.0.0.7:8000/v1", True),
        ("http://127.0.0.1:8000/v1", False),
        ("http://localhost:8000/v1", False),
        ("http://[::1]:8000/v1", False),
    ],
)
def test_an_upstream_in_the_clear(file, small, url, warned):
    file.write_text(small.replace("https://llm.example.com/v1", url))
    told = "waterfall.yaml: upstreams.acme.base_url: http:// to another machine: "
    assert [warning.startswith(told) for warning in load_it(file).warnings] == [True] * warned


@pytest.mark.parametrize(
    ("mode", "key", "warned"),
    [
        (0o644, "literal-key", True),
        (0o640, "literal-key", False),
        (0o644, "${KEY}", False),
    ],
)
def test_a_key_that_everyone_can_read(file, small, mode, key, warned):
    file.write_text(small.replace('v1"', f'v1", api_key: "{key}"'))
    file.chmod(mode)
    settings = load_it(file, {"KEY": "from-outside"})
    told = "waterfall.yaml: upstreams.acme.api_key: everyone on this machine can read this key"
    assert [warning.startswith(told) for warning in settings.warnings] == [True] * warned
    assert "literal-key" not in "".join(settings.warnings)


def test_a_price_of_nothing_is_taken_with_a_warning(file, small):
    file.write_text(small.replace("model: tiny", "model: tiny, price: {input: 0, output: 0}"))
    settings = load_it(file)
    assert settings.tiers["small"].price == Price().sealed("config")
    told = "waterfall.yaml: tiers.small.price: counted as free"
    assert [warning.startswith(told) for warning in settings.warnings] == [True]


# ------------------------------------------------------------------ files that are none


def test_a_file_that_cannot_be_opened(file, small, monkeypatch):
    for name in ("r.yaml", "p.yaml"):
        (file.parent / name).write_text("version: 1\nmodels: {}")
    text = small.replace("model: tiny", "model: tiny, recipe: r.yaml")
    file.write_text(f"{text}prices: {{file: p.yaml}}\n")
    honest = Path.open

    def jealous(path, *args):
        if path != file:
            raise PermissionError(13, "Permission denied")
        return honest(path, *args)

    monkeypatch.setattr(Path, "open", jealous)
    with pytest.raises(ConfigError) as caught:
        load(file, {}, open_book)
    told = str(caught.value).splitlines()
    assert (
        "waterfall.yaml:4: tiers.small.recipe: cannot be read: Permission denied (got 'r.yaml')"
        in told
    )
    assert told[-1].startswith("waterfall.yaml:8: prices.file: cannot be read: Permission denied")


def test_no_such_file(tmp_path):
    told = "waterfall.yaml: cannot be read: No such file or directory"
    assert refused(tmp_path / "waterfall.yaml") == [told]


def test_a_folder(tmp_path):
    assert refused(tmp_path)[0].endswith("cannot be read: Is a directory")


def test_a_path_that_cannot_be(tmp_path, small, file):
    assert refused(tmp_path / "a\0b")[0].endswith("cannot be read: not a path")
    file.write_text(small.replace("model: tiny", 'model: tiny, recipe: "a\\0b"'))
    assert refused(file)[0].startswith("waterfall.yaml:4: tiers.small.recipe: must be a path")
    file.write_text(small.replace("model: tiny", f"model: tiny, recipe: {'long' * 99}"))
    assert refused(file)[0].startswith("waterfall.yaml:4: tiers.small.recipe: no such file")


@pytest.fixture(params=["compiled", "plain"])
def parser(request, monkeypatch):
    """Both of PyYAML's parsers: not every platform has the compiled one."""
    if request.param == "plain":
        monkeypatch.setattr("gateway.config.text._LOADER", yaml.BaseLoader)


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "waterfall.yaml: the file is empty"),
        (b"# nothing\n", "waterfall.yaml: the file is empty"),
        (b"a\n---\nb\n", "waterfall.yaml:2: not valid YAML: "),
        (b"tiers:\n  small: [\n", "waterfall.yaml:3: not valid YAML: "),
        (b"tiers:\n\tsmall: 1\n", "waterfall.yaml:2: not valid YAML: "),
        (b"\xff\xfe\x00", "waterfall.yaml: not UTF-8 text"),
        (b"a: b\nc: \x00", "waterfall.yaml:2: contains the character U+0000"),
        (b"[" * 99 + b"]" * 99, f"waterfall.yaml:1: nested more than {DEPTH_LIMIT} deep"),
        (b"#" * SIZE_LIMIT + b"#", "waterfall.yaml: larger than 1 MiB"),
        (b"&a [*a]", "waterfall.yaml: its aliases make it too large"),
        (b'a: "\\Uffffffff"', "waterfall.yaml"),
        (b"just words", "waterfall.yaml:1: must be a mapping (got ***)"),
    ],
)
def test_what_is_no_configuration(file, content, message):
    file.write_bytes(content)
    assert refused(file)[0].startswith(message)


def test_a_few_lines_of_aliases_cannot_fill_the_memory(file):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    file.write_text("\n".join(lines))
    assert refused(file) == ["waterfall.yaml: its aliases make it too large"]


def test_a_byte_order_mark_and_an_alias_are_fine(file, small):
    text = small.replace("large: {upstream: acme, model: huge}", "large: *s")
    text = text.replace("small: {", "small: &s {", 1)
    file.write_bytes(b"\xef\xbb\xbf" + text.encode())
    tiers = load_it(file).tiers
    assert tiers["large"].model == tiers["small"].model == "tiny"
