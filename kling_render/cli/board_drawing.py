"""The board of a run as lines of a terminal: the jobs that fit, the totals, the money; and what stands above it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from kling_render.cli.cells import cut_middle, symbol_of
from kling_render.cli.job_words import LOOKS, TROUBLE, UNDER_WAY, duration, one_line, outcome
from kling_render.cli.progress_board import Board, Row
from kling_render.engine.work import JobReport, JobState
from kling_render.planning.text import usd_text

_NARROW = 76
"""Columns below which the remaining time of each job is left out, and the details too."""
_WIDE = 110
"""Columns from which a job's detail has room."""


class BoardDrawing:
    """Draws a board. Times are of the monotonic clock.

    Args:
        console: the terminal; its width counts, as it is at each drawing.
        board: what is known of the run.
        free: the provider costs nothing.
        cap_usd: the tightest cap, for the money that is left.
        began: when the run began.
    """

    def __init__(
        self, console: Console, board: Board, *, free: bool, cap_usd: Decimal | None = None, began: float = 0.0
    ) -> None:
        self._console = console
        self._board = board
        self._free = free
        self._cap = cap_usd
        self._began = began

    def jobs(self, room: int, now: float) -> list[RenderableType]:
        """At most `room` jobs, and a line more for what is left out."""
        rows, left_out = self._board.rows(room)
        more = [Text(f"… and {left_out}", "dim", no_wrap=True, overflow="ellipsis")] if left_out else []
        return [self._table(rows, now), *more]

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

    def bar(self, now: float, left: float | None) -> Table:
        """How far the run is.

        Args:
            now: monotonic seconds.
            left: seconds until it is over, if anybody knows.
        """
        over, total = self._board.over, self._board.total
        line = Table.grid(padding=(0, 1), expand=True)
        line.add_column(ratio=1)
        line.add_column(no_wrap=True, justify="right")
        times = duration(now - self._began)
        if over < total and left is not None:
            times += f", about {duration(left)} left"
        bar = ProgressBar(total=max(total, 1), completed=over, complete_style="green", finished_style="green")
        line.add_row(bar, Text.assemble((f"{over}/{total}", "bold"), f"  {times}"))
        return line

    def counts(self) -> list[Text]:
        """How many jobs are in each state."""
        counts = self._board.counts
        looks = [(counts[state], look) for state, look in LOOKS.items() if counts[state]]
        return in_lines(
            [Text(f"{symbol_of(o, self._console)} {n} {o.word}", o.style) for n, o in looks], self._console.width
        )

    def money(self) -> Text | None:
        """What the run cost, may still cost, and what a cap leaves; None for a free provider."""
        if self._free:
            return None
        sums = self._board.sums()
        text = Text.assemble("spent ", (usd_text(sums.spent), "bold"))
        if sums.held != 0:
            text.append(f"   held {usd_text(sums.held)}")
        if self._cap is not None:
            text.append(f"   left {usd_text(sums.left)} of {usd_text(self._cap)}")
        return text


def in_lines(parts: Sequence[Text], width: int, gap: int = 3) -> list[Text]:
    """The parts beside one another; a narrow terminal takes more lines, never half a part."""
    lines = [Text()]
    for part in parts:
        if lines[-1] and lines[-1].cell_len + gap + part.cell_len > width:
            lines.append(Text())
        lines[-1].append_text(Text(" " * gap) if lines[-1] else Text()).append_text(part)
    return lines


@dataclass(frozen=True, slots=True)
class Remark:
    """Something a run says that stays, above the board."""

    word: str
    style: str
    text: str
    #: Lines about it.
    details: tuple[str, ...] = ()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text.assemble((self.word, self.style), "  ", one_line(self.text))
        for line in filter(None, self.details):
            yield Padding(Text(one_line(line), "dim"), (0, 0, 0, 4))


class Remarks:
    """Trouble with jobs, each said once."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told: dict[str, str] = {}

    def of_job(self, report: JobReport) -> Remark | None:
        """A job that needs the user, unless that was said; None when there is nothing to say."""
        if report.state not in TROUBLE:
            self._told.pop(report.job, None)
            return None
        if self._told.get(report.job) == (text := outcome(report)):
            return None
        self._told[report.job] = text
        look = LOOKS[report.state]
        details = (report.failure.message, report.failure.remedy) if report.failure else (report.detail,)
        return Remark(f"{symbol_of(look, self._console)} {look.word}", look.style, report.job, details)
