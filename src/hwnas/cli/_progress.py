"""The live display of a search, and its plain form where there is no terminal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hwnas.cli._console import out
from hwnas.jobs import Observer

if TYPE_CHECKING:
    from hwnas.jobs import Job, TrialRecord


class Progress(Observer):
    """Trials done, best so far, feasible, failed, time left; a line per trial without a screen."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._live: Live | None = None
        self._total = self._done = self._before = self._feasible = self._failed = 0
        self._best: TrialRecord | None = None
        self._running: dict[int, str] = {}
        self._phase = ""
        self._began = time.monotonic()
        self._metric = "accuracy"

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
        self._total, self._done, self._before = job.spec.trials, done, done
        self._metric = job.spec.metric
        self._began = time.monotonic()
        again = f", {done} of them done before" if done else ""
        self._say(
            f"searching {job.spec.space.name} ({job.spec.space.size:,} archs): {self._total} trials"
            f"{again}, {job.spec.parallel} at a time, in {job.folder}"
        )

    def trial_started(self, number: int) -> None:
        """See `Observer`."""
        self._running[number] = "starting"

    def reported(self, number: int, step: int, metrics: dict[str, float]) -> None:
        """See `Observer`."""
        shown = f", {self._metric} {metrics[self._metric]:.4f}" if self._metric in metrics else ""
        self._running[number] = f"step {step}{shown}"

    def measuring(self, number: int) -> None:
        """See `Observer`."""
        self._running[number] = "measuring"

    def trial_ended(self, record: TrialRecord) -> None:
        """See `Observer`."""
        self._running.pop(record.number, None)
        self._done += 1
        if record.failure is not None:
            self._failed += 1
            self._say(f"trial {record.number} failed: {record.failure.reason}")
            return
        self._feasible += bool(record.feasible)
        best = self._best
        if best is None or _rank(record) > _rank(best):
            self._best = record
        value = record.value(self._metric)
        verdict = "feasible" if record.feasible else "over budget"
        self._say(
            f"trial {record.number}: {self._metric} {value:.4f}, "
            f"reward {record.reward:.4f}, {verdict}"
        )

    def phase(self, text: str) -> None:
        """See `Observer`."""
        self._phase = text
        self._say(text)

    def _say(self, text: str) -> None:
        if not self._quiet and self._live is None:
            out.print(Text(text), soft_wrap=True)
        elif self._live is not None and ("failed:" in text or text.startswith("searching")):
            self._live.console.print(Text(text), soft_wrap=True)

    def _left(self) -> str:
        ended = self._done - self._before
        if ended == 0:
            return "time left unknown"
        seconds = (time.monotonic() - self._began) / ended * (self._total - self._done)
        return f"about {_duration(seconds)} left"

    def __rich__(self) -> RenderableType:
        facts = Table.grid(padding=(0, 2))
        best = "none yet"
        if self._best is not None:
            value = self._best.value(self._metric)
            mark = "" if self._best.feasible else ", over budget"
            best = (
                f"{self._metric} {value:.4f}, reward {self._best.reward:.4f} "
                f"(trial {self._best.number}{mark})"
            )
        facts.add_row("best", Text(best, style="bold"))
        facts.add_row(
            "trials",
            Text.assemble(
                (f"{self._feasible} feasible", "green"),
                f", {self._done - self._failed - self._feasible - self._before} over budget, ",
                (f"{self._failed} failed", "red" if self._failed else "dim"),
            ),
        )
        for number, state in sorted(self._running.items()):
            facts.add_row(Text(f"trial {number}", style="dim"), Text(state, style="dim"))
        bar = Table.grid(padding=(0, 1))
        elapsed = _duration(time.monotonic() - self._began)
        bar.add_row(
            ProgressBar(total=max(self._total, 1), completed=self._done, width=32),
            Text(f"{self._done}/{self._total}  {elapsed} elapsed, {self._phase or self._left()}"),
        )
        return Group(bar, facts)


def _rank(record: TrialRecord) -> tuple[bool, float]:
    return bool(record.feasible), record.reward or 0.0


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours} h {minutes} min"
        if hours
        else f"{minutes} min {rest} s"
        if minutes
        else f"{rest} s"
    )
