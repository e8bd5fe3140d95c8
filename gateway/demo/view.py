"""What the demo shows: a live view while the questions run, then the table and the sentences."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Self

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from gateway.core.money import NANO
from gateway.demo.figures import Figures
from gateway.demo.traffic import Answered, Run

_RECENT = 6
_LONGEST = 44


class View:
    """The live view of the runs, in a terminal; a line for each run elsewhere."""

    def __init__(self, console: Console, runs: Sequence[Run], questions: int) -> None:
        """`questions` is how many each run asks."""
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description:<24}"),
            BarColumn(14),
            TextColumn("{task.completed:>5.0f}/{task.total:.0f}"),
            TextColumn("{task.fields[right]}"),
            TextColumn("{task.fields[cost]}"),
            TextColumn("{task.fields[up]}"),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {
            run.name: self._progress.add_task(
                run.title, total=questions, start=False, right="", cost="", up=""
            )
            for run in runs
        }
        self._recent: deque[Text] = deque(maxlen=_RECENT)
        self._counts: dict[str, tuple[int, int, float, int]] = {}
        self._live = Live(console=console, refresh_per_second=8, transient=False)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live.is_started:
            self._recent.clear()
            self._show()
            self._live.stop()

    def told(self, run: Run, answer: Answered) -> None:
        """Show one more answer."""
        asked, right, cost, up = self._counts.get(run.name, (0, 0, 0.0, 0))
        asked, right = asked + 1, right + answer.right
        cost, up = cost + answer.cost, up + (answer.tier == "large")
        self._counts[run.name] = (asked, right, cost, up)
        self._progress.update(
            self._tasks[run.name],
            completed=asked,
            right=f"{right / asked:6.1%} right",
            cost=f"${cost:.4f}",
            up=f"{up / asked:4.0%} large",
        )
        self._recent.append(_line(answer))
        self._show()

    def finished(self, run: Run) -> None:
        """Say that a run is over, where there is no live view to see it in."""
        if not self._live.is_started:
            asked, right, cost, up = self._counts[run.name]
            self._console.print(
                f"{run.title:<24} {right / asked:6.1%} right  ${cost:.4f}  {up / asked:4.0%} large"
            )

    def _show(self) -> None:
        self._live.update(Group(self._progress, *self._recent))


def _line(answer: Answered) -> Text:
    fell = answer.attempts > 1
    way = "small → large" if fell else answer.tier
    prompt = answer.question.prompt.replace("\n", " ")
    shown = prompt if len(prompt) <= _LONGEST else f"{prompt[: _LONGEST - 1]}…"
    text = Text(f"  {shown:<{_LONGEST}}  ", style="dim")
    text.append(f"{way:<14}", style="yellow" if fell else "cyan")
    text.append("right" if answer.right else "wrong", style="green" if answer.right else "red")
    return text


def table(found: Sequence[Figures], whole: Figures) -> Table:
    """Lay the runs side by side; `whole` is all-large, which the others are measured against."""
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    shown.add_column("from the ledger", no_wrap=True)
    for name in ("right", "cost", "of large", "sent up", "p50", "p95"):
        shown.add_column(name, justify="right", no_wrap=True)
    for each in found:
        sent_up = each.escalated + each.started_up
        shown.add_row(
            each.run.title,
            f"{each.accuracy:.1%} ±{50 * (each.high - each.low):.1f}",
            f"${each.cost / NANO:.4f}",
            f"{each.cost / whole.cost:.0%}",
            f"{sent_up:.0%}" if each.run.model == "waterfall" else "-",
            f"{1000 * each.seconds[50]:.0f} ms",
            f"{1000 * each.seconds[95]:.0f} ms",
        )
    return shown


def verdict(plain: Figures, better: Figures, large: Figures, fall: Figures) -> list[str]:
    """Say in sentences what the table shows."""
    points = 100 * (fall.accuracy - large.accuracy)
    moved = 100 * (better.accuracy - plain.accuracy)
    share = fall.cost / large.cost
    return [
        (
            f"The waterfall answered {fall.accuracy:.1%} right, {points:+.1f} points against "
            f"all-large, at {share:.0%} of its cost, "
            f"with the ${fall.discarded / NANO:.4f} of drafts it threw away."
        ),
        (
            f"One change of the small tier's recipe ({plain.recipe} → {better.recipe}) moved its "
            f"accuracy by {moved:+.1f} points, from {plain.accuracy:.1%} to {better.accuracy:.1%}, "
            "without a restart."
        ),
    ]
