"""One picture of an evaluation: what it saves, whether it keeps its word, whom it sends up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure as Canvas

from router_models.difficulty.duplicates import Integers
from router_models.difficulty.evaluate import Run
from router_models.difficulty.metrics import BINS, Array, Curve
from router_models.difficulty.report import Case

INK, FAINT, PAPER = "#22303c", "#8a97a3", "#ffffff"
BLUE, ORANGE, GREEN, GREY = "#1f6fb2", "#d9732b", "#3a8f5d", "#b9c2ca"
TIER_COLOURS: Final = (ORANGE, BLUE, GREEN, "#8159a6", "#b5473c", "#6b7a87")
_MOST_TASKS: Final = 6
_BARS: Final = 40
_FEW: Final = 10
"""A bin with fewer rows shows no point: it would say nothing."""


def draw(path: Path, case: Case, run: Run, told: Mapping[str, Any], name: str) -> None:
    """Draw an evaluation, `told` its figures, into a PNG. Raises OSError."""
    canvas = Canvas(figsize=(15, 5.2), dpi=150, facecolor=PAPER, layout="constrained")
    money, trust, whom = canvas.subplots(1, 3)
    _curve(money, case, run, told)
    _reliability(trust, case.outcomes[run.rows], run.p_good, told)
    _histogram(whom, case.take(run.rows), run, told)
    for axes in (money, trust, whom):
        _tidy(axes)
    ends = [f"{told['tiers'][place]} {told[key]['value']:.3f}" for place, key in _ENDS]
    canvas.suptitle(
        f"{name}  ·  {told['n']:,} rows  ·  {' → '.join(ends)}  ·  {told['how']['what']}",
        color=INK, fontsize=12, fontweight="bold", x=0.012, ha="left",
    )  # fmt: skip
    canvas.savefig(path, format="png", metadata={"Software": None})


_ENDS: Final = ((0, "weak_quality"), (-1, "strong_quality"))


def _curve(axes: Any, case: Case, run: Run, told: Mapping[str, Any]) -> None:
    """Quality against cost, or against the share sent up where costs are unknown."""
    recorded = case.recorded
    priced = recorded.priced
    own = case.take(run.rows).recorded
    unit = float(recorded.strong_cost.mean()) if priced else 1.0
    priced = priced and unit > 0

    def line(ranking: Array, of: Any) -> tuple[Array, Array]:
        shares, quality, cost = Curve(ranking, of, np.ones((1, len(ranking)))).points()
        return (cost / unit if priced else shares), quality

    oracle = line(recorded.strong - recorded.weak, recorded)
    random = line(np.zeros(len(recorded.weak)), recorded)
    found = line(run.ranking, own)
    length = line(case.lengths, recorded)
    axes.plot(*oracle, color=GREEN, lw=1.3, ls=(0, (4, 2)), label="oracle")
    axes.plot(*length, color=FAINT, lw=1.1, label="longest first")
    axes.plot(*random, color=GREY, lw=1.6, ls=":", label="random")
    axes.fill_between(
        found[0], found[1], np.interp(found[0], *random), color=BLUE, alpha=0.10, lw=0
    )
    axes.plot(*found, color=BLUE, lw=2.4, label=f"this scorer (APGR {_told(told['apgr'])})")
    _mark(axes, told, found, run, own)
    axes.set_title("What a share of the strong tier buys", loc="left", color=INK, fontsize=11)
    share = "cost, of the strong tier's for everything" if priced else "share sent up"
    axes.set_xlabel(share + (f" ({told['costs']})" if priced else " (costs are unknown)"))
    axes.set_ylabel("quality: mean score")
    axes.set_xlim(left=min(0.0, float(found[0].min())))
    low = min(float(found[1].min()), float(recorded.weak.mean()))
    high = max(float(oracle[1].max()), float(found[1].max()))
    axes.set_ylim(low - 0.06 * (high - low), high + 0.06 * (high - low))
    axes.xaxis.set_major_formatter(_percent)
    axes.legend(loc="center", bbox_to_anchor=(0.6, 0.8), frameon=False, fontsize=9)


def _mark(
    axes: Any, told: Mapping[str, Any], found: tuple[Array, Array], run: Run, own: Any
) -> None:
    """The operating point, and what 95 % and 98 % of the strong tier's quality take."""
    point = told["operating"]
    shares = Curve(run.ranking, own, np.ones((1, len(run.ranking)))).points()[0]
    x, y = (float(np.interp(point["share"], shares, each)) for each in found)
    axes.plot([x], [y], "o", color=BLUE, ms=9, mec=PAPER, mew=1.6, zorder=5)
    words = [f"{point['share']:.0%} sent up"]
    if point["pgr"] is not None:
        words.append(f"{point['pgr']:.0%} of the gap")
    if point["saved"] is not None:
        words.append(f"{point['saved']:.0%} of the cost saved")
    axes.annotate(
        "\n".join(words), (x, y), xytext=(12, -14), textcoords="offset points", va="top",
        fontsize=9, color=BLUE,
    )  # fmt: skip
    strong = told["strong_quality"]["value"]
    for level in (0.95, 0.98):
        axes.axhline(level * strong, color=GREY, lw=0.8, zorder=0)
        axes.annotate(
            f"{level:.0%} of {told['tiers'][-1]}", (0.0, level * strong),
            xycoords=("axes fraction", "data"), xytext=(4, 2), textcoords="offset points",
            fontsize=8, color=FAINT,
        )  # fmt: skip


