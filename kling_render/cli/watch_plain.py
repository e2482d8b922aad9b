"""A watch session as plain lines, for pipes and logs: one line per thing, never wrapped, no colours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kling_render.cli.job_words import one_line
from kling_render.cli.progress_board import is_free
from kling_render.cli.progress_plain import WIDTH, PlainProgress
from kling_render.cli.timestamps import local_seconds
from kling_render.cli.watch_words import (
    amount_text,
    broken_lines,
    diagnostic_line,
    effect_text,
    names_text,
    paths_text,
    purse_text,
    states_text,
    with_help,
)
from kling_render.engine.work import Progress
from kling_render.errors import Diagnostic
from kling_render.planning.records import Plan
from kling_render.planning.text import jobs_word, time_text
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


class PlainWatch:
    """Writes lines as a session goes on.

    Args:
        write: takes one whole line, its newline included.
        quiet: only errors, trouble, what waits for the user, and failures.
        shown: a path as the user would type it.
        base: output paths are shown relative to this folder.
        now: seconds since the epoch, for the time before each line; None: lines have no time.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        *,
        quiet: bool,
        shown: Callable[[Path], str],
        base: Path,
        now: Callable[[], float] | None = None,
    ) -> None:
        self._write = write
        self._quiet = quiet
        self._shown = shown
        self._base = base
        self._now = now
        self._plan: Plan | None = None
        self._warnings: frozenset[Diagnostic] = frozenset()
        #: A save is being read: what waits meanwhile is told when its plan is there.
        self._reading = False
        self._held = ""
        self._hold_s = 0.0
        self._run = self._new_run()
        self._stopped: set[str] = set()

    def tell(self, news: News | Progress) -> None:
        """One thing that happened."""
        match news:
            case Progress():
                self._progress(news)
            case Changed() | Settled():
                self._reading = True
            case Broken():
                self._broken(news)
            case Replanned():
                self._replanned(news)
            case Holding():
                self._holding(news)
            case Rendering():
                self._run, self._stopped = self._new_run(), set()
            case Dropped(jobs):
                count = jobs_word(len(jobs))
                self._line("dropped", f"{count}, no longer wanted and not paid for: {names_text(jobs)}")
            case RunOver():
                self._over(news)
            case Trouble():
                self._line("trouble", with_help(news.message, news.help), matters=True)
            case Leaving(text):
                self._line("leaving", text or "nothing is left running")

    def _progress(self, news: Progress) -> None:
        if news.event == "stop":
            if news.facts.get("why") == "superseded":
                return
            self._stopped.add(str(news.facts.get("text", "")))
        self._run.tell(news)

    def _broken(self, news: Broken) -> None:
        self._reading = False
        for line in broken_lines(news):
            self._line("broken", line, matters=True)

    def _replanned(self, news: Replanned) -> None:
        self._reading = False
        before, self._plan = self._plan, news.plan
        self._hold_s = float(news.purse.allowance.hold_seconds)
        money = [] if is_free(news.plan) else purse_text(news.today, news.purse)
        if before is None:
            self._line("watching", "; ".join([f"{news.watched} files", effect_text(None, news.plan), *money]))
        elif news.paths:
            effect = effect_text(before, news.plan) if news.differs else "changes nothing"
            saved = paths_text(news.paths, self._shown)
            self._line("saved", "; ".join([f"{saved} -> {effect}", *(money if news.differs else [])]))
        for warning in news.warnings:
            if warning not in self._warnings:
                self._line("warning", diagnostic_line(warning))
        self._warnings = frozenset(news.warnings)

    def _holding(self, news: Holding) -> None:
        if self._reading:
            return
        held = news.held
        if held is None:
            self._held = ""
            return
        amount = amount_text(held, news.jobs, self._plan)
        text = f"{amount}: {one_line(held.why)}"
        if text == self._held:
            return
        self._held = text
        if held.until is None:
            self._line("waits", text, matters=True)
        elif self._hold_s:
            self._line("holding", f"{text}, in {time_text(self._hold_s)}")

    def _over(self, news: RunOver) -> None:
        for text in news.stops:
            if text not in self._stopped:
                self._line("stopped", text, matters=True)
        for text in news.notices:
            self._line("note", text)
        if not news.superseded:
            self._line("run over", states_text(news))

    def _new_run(self) -> PlainProgress:
        return PlainProgress(self._stamped, quiet=self._quiet, base=self._base)

    def _line(self, word: str, text: str, *, matters: bool = False) -> None:
        if matters or not self._quiet:
            self._stamped(f"{word.ljust(WIDTH)}  {one_line(text)}\n")

    def _stamped(self, line: str) -> None:
        self._write(line if self._now is None else f"{local_seconds(self._now())}  {line}")
