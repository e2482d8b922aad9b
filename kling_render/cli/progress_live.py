"""A run as a board that redraws itself on a terminal: the jobs that fit, the totals, the money."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from threading import Lock
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from kling_render.cli.board_drawing import BoardDrawing, Remark, Remarks
from kling_render.cli.job_words import look_text
from kling_render.cli.progress_board import Board, is_free
from kling_render.engine.work import JobReport, Progress
from kling_render.planning.records import Plan
from kling_render.ports import Clock

_REFRESHES = 4
"""Redraws per second."""


class LiveProgress:
    """The live board; a context manager.

    Args:
        console: a terminal.
        plan: what the run set out to do; None when it only finishes what runs.
        clock: its monotonic time measures the jobs.
        eta_s: seconds until the run is done, if somebody knows better than the pace of this run.
        cap_usd: the tightest cap, for the money that is left.
        committed_usd: what counted against that cap before the run.
    """

    def __init__(
        self,
        console: Console,
        plan: Plan | None,
        clock: Clock,
        eta_s: Callable[[], float | None] | None = None,
        *,
        cap_usd: Decimal | None = None,
        committed_usd: Decimal = Decimal(0),
    ) -> None:
        self._console = console
        self._clock = clock
        self._eta_s = eta_s
        self._board = Board(plan, cap_usd, committed_usd)
        #: The redrawing thread reads while the run tells.
        self._lock = Lock()
        self._remarks = Remarks(console)
        self._drawing = BoardDrawing(
            console, self._board, free=plan is not None and is_free(plan), cap_usd=cap_usd, began=clock.monotonic()
        )
        self._live = Live(
            console=console,
            get_renderable=self.board,
            refresh_per_second=_REFRESHES,
            transient=True,
            redirect_stdout=False,  # results belong to stdout, wherever it leads
            vertical_overflow="crop",
        )

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()
        if self._board.total:
            self._console.print(self._totals())

    def tell(self, progress: Progress) -> None:
        """Something happened: the board shows it at its next redraw, notes and trouble stand above it at once."""
        if progress.event == "job":
            self._job(progress.facts["report"])
        elif progress.event == "look":
            self._console.print(Remark("warning", "yellow", look_text(progress)))
        elif progress.event in ("note", "stop"):
            word, style = ("stopped", "bold red") if progress.event == "stop" else ("note", "dim")
            self._console.print(Remark(word, style, str(progress.facts.get("text", ""))))

    def _job(self, report: JobReport) -> None:
        with self._lock:
            self._board.put(report, self._clock.monotonic())
        if (said := self._remarks.of_job(report)) is not None:
            self._console.print(said)

    def board(self) -> Group:
        """The board as it stands now."""
        totals = self._totals()
        below = len(self._console.render_lines(totals, pad=False))
        with self._lock:
            room = max(self._console.height - below - 3, 1)
            jobs = self._drawing.jobs(room, self._clock.monotonic())
        return Group(*jobs, Text(), totals)

    def _totals(self) -> Group:
        with self._lock:
            board, now = self._board, self._clock.monotonic()
            left = (self._eta_s() if self._eta_s else None) if board.over < board.total else None
            left = board.left_s(now) if left is None else left
            lines: list[RenderableType] = [self._drawing.bar(now, left), *self._drawing.counts()]
            money = self._drawing.money()
        return Group(*lines, *([] if money is None else [money]))
