"""The foot of the screen in watch mode: what was saved, what that causes and costs, what runs, what waits, the keys."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from kling_render.cli.board_drawing import BoardDrawing, in_lines
from kling_render.cli.cells import cut_middle
from kling_render.cli.diagnostics import render_text
from kling_render.cli.job_words import one_line
from kling_render.cli.live_area import Line, trimmed
from kling_render.cli.plan_table import action_look
from kling_render.cli.progress_board import Board, is_free
from kling_render.cli.watch_words import WORDS, Edit, amount_text, edits, paths_text, purse_text, seconds_left
from kling_render.planning.text import jobs_word
from kling_render.watch.news import Broken, Holding, Replanned

_LABEL = 10
"""Columns of the word before a line."""
_TALL = 20
"""Rows from which groups stand apart, and texts are not cut."""
_LOW = 12
"""Rows below which no rule parts the history from what is under it."""
_NARROW = 76
"""Columns below which words are shorter."""
_EDITS = 4
"""Edits that are listed."""
_SNIPPET = re.compile(r"^\s*\d* *\|")
"""A line of a diagnostic that must not be folded: its caret stands under it."""
_MARGIN = re.compile(r"^[ |]*$")
"""A line of a diagnostic that only keeps others apart."""


@dataclass(slots=True)
class RunShown:
    """A run that goes on."""

    board: Board
    drawing: BoardDrawing
    #: Monotonic seconds.
    began: float
    #: What was said of it that comes again in its report.
    said: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Standing:
    """How the session stands, as far as it was told."""

    #: Saved and not planned yet; and whether the save is over.
    reading: tuple[Path, ...] = ()
    settled: bool = False
    #: The last save that was planned: when (local), what, and what it causes.
    saved: tuple[str, str, str] | None = None
    planned: Replanned | None = None
    broken: Broken | None = None
    holding: Holding = field(default_factory=lambda: Holding(None))
    run: RunShown | None = None
    #: What does not work now, and what helps.
    trouble: tuple[str, ...] = ()
    leaving: bool = False

    @property
    def counts_down(self) -> float | None:
        """When the countdown ends that is shown (monotonic)."""
        return self.holding.held.until if self.holding.held is not None else None


class WatchDrawing:
    """Draws how a session stands, in as many rows as the terminal has to spare.

    Args:
        console: the terminal; its size counts, as it is at each drawing.
        folder: of the shot list.
        shown: a path as the user would type it.
        keys: whether single keys are heard.
    """

    def __init__(self, console: Console, *, folder: Path, shown: Callable[[Path], str], keys: bool) -> None:
        self._console = console
        self._folder = folder
        self._shown = shown
        self._keys = keys

    def lines(self, standing: Standing, now: float) -> list[Line]:
        """The lines, fewer than the terminal has; what matters most is at the bottom."""
        rows = self._console.height
        tall = rows >= _TALL
        head, foot = self._head(standing), self._foot(standing, now)
        room = max(rows - 1, 1) - len(head) - len(foot)
        errors = self._errors(standing, max(room - (3 if standing.run else 0), 3))
        room -= len(errors)
        run = self._run(standing, room, now)
        room -= len(run)
        listed = self._rendered(self._edits(standing, min(room - 2 * tall, _EDITS)))
        joined: list[Line] = []
        for block in filter(None, (head + listed, errors, run, foot)):
            joined += ([[]] if tall and joined else []) + block
        return joined[-max(rows - 1, 1) :]

    @property
    def _low(self) -> bool:
        """Whether every row counts."""
        return self._console.height < _TALL

    def _rendered(self, parts: Sequence[RenderableType]) -> list[Line]:
        options = self._console.options
        lines = (line for part in parts for line in self._console.render_lines(part, options, pad=False))
        return [trimmed(line) for line in lines]

    def _most(self, parts: Sequence[RenderableType], most: int) -> list[Line]:
        """The first lines of the parts, with a sign where some are left out."""
        lines = self._rendered(parts)
        if len(lines) <= most:
            return lines
        sign = "..." if self._console.options.ascii_only else "…"
        last = Segment.adjust_line_length(lines[most - 1], self._console.width - len(sign), pad=False)
        return [*lines[: most - 1], [*last, Segment(sign)]]

    # -- the head ------------------------------------------------------------------------------------------------

    def _head(self, standing: Standing) -> list[Line]:
        rule = self._rendered([self._rule(standing)]) if self._console.height >= _LOW else []
        activity = self._most([self._activity(standing)], 1 if self._low else 2)
        hidden = standing.run or (standing.broken and self._low)
        plan = [] if hidden else self._most(self._plan(standing), 1 if self._low else 3)
        return [*rule, *activity, *plan]

    def _rule(self, standing: Standing) -> Text:
        """What is watched."""
        dash = "-" if self._console.options.ascii_only else "─"
        planned, width = standing.planned, self._console.width
        name = one_line(planned.plan.project if planned else self._folder.name)
        count = f", {planned.watched} files watched" if planned else ""
        title = Text.assemble((cut_middle(name, max(width - 40, 12)), "bold"), (count, "dim"))
        line = Text.assemble((dash * 2 + " ", "dim"), title, " ")
        line.append(dash * max(width - line.cell_len, 0), "dim")
        line.truncate(width)
        return line

    def _activity(self, standing: Standing) -> RenderableType:
        """What was saved, or what is being read."""
        if standing.reading:
            text = Text(paths_text(standing.reading, self._shown))
            return self._labelled("reading" if standing.settled else "changed", "bold cyan", text)
        if standing.broken is not None:
            text = Text("the last save cannot be used; the plan before it stays")
            return self._labelled("broken", "bold red", text)
        if standing.planned is None:
            return self._labelled("reading", "bold cyan", Text("the project"))
        if standing.saved is None:
            return self._labelled("watching", "green", Text("nothing was saved yet", "dim"))
        at, what, effect = standing.saved
        arrow = "->" if self._console.options.ascii_only else "→"
        text = Text.assemble(what, (f" {arrow} ", "dim"), (effect, "bold"), (f"  {at}", "dim"))
        return self._labelled("saved", "green", text)

    def _plan(self, standing: Standing) -> list[RenderableType]:
        """How many jobs of each action."""
        if standing.planned is None:
            return []
        counts = Counter(planned.action for planned in standing.planned.plan.jobs)
        parts = []
        for action, word in WORDS.items():
            if counts[action]:
                symbol, style = action_look(self._console, action)
                parts.append(Text(f"{symbol} {counts[action]} {word}", style))
        return [self._labelled("plan", "dim", *in_lines(parts or [Text("no jobs")], self._console.width - _LABEL))]

    def _edits(self, standing: Standing, room: int) -> list[RenderableType]:
        """Which edit causes which cost."""
        found = edits(standing.planned.plan) if standing.planned and room > 0 and not standing.run else []
        if not found:
            return []
        fitting = found if len(found) <= room else found[: room - 1]
        table = Table.grid(padding=(0, 2, 0, 0))
        for width in self._edit_widths(fitting):
            table.add_column(width=width, no_wrap=True, overflow="ellipsis")
        for edit in fitting:
            at = cut_middle(edit.at, table.columns[0].width or 0)
            cells = [Text(at, "bold"), Text(edit.jobs), Text(edit.cost), Text(edit.what, "dim")]
            table.add_row(*cells[: len(table.columns)])
        more = [Text(f"and {len(found) - len(fitting)} more edits", "dim")] if len(fitting) < len(found) else []
        return [self._labelled("edits", "dim", table, *more)] if fitting else []

    def _edit_widths(self, found: Sequence[Edit]) -> list[int]:
        """Columns of an edit: its place, its jobs, its cost, and what was edited, if there is room for that."""
        jobs, cost = max(cell_len(edit.jobs) for edit in found), max(cell_len(edit.cost) for edit in found)
        left = self._console.width - _LABEL - jobs - cost - 3 * 2
        at = min(max(cell_len(edit.at) for edit in found), max(left // 2 if left >= 40 else left, 8))
        return [at, jobs, cost, *([left - at] if left - at >= 12 else [])]

    # -- errors, and the run ---------------------------------------------------------------------------------------

    def _errors(self, standing: Standing, room: int) -> list[Line]:
        """What is wrong with the last save, with the line and a caret; gone when it is mended."""
        broken = standing.broken
        if broken is None:
            return []
        errors = [found for found in broken.diagnostics if found.severity == "error"]
        color = not self._console.no_color
        text = Text.from_ansi(render_text(errors, color, columns=max(self._console.width - 12, 20)))
        texts = [line for line in text.split("\n") if not (self._low and _MARGIN.match(line.plain))]
        parts = [_unfolded(line) for line in texts] if errors else [_message(broken)]
        lines = self._rendered(parts)
        if len(lines) <= room:
            return lines
        rest = f"… {jobs_word(len(errors)).replace('job', 'error')} in all; `kling-render check` shows them"
        return lines[: room - 1] + self._rendered([Text(rest, "dim", no_wrap=True, overflow="ellipsis")])

    def _run(self, standing: Standing, room: int, now: float) -> list[Line]:
        """The jobs of the run, and how far it is."""
        run = standing.run
        if run is None:
            return []
        totals: list[RenderableType] = [run.drawing.bar(now, run.board.left_s(now)), *run.drawing.counts()]
        below = self._rendered(totals)
        room = min(room, max(self._console.height // 2, 6)) - len(below) - 1
        if room < 1:
            return below[: max(room + 1 + len(below), 1)]
        return self._rendered(run.drawing.jobs(room, now)) + below

    # -- the foot --------------------------------------------------------------------------------------------------

    def _foot(self, standing: Standing, now: float) -> list[Line]:
        troubles = [self._labelled("trouble", "bold red", Text(text)) for text in standing.trouble]
        return [
            *self._most(troubles, 2 if self._low else 6),
            *self._most(self._held(standing, now), 2 if self._low else 4),
            *self._most(self._money(standing), 1 if self._low else 3),
            *self._rendered(self._keys_line(standing)),
        ]

    def _held(self, standing: Standing, now: float) -> list[RenderableType]:
        """What is rendered in a moment, or waits for a key."""
        held, plan = standing.holding.held, standing.planned.plan if standing.planned else None
        if held is None or standing.leaving:
            return []
        amount = amount_text(held, standing.holding.jobs, plan)
        if held.until is None:
            text = Text.assemble((amount, "bold"), f": {one_line(held.why)}")
            return [self._labelled("waits", "bold magenta", text)]
        when = f"in {seconds_left(held.until, now)} s"
        hint = "; r now, c hold back" if self._keys else ""
        text = Text.assemble((amount, "bold"), ", ", (when, "bold"), (hint, "dim"))
        return [self._labelled("renders", "bold yellow", text)]

    def _money(self, standing: Standing) -> list[RenderableType]:
        """What it costs today, and what may still be spent."""
        planned, run = standing.planned, standing.run
        if planned is None or is_free(planned.plan):
            return []
        parts = [Text(text) for text in purse_text(planned.today, planned.purse)]
        if run is not None and (money := run.drawing.money()) is not None:
            parts.insert(1, money)
        return [self._labelled("money", "dim", *in_lines(parts, self._console.width - _LABEL))]

    def _keys_line(self, standing: Standing) -> list[RenderableType]:
        if standing.leaving:
            left = "; what runs is left running" if standing.run else ""
            return [Text(f"leaving{left} (Ctrl-C leaves at once)", "dim")]
        if not self._keys:
            return [Text("Ctrl-C ends watching", "dim")]
        held = standing.holding.held
        counting = held is not None and held.until is not None
        narrow = self._console.width < _NARROW
        pairs = [("r", "render")] if held is not None else []
        pairs += [("c", "hold" if narrow else "hold back")] if counting else []
        pairs += [("p", "plan"), ("e", "explain"), ("w", "files" if narrow else "watched"), ("o", "open")]
        pairs += [("q", "quit, jobs go on" if standing.run and not narrow else "quit")]
        parts = [Text.assemble((key, "bold"), (f" {word}", "dim")) for key, word in pairs]
        return [*in_lines(parts, self._console.width, 2)]

    def _labelled(self, label: str, style: str, *parts: RenderableType) -> Table:
        """A word, and lines beside it."""
        table = Table.grid()
        table.add_column(width=_LABEL, no_wrap=True)
        table.add_column(ratio=1, overflow="fold")
        table.expand = True
        for number, part in enumerate(parts):
            table.add_row(Text("" if number else label, style), part)
        return table


def _unfolded(line: Text) -> Text:
    """A line of a diagnostic; the lines of a file are cut where they are too long, the others folded."""
    if _SNIPPET.match(line.plain):
        line.no_wrap, line.overflow = True, "crop"
    return line


def _message(broken: Broken) -> Text:
    remedy = f"\nhelp: {broken.help}" if broken.help else ""
    return Text.assemble((one_line(broken.message), "bold"), one_line(remedy))
