"""What changes of a route's tuning, in sentences for the log."""

from __future__ import annotations

from gateway.core.routing import Route
from gateway.tuning.state import Promise, State

_WHAT = {
    "score": "scores are distributed otherwise than those of the reference",
    "feature": "requests look otherwise than those of the reference",
    "unlike": "many prompts are unlike all that the scorer learnt from",
    "share": "the share that starts over the first tier is off its target",
}
"""Each alarm."""


def waiting(route: Route, missing: int) -> str:
    """Say that nothing can be promised yet."""
    return (
        f"{route.name}: nothing can be promised for want of labels, {missing} at the least; "
        f"until then whatever reaches a difficulty of {route.thresholds[0]:g} starts higher"
    )


def changes(route: Route, before: State | None, after: State) -> list[str]:
    """Say what an operator should know: thresholds, promises, missing labels, alarms."""
    told = [*_threshold(route, before, after), *_promise(route, before, after)]
    was = before.drift.alarms if before else {}
    now = after.drift.alarms
    told += [f"{route.name}: alarm {kind}: {_WHAT[kind]}" for kind in now if kind not in was]
    told += [f"{route.name}: alarm {kind} is over" for kind in was if kind not in now]
    return told


def _threshold(route: Route, before: State | None, after: State) -> list[str]:
    told = []
    if after.reference is not None and (before is None or before.reference is None):
        told.append(f"{route.name}: scores are ranked among the gateway's own traffic from now on")
    if after.thresholds is not None and after.basis != "conservative":
        same = before is not None and before.basis == after.basis and before.told == after.told
        if not same:
            by = f"{after.seen} scores" if after.basis == "share" else f"{after.labels} labels"
            told.append(f"{route.name}: threshold {after.thresholds[0]:.4f}, from {by}")
    return told


def _promise(route: Route, before: State | None, after: State) -> list[str]:
    was, now = before.promise if before else None, after.promise
    if after.basis == "conservative":
        same = before is not None and (before.basis, before.missing) == (after.basis, after.missing)
        return [] if same else [waiting(route, after.missing)]
    if now is None or _essence(now) == (_essence(was) if was else None):
        return []
    if now.void:
        needs = f"{after.missing} more labels from after it, or the alarm's end"
        return [f"{route.name}: the promise of {now.quality:g} is void by an alarm: needs {needs}"]
    how = "on average" if now.delta is None else f"with a confidence of {1 - now.delta:g}"
    return [f"{route.name}: {now.quality:g} of the strong tier's quality is promised, {how}"]


def _essence(promise: Promise) -> tuple[object, ...]:
    return promise.quality, promise.delta, promise.void
