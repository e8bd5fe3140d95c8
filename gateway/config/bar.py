"""A tier's bar: which checks it puts, what ends a draft early, and what weighs it all."""

from __future__ import annotations

from collections.abc import Collection

from gateway.config.combiner_file import FILE, CombinerError, read_combiner
from gateway.config.draft import Draft
from gateway.config.models import BarKeys, TierKeys
from gateway.core.combine import Combiner
from gateway.core.recipes import Recipe
from gateway.core.verdict import Bar, CheckSpec, Early

CHECKS = ("shape", "refusal", "format", "tools", "logprob", "arithmetic", "brevity")
"""The checks a bar may ask for by name; all are free."""
NO_CONFIDENCE = ("brevity",)
"""Checks whose number is no confidence by itself."""
UNSURE = "unsure"
"""The check for a recipe's not-sure marker, added by itself."""
_DEFINED = {
    "agreement": "{kind: agreement, samples: 1}",
    "judge": "{kind: judge, tier: NAME}",
}
"""Words that a bar may want to use, and how they are given a meaning."""


def read_bar(draft: Draft, entry: str, keys: TierKeys, recipe: Recipe | None) -> Bar:
    """Read a tier's bar; what is wrong with it is complained of to the draft."""
    checks = list(keys.bar.checks)
    if recipe is not None and recipe.not_sure and UNSURE not in checks:
        checks.append(UNSURE)
    own = draft.names("checks")
    for place, wanted in enumerate(keys.bar.checks):
        trail = ("tiers", entry, "bar", "checks", place)
        if wanted == UNSURE:
            if keys.recipe is None or (recipe is not None and not recipe.not_sure):
                draft.complain(trail, "unsure means nothing without a recipe with not_sure: true")
        else:
            _look_at_check(draft, trail, keys, own)
    if keys.bar.repair and not {"format", "tools"} & set(checks):
        told = "means nothing without the check format or tools"
        draft.complain(("tiers", entry, "bar", "repair"), told)
    return Bar(
        keys.bar.accept,
        keys.bar.min_gain,
        tuple(CheckSpec(each, waits=each in own) for each in checks),
        repair=keys.bar.repair,
        at_once=keys.bar.at_once,
        early=_early(draft, entry, keys.bar),
        combiner=_combiner(draft, entry, keys, checks),
    )


def _look_at_check(
    draft: Draft, trail: tuple[str, str, str, str, int], keys: TierKeys, own: Collection[str]
) -> None:
    """Is a check that a bar names there, and is there a use for it?"""
    place, wanted = trail[-1], keys.bar.checks[trail[-1]]
    if wanted in _DEFINED and wanted not in own:
        told = f"{wanted} is not defined; write, for instance, checks: {{{wanted}: "
        draft.complain(trail, f"{told}{_DEFINED[wanted]}}}")
    elif draft.known(trail, wanted, (*CHECKS, *own), "check") and wanted in keys.bar.checks[:place]:
        draft.complain(trail, "named twice", wanted)
    elif wanted in NO_CONFIDENCE and keys.bar.confidence is None:
        told = "says nothing without bar.confidence, which makes use of it"
        draft.complain(trail, told, wanted)


def _early(draft: Draft, entry: str, keys: BarKeys) -> Early:
    """Read a bar's `early`: what is there by itself is for a bar with the check it goes by."""
    early, trail = keys.early, ("tiers", entry, "bar", "early")
    for word in ("refusal", "format"):
        written = word in early.model_fields_set and getattr(early, word)
        if written and word not in keys.checks:
            draft.complain((*trail, word), f"means nothing without the check {word}")
    return Early(early.logprob, early.refusal, early.repetition, early.format)


def _combiner(draft: Draft, entry: str, keys: TierKeys, checks: Collection[str]) -> Combiner | None:
    """Read `bar.confidence`, a combiner's file or the folder that holds it."""
    trail, written = ("tiers", entry, "bar", "confidence"), keys.bar.confidence
    if written is None or (path := draft.path(trail, written)) is None:
        return None
    folder = path.suffix != ".json"
    if draft.existing(trail, written, folder=folder) is None:
        return None
    try:
        combiner = read_combiner(path / FILE if folder else path)
    except CombinerError as error:
        draft.complain(trail, str(error))
        return None
    missing = [each for each in (*combiner.free, *combiner.paid) if each not in checks]
    if missing:
        told = f"{combiner.label} was fitted to checks that the bar does not put: "
        draft.complain(trail, told + ", ".join(missing))
    return combiner
