"""A recipe file to a core Recipe."""

from __future__ import annotations

from pathlib import Path

from gateway.config.checking import check
from gateway.config.models import RecipeKeys
from gateway.config.problems import ConfigError
from gateway.config.text import read, read_file
from gateway.core.recipes import Recipe

_OURS = {
    "messages": "the texts of a recipe are before, after, output and examples",
    "model": "a tier names its model",
    "stream": "the client chooses",
    "stream_options": "the client chooses",
    "n": "the client chooses",
    "logprobs": "a bar with the logprob check asks for them",
    "top_logprobs": "a bar with the logprob check asks for them",
}
"""Fields of a request that a recipe may not set, and who does."""


def parse_recipe(source: str | bytes, name: str, stem: str) -> Recipe:
    """Read a recipe called `stem`; `name` is the file's, for messages. References to the
    environment are not expanded: a prompt may well speak of `${NAME}`.

    Raises ConfigError.
    """
    document = read(source, name)
    keys = check(document, RecipeKeys, ())
    for param in keys.params if keys else ():
        if param in _OURS:
            document.problem(("params", param), f"not for a recipe to set: {_OURS[param]}")
    if keys is None or document.problems:
        raise ConfigError(document.problems)
    return Recipe(
        name=stem,
        version=keys.version,
        before=keys.before,
        after=keys.after,
        output=keys.output,
        examples=tuple((example.user, example.assistant) for example in keys.examples),
        not_sure=keys.not_sure,
        handover=keys.handover,
        params=keys.params,
    )


def load_recipe(path: Path) -> Recipe:
    """Read a recipe file, named for its stem. Raises ConfigError, OSError or ValueError."""
    return parse_recipe(read_file(path), path.name, path.stem)