def _reliability(axes: Any, outcomes: Array, p_good: Array, told: Mapping[str, Any]) -> None:
    """What was promised against what was kept, for each tier, with how many rows behind it."""
    axes.plot([0, 1], [0, 1], color=GREY, lw=1.2, ls=":", label="kept to the word")
    for head in range(p_good.shape[1]):
        bins = np.minimum((p_good[:, head] * BINS).astype(int), BINS - 1)
        counts = np.bincount(bins, minlength=BINS)
        shown = np.flatnonzero(counts >= _FEW)
        promised = [float(p_good[bins == each, head].mean()) for each in shown]
        kept = np.array([float(outcomes[bins == each, head].mean()) for each in shown])
        reach = 1.96 * np.sqrt(np.maximum(kept * (1 - kept), 0.0) / counts[shown])
        colour = TIER_COLOURS[head % len(TIER_COLOURS)]
        error = _told(told["ece_heads"][head])
        axes.errorbar(
            promised, kept, yerr=reach, color=colour, lw=1.6, elinewidth=1, capsize=0,
            label=f"{told['tiers'][head]} (ECE {error})",
        )  # fmt: skip
        sizes = 18 + 220 * np.sqrt(counts[shown] / counts.sum())
        axes.scatter(promised, kept, s=sizes, color=colour, edgecolor=PAPER, lw=1, zorder=4)
    if not p_good.shape[1]:
        axes.text(0.5, 0.5, "this scorer promises nothing", ha="center", color=FAINT)
    axes.set_title("Whether its probabilities are kept", loc="left", color=INK, fontsize=11)
    axes.set_xlabel("promised P(good)")
    axes.set_ylabel("kept: share good")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.xaxis.set_major_formatter(_percent)
    axes.yaxis.set_major_formatter(_percent)
    axes.legend(loc="upper left", frameon=False, fontsize=9)


def _histogram(axes: Any, case: Case, run: Run, told: Mapping[str, Any]) -> None:
    """How each task's requests score: the part beyond the line goes up."""
    low, high = (float(each) for each in np.quantile(run.ranking, [0.002, 0.998]))
    bins = np.linspace(low, high if high > low else low + 1, _BARS + 1)
    scores = np.clip(run.ranking, bins[0], bins[-1])
    groups = _largest(case)
    colours = [*TIER_COLOURS[1:], TIER_COLOURS[0], GREY]
    axes.hist(
        [scores[rows] for rows in groups.values()], bins=bins, stacked=True, label=list(groups),
        color=[colours[i % len(colours)] for i in range(len(groups))], edgecolor=PAPER, lw=0.4,
    )  # fmt: skip
    start = float(np.quantile(run.ranking, 1 - told["operating"]["share"]))
    axes.set_ylim(0, axes.get_ylim()[1] * 1.5)
    axes.axvline(start, ymax=0.72, color=INK, lw=1.4)
    axes.annotate(
        f"{told['operating']['share']:.0%} goes up →", (start, 0.72),
        xycoords=("data", "axes fraction"), xytext=(5, -10), textcoords="offset points",
        fontsize=9, color=INK,
    )  # fmt: skip
    axes.set_title("Which tasks it finds hard", loc="left", color=INK, fontsize=11)
    axes.set_xlabel("score that is ranked: expected gain of a stronger tier")
    axes.set_ylabel("rows")
    axes.set_xlim(bins[0], bins[-1])
    axes.legend(loc="upper left", frameon=False, fontsize=8, ncols=2)


def _largest(case: Case) -> dict[str, Integers]:
    """The rows of the largest tasks, and of all others together."""
    counts = Counter(case.tasks).most_common()
    kept = [task for task, _ in counts[:_MOST_TASKS]] if len(counts) > _MOST_TASKS + 1 else [
        task for task, _ in counts
    ]  # fmt: skip
    tasks = np.array(case.tasks)
    groups = {_short(task): np.flatnonzero(tasks == task) for task in kept}
    rest = np.flatnonzero(~np.isin(tasks, kept))
    if len(rest):
        groups[f"{len(counts) - len(kept)} others"] = rest
    return groups


def _short(task: str) -> str:
    name = task.rpartition("/")[2].replace("_", " ")
    return name if len(name) <= 24 else f"{name[:22]}…"


def _told(figure: Mapping[str, Any]) -> str:
    return "unknown" if figure["value"] is None else f"{figure['value']:.3f}"


def _percent(value: float, _place: int) -> str:
    return f"{value:.0%}"


def _tidy(axes: Any) -> None:
    axes.set_facecolor(PAPER)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(GREY)
    axes.tick_params(colors=FAINT, labelsize=9)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(INK)
        label.set_fontsize(9.5)
    axes.grid(visible=True, color="#eef1f3", lw=0.8)
    axes.set_axisbelow(True)
