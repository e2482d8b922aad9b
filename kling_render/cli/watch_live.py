"""A watch session on a terminal: a history that scrolls, and under it how things stand.

Nothing is drawn while nothing happens: no thread, no pulse. While a countdown or a run goes on it is drawn each second.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from kling_render.cli.board_drawing import BoardDrawing, Remarks
from kling_render.cli.diagnostics import render_text
from kling_render.cli.job_words import duration, look_text, one_line
from kling_render.cli.live_area import Line, LiveArea, Trimmed
from kling_render.cli.pacing import Pace
from kling_render.cli.plan_table import print_plan
from kling_render.cli.progress_board import Board, is_free
from kling_render.cli.watch_drawing import RunShown, Standing, WatchDrawing
from kling_render.cli.watch_words import (
    broken_text,
    effect_text,
    names_text,
    paths_text,
    states_text,
    with_help,
)
from kling_render.engine.work import JobReport, JobState, Progress
from kling_render.errors import Diagnostic
from kling_render.planning.records import Plan
from kling_render.planning.text import jobs_word
from kling_render.ports import Clock
from kling_render.watch.news import (
    Broken,
    Changed,
    Dropped,
    Holding,
    Leaving,
    News,
    Rendering,
    Replanned,
    RunOver,
    Settled,
    Trouble,
)

_NARROW = 76
"""Columns below which the time has no seconds."""
_NOTES = 100
"""Notes that are not said again."""
_FIGURES = re.compile(r"[0-9]+")
_TROUBLES = 3
"""Sentences about trouble that stand in the foot."""
_BAD = frozenset({JobState.FAILED, JobState.BLOCKED, JobState.IN_DOUBT, JobState.NEEDS_USER})


class LiveWatch:
    """The session on a terminal; a context manager.

    Args:
        console: a terminal.
        clock: its monotonic time measures jobs and holds, its time of day stands in the history.
        folder: of the shot list.
        shown: a path as the user would type it.
        keys: whether single keys are heard, so that they are named.
    """

    def __init__(
        self, console: Console, clock: Clock, *, folder: Path, shown: Callable[[Path], str], keys: bool
    ) -> None:
        self._console = console
        self._clock = clock
        self._shown = shown
        self._standing = Standing()
        self._drawing = WatchDrawing(console, folder=folder, shown=shown, keys=keys)
        self._area = LiveArea(console, self._lines)
        self._remarks = Remarks(console)
        self._warnings: frozenset[Diagnostic] = frozenset()
        self._hidden = False
        self._notes: dict[str, None] = {}
        self._pace = Pace(self._area.redraw, self._ticks, clock.monotonic)

    def __enter__(self) -> Self:
        self._area.__enter__()
        self._pace.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pace.stop()
        self._area.__exit__(kind, value, trace)

    def hide(self) -> None:
        """Leave only the history, for the shell that gets the terminal now (Ctrl-Z)."""
        self._hidden = True
        self._area.erase()

    def anew(self) -> None:
        """Draw it again, under whatever the shell wrote (`fg`)."""
        self._hidden = False
        self._pace.now()

    def _lines(self) -> list[Line]:
        return [] if self._hidden else self._drawing.lines(self._standing, self._clock.monotonic())

    def _ticks(self, now: float) -> float | None:
        until = self._standing.counts_down
        if until is not None:
            return (until - now) % 1.0 or 1.0
        return 1.0 if self._standing.run is not None else None

    # -- beside it -------------------------------------------------------------------------------------------------

    def show(self, what: str | RenderableType) -> None:
        """Print something above: a text, which may have colours, or anything that rich can print."""
        self._console.print(Text.from_ansi(what.rstrip("\n")) if isinstance(what, str) else what)

    def show_plan(self, plan: Plan, *, verbose: bool = False) -> None:
        """Print a plan above, as `plan` shows it."""
        with self._console:  # it reaches the terminal at once
            print_plan(self._console, plan, verbose)

    def _say(self, word: str, style: str, text: Text, details: Sequence[str] = ()) -> None:
        """A line of the history, with the time."""
        wide = self._console.width >= _NARROW
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True, style="dim")
        table.add_column(min_width=9 if wide else 0, no_wrap=True)
        table.add_column(overflow="fold")
        table.add_row(self._time("%H:%M:%S" if wide else "%H:%M"), Text(word, style), text)
        for detail in filter(None, details):
            table.add_row("", "", Text(one_line(detail), "dim"))
        self._console.print(Trimmed(table))

    def _time(self, form: str) -> str:
        return datetime.fromtimestamp(self._clock.now(), tz=UTC).astimezone().strftime(form)

    # -- what is told ----------------------------------------------------------------------------------------------

    def tell(self, news: News | Progress) -> None:
        """One thing that happened; it is drawn in a moment."""
        match news:
            case Progress():
                self._progress(news)
            case Changed() | Settled():
                self._read(news)
            case Broken():
                self._broken(news)
            case Replanned():
                self._replanned(news)
            case Holding():
                self._standing.holding = news
            case Rendering():
                self._rendering(news)
            case Dropped(jobs):
                text = f"{jobs_word(len(jobs))}, no longer wanted and not paid for: {names_text(jobs)}"
                self._say("dropped", "yellow", Text(text))
            case RunOver():
                self._over(news)
            case Trouble():
                self._trouble(with_help(news.message, news.help))
            case Leaving(text):
                self._leaving(text)
        self._pace.soon()

    def _read(self, news: Changed | Settled) -> None:
        now = self._standing
        now.reading = tuple(dict.fromkeys((*now.reading, *news.paths)))
        now.settled = isinstance(news, Settled)

    def _trouble(self, text: str) -> None:
        self._standing.trouble = (*self._standing.trouble, text)[-_TROUBLES:]
        self._say("trouble", "bold red", Text(text))

    def _leaving(self, text: str) -> None:
        self._standing.leaving = True
        if text:
            self._say("left", "bold yellow", Text(one_line(text)))

    def _broken(self, news: Broken) -> None:
        self._standing.reading, self._standing.broken = (), news
        self._say("broken", "bold red", Text(broken_text(news)))

    def _replanned(self, news: Replanned) -> None:
        now = self._standing
        before, now.planned = now.planned, news
        now.reading, now.broken = (), None
        if news.paths:  # a run's end is no news about what stopped it
            now.trouble = ()
        if before is None:
            self._say("watching", "green", Text(effect_text(None, news.plan)))
        elif news.paths:
            what = paths_text(news.paths, self._shown)
            effect = effect_text(before.plan, news.plan) if news.differs else "changes nothing"
            now.saved = (self._time("%H:%M"), what, effect)
            arrow = "->" if self._console.options.ascii_only else "→"
            self._say("saved", "green", Text.assemble(what, (f" {arrow} ", "dim"), effect))
        new = [warning for warning in news.warnings if warning not in self._warnings]
        self._warnings = frozenset(news.warnings)
        if new:
            self.show(render_text(new, not self._console.no_color).rstrip("\n"))

    def _rendering(self, news: Rendering) -> None:
        now, at = self._standing, self._clock.monotonic()
        since = now.run.board.under_way() if now.run is not None else {}
        board = Board(news.plan, since=since)
        drawing = BoardDrawing(self._console, board, free=is_free(news.plan), began=at)
        now.run = RunShown(board, drawing, at)
        now.trouble = ()
        self._remarks = Remarks(self._console)

    def _progress(self, progress: Progress) -> None:
        run = self._standing.run
        if progress.event == "job":
            report: JobReport = progress.facts["report"]
            if run is not None:
                run.board.put(report, self._clock.monotonic())
            if (said := self._remarks.of_job(report)) is not None:
                self._say(said.word, said.style, Text(one_line(said.text)), said.details)
        elif progress.event == "look":
            self._say("warning", "yellow", Text(look_text(progress)))
        elif progress.event in ("note", "stop") and progress.facts.get("why") != "superseded":
            text = str(progress.facts.get("text", ""))
            if run is not None:
                run.said.add(text)
            stop = progress.event == "stop"
            if not stop and self._is_repeated(text):
                return
            self._say("stopped" if stop else "note", "bold red" if stop else "dim", Text(one_line(text)))

    def _is_repeated(self, note: str) -> bool:
        """Whether a note was said before, with other figures perhaps: each run of a long session notes the same."""
        known = _FIGURES.sub("#", note) in self._notes
        self._notes.pop(_FIGURES.sub("#", note), None)
        self._notes[_FIGURES.sub("#", note)] = None
        if len(self._notes) > _NOTES:
            del self._notes[next(iter(self._notes))]
        return known

    def _over(self, news: RunOver) -> None:
        now, run = self._standing, self._standing.run
        said = run.said if run is not None else set()
        for text in (each for each in news.stops if each not in said):
            self._say("stopped", "bold red", Text(one_line(text)))
        for text in news.notices:
            self._say("note", "dim", Text(one_line(text)))
        now.trouble = tuple(one_line(text) for text in news.stops)
        if news.superseded:
            return  # the next run shows what goes on
        now.run = None
        bad = news.stops or any(JobState(state) in _BAD for state, _ in news.states)
        took = f" in {duration(self._clock.monotonic() - run.began)}" if run is not None else ""
        self._say("finished", "bold yellow" if bad else "bold green", Text(states_text(news) + took))
