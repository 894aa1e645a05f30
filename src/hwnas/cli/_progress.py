"""The live display of a search, and its plain form where there is no terminal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hwnas.budget import format_number
from hwnas.cli._console import count_text, out, say
from hwnas.jobs import Observer
from hwnas.report import duration, one_line

if TYPE_CHECKING:
    from hwnas.jobs import Job, TrialRecord
    from hwnas.strategy import Candidates


class Progress(Observer):
    """Trials done, best so far, feasible, failed, time left; a line per trial without a screen.

    Used as ``with Progress() as progress: hwnas.search(..., observer=progress)``; `quiet` shows
    nothing at all.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._live: Live | None = None
        self._total = self._done = self._before = self._feasible = self._failed = 0
        self._best: TrialRecord | None = None
        self._running: dict[int, str] = {}
        self._phase = ""
        self._began = time.monotonic()
        self._metric = "accuracy"
        self._limited = False

    def __enter__(self) -> Progress:
        if out.is_terminal and not self._quiet:
            self._live = Live(self, console=out, refresh_per_second=4, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def started(self, job: Job, done: int) -> None:
        """See `Observer`."""
        spec = job.spec
        self._total, self._done, self._before = spec.trials, done, done
        self._metric, self._limited = spec.metric, bool(spec.budget)
        self._began = time.monotonic()
        if done:
            self._recall(job)
        before = f" ({done} of them are done)" if done else ""
        budget = f" within {spec.budget}" if spec.budget else ""
        what = f"searching {spec.space.name} ({count_text(spec.space.size, 'arch')})"
        if spec.parent is not None:
            numbers = ", ".join(str(chosen.number) for chosen in spec.parent.chosen)
            what = f"training trials of {spec.parent.name} in full ({numbers})"
        self._say(
            f"{what}{budget}: {count_text(spec.trials, 'trial')}{before}, {spec.parallel} at a "
            f"time, in {job.where}",
            keep=True,
        )

    def limited(self, candidates: Candidates) -> None:
        """See `Observer`."""
        count, size = candidates.count, count_text(candidates.space.size(), "arch")
        if count is not None:
            about = "" if count.exact else "about "
            self._say(f"{about}{count_text(count.upper)} of {size} keep {candidates}", keep=True)
        for filter_ in candidates.asked:
            reason = getattr(filter_.cost, "reason", "it is no table")
            self._say(f"{filter_.cost.name} is asked for one arch at a time: {reason}", keep=True)

    def trial_started(self, number: int) -> None:
        """See `Observer`."""
        self._running[number] = "starting"

    def reported(self, number: int, step: int, metrics: dict[str, float]) -> None:
        """See `Observer`."""
        value = metrics.get(self._metric)
        shown = "" if value is None else f", {self._metric} {format_number(value, 4)}"
        self._running[number] = f"step {step}{shown}"

    def measuring(self, number: int) -> None:
        """See `Observer`."""
        self._running[number] = "measuring"

    def trial_ended(self, record: TrialRecord) -> None:
        """See `Observer`."""
        self._running.pop(record.number, None)
        self._done += 1
        self._count(record)
        if record.failure is not None:
            self._say(f"trial {record.number} failed: {record.failure.reason}", keep=True)
        else:
            self._say(f"trial {record.number}: {self._facts(record)}")

    def retried(self, number: int, kind: str, reason: str) -> None:
        """See `Observer`."""
        self._running.pop(number, None)
        what = "is stale" if kind == "stale" else "failed"
        self._say(f"trial {number} {what}, and is run again: {reason}", keep=True)

    def noted(self, text: str) -> None:
        """See `Observer`."""
        self._say(text, keep=True)

    def phase(self, text: str) -> None:
        """See `Observer`."""
        self._phase = text
        if text:
            self._say(text)

    def _recall(self, job: Job) -> None:
        """Count the trials of an earlier run."""
        from hwnas.jobs import read_job

        for record in read_job(job.where).trials:
            if record.state != "running":
                self._count(record)

    def _count(self, record: TrialRecord) -> None:
        if record.failure is not None:
            self._failed += 1
            return
        self._feasible += bool(record.feasible)
        if self._best is None or _rank(record) > _rank(self._best):
            self._best = record

    def _facts(self, record: TrialRecord) -> str:
        facts = [f"{self._metric} {format_number(record.value(self._metric) or 0.0, 4)}"]
        if self._limited:
            facts.append(f"reward {format_number(record.reward or 0.0, 4)}")
            facts.append("within budget" if record.feasible else "over budget")
        return ", ".join(facts)

    def _say(self, text: str, *, keep: bool = False) -> None:
        """Print a line; on a screen only those that are to stay above the live display."""
        if not self._quiet and (keep or self._live is None):
            say(one_line(text), out if self._live is None else self._live.console)

    def _left(self) -> str:
        ended = self._done - self._before
        if ended == 0 or self._done >= self._total:
            return ""
        seconds = (time.monotonic() - self._began) / ended * (self._total - self._done)
        return f"about {duration(round(seconds))} left"

    def __rich__(self) -> RenderableType:
        if not self._total:
            return Text("starting ...", style="dim")
        elapsed = f"{duration(round(time.monotonic() - self._began))} elapsed"
        times = ", ".join(filter(None, (elapsed, "" if self._phase else self._left())))
        bar = Table.grid(padding=(0, 1))
        bar.add_row(
            ProgressBar(total=self._total, completed=self._done, width=20),
            Text(f"{self._done} of {count_text(self._total, 'trial')}", style="bold"),
            Text(times, style="dim"),
        )
        facts = Table.grid(padding=(0, 2))
        facts.add_column(no_wrap=True)
        facts.add_column(no_wrap=True, overflow="ellipsis")
        best = self._best
        if best is not None:
            facts.add_row("best", Text(f"trial {best.number}: {self._facts(best)}", style="bold"))
        facts.add_row("so far", self._counts())
        for number, state in sorted(self._running.items()):
            facts.add_row(Text(f"trial {number}", style="dim"), Text(one_line(state), style="dim"))
        phase = [Text(self._phase, style="cyan")] if self._phase else []
        return Group(bar, facts, *phase)

    def _counts(self) -> Text:
        good = self._done - self._failed
        parts: list[tuple[str, str]] = [(f"{good} trained", "")]
        if self._limited:
            parts = [
                (f"{self._feasible} within budget", "green" if self._feasible else ""),
                (f"{good - self._feasible} over budget", ""),
            ]
        parts.append((f"{self._failed} failed", "red" if self._failed else "dim"))
        text = Text()
        for place, part in enumerate(parts):
            text.append(", " if place else "").append(*part)
        return text


def _rank(record: TrialRecord) -> tuple[bool, float]:
    return bool(record.feasible), record.reward or 0.0
