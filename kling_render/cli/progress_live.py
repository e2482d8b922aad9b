"""A run as a board that redraws itself on a terminal: the jobs that fit, the totals, the money."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from threading import Lock
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from kling_render.cli.cells import cut_middle, symbol_of
from kling_render.cli.job_words import LOOKS, TROUBLE, UNDER_WAY, duration, one_line, outcome
from kling_render.cli.progress_board import Board, Row
from kling_render.engine.work import JobReport, JobState, Progress
from kling_render.planning.records import Plan
from kling_render.planning.text import usd_text
from kling_render.ports import Clock

_REFRESHES = 4
"""Redraws per second."""
_NARROW = 76
"""Columns below which the remaining time of each job is left out, and the details too."""
_WIDE = 110
"""Columns from which a job's detail has room."""


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
        self._plan = plan
        self._clock = clock
        self._eta_s = eta_s
        self._cap = cap_usd
        self._board = Board(plan, cap_usd, committed_usd)
        #: The redrawing thread reads while the run tells.
        self._lock = Lock()
        self._began = clock.monotonic()
        self._told: dict[str, str] = {}
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
        elif progress.event in ("note", "stop"):
            word, style = ("stopped", "bold red") if progress.event == "stop" else ("note", "dim")
            self._above(word, style, str(progress.facts.get("text", "")))

    def _job(self, report: JobReport) -> None:
        with self._lock:
            self._board.put(report, self._clock.monotonic())
        if report.state not in TROUBLE:
            self._told.pop(report.job, None)
        elif self._told.get(report.job) != (text := outcome(report)):
            self._told[report.job] = text
            look = LOOKS[report.state]
            details = [report.failure.message, report.failure.remedy] if report.failure else [report.detail]
            self._above(f"{symbol_of(look, self._console)} {look.word}", look.style, report.job, details)

    def _above(self, word: str, style: str, text: str, details: Sequence[str] = ()) -> None:
        """Lines that stay: they scroll away above the board."""
        head = Text.assemble((word, style), "  ", one_line(text))
        self._console.print(
            Group(head, *(Padding(Text(one_line(line), "dim"), (0, 0, 0, 4)) for line in details if line))
        )

    def board(self) -> Group:
        """The board as it stands now."""
        totals = self._totals()
        below = len(self._console.render_lines(totals, pad=False))
        with self._lock:
            now = self._clock.monotonic()
            room = max(self._console.height - below - 3, 1)
            rows, left_out = self._board.rows(room)
            table = self._table(rows, now)
            more = [Text(f"… and {left_out}", "dim", no_wrap=True, overflow="ellipsis")] if left_out else []
        return Group(table, *more, Text(), totals)

    def _table(self, rows: list[Row], now: float) -> Table:
        width = self._console.width
        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(width=12, no_wrap=True)
        table.add_column(ratio=1, no_wrap=True)
        if width >= _WIDE:
            table.add_column(width=width // 4, no_wrap=True, overflow="ellipsis")
        table.add_column(width=7, no_wrap=True, justify="right")
        if width >= _NARROW:
            table.add_column(width=10, no_wrap=True, justify="right")
        table.add_column(width=8, no_wrap=True, justify="right")
        widths = 12 + 7 + 8 + (10 if width >= _NARROW else 0) + (width // 4 if width >= _WIDE else 0)
        room = width - widths - 5
        for row in rows:
            table.add_row(*self._cells(row, now, room))
        return table

    def _cells(self, row: Row, now: float, room: int) -> list[Text]:
        report, width = row.report, self._console.width
        look = LOOKS[report.state]
        idle = report.state is JobState.WAITING
        cells = [
            Text(f"{symbol_of(look, self._console)} {look.word}", look.style),
            Text(cut_middle(report.job, room), "dim" if idle else ""),
        ]
        if width >= _WIDE:
            cells.append(Text(outcome(report) if report.state not in (JobState.DONE, JobState.RESTORED) else "", "dim"))
        since = None if row.started is None else (row.ended or now) - row.started
        cells.append(Text("" if since is None else duration(since)))
        if width >= _NARROW:
            left = self._board.job_left_s(row, now) if report.state in UNDER_WAY else None
            cells.append(Text("" if left is None else f"{duration(left)} left", "dim"))
        cost = self._board.cost(report)
        shown = "" if self._free or idle or cost == 0 else usd_text(cost)
        cells.append(Text(shown, "" if report.credits is not None else "dim"))
        return cells

    @property
    def _free(self) -> bool:
        return self._plan is not None and all(price.source == "free" for price in self._plan.prices)

    def _totals(self) -> Group:
        with self._lock:
            board, now = self._board, self._clock.monotonic()
            over, total = board.over, board.total
            left = (self._eta_s() if self._eta_s else None) if over < total else None
            left = board.left_s(now) if left is None else left
            lines: list[RenderableType] = [self._bar(over, total, now, left), *self._counts()]
            if not self._free:
                lines.append(self._money())
        return Group(*lines)

    def _bar(self, over: int, total: int, now: float, left: float | None) -> Table:
        line = Table.grid(padding=(0, 1), expand=True)
        line.add_column(ratio=1)
        line.add_column(no_wrap=True, justify="right")
        times = duration(now - self._began)
        if over < total and left is not None:
            times += f", about {duration(left)} left"
        bar = ProgressBar(total=max(total, 1), completed=over, complete_style="green", finished_style="green")
        line.add_row(bar, Text.assemble((f"{over}/{total}", "bold"), f"  {times}"))
        return line

    def _counts(self) -> list[Text]:
        """How many jobs are in each state; a narrow terminal takes more lines, never half a count."""
        lines = [Text()]
        for state, look in LOOKS.items():
            if not (count := self._board.counts[state]):
                continue
            part = Text(f"{symbol_of(look, self._console)} {count} {look.word}", look.style)
            if lines[-1] and lines[-1].cell_len + 3 + part.cell_len > self._console.width:
                lines.append(Text())
            lines[-1].append_text(Text("   ") if lines[-1] else Text()).append_text(part)
        return lines

    def _money(self) -> Text:
        sums = self._board.sums()
        text = Text.assemble("spent ", (usd_text(sums.spent), "bold"))
        if sums.held != 0:
            text.append(f"   held {usd_text(sums.held)}")
        if self._cap is not None:
            text.append(f"   left {usd_text(sums.left)} of {usd_text(self._cap)}")
        return text
