"""Lines at the foot of a terminal that are redrawn in place; whatever is printed goes above them.

Unlike `rich.live.Live` it has no thread and no pulse: it is drawn when it is told to, and only if another text came
of it. It also knows that a terminal which became narrower has folded the old lines.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Self, TextIO, cast

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderableType, RenderHook, RenderResult
from rich.control import Control
from rich.file_proxy import FileProxy
from rich.segment import ControlType, Segment

Line = list[Segment]


class LiveArea(RenderHook):
    """The lines; a context manager, which leaves nothing of them behind.

    Args:
        console: a terminal.
        lines: what to show now; none of them wider than the console.
    """

    def __init__(self, console: Console, lines: Callable[[], list[Line]]) -> None:
        self._console = console
        self._lines = lines
        #: As they stand on the terminal, and how wide it was.
        self._drawn: list[Line] = []
        self._width = 0
        self._redrawing = False
        self._stderr: TextIO | None = None

    def __enter__(self) -> Self:
        self._console.push_render_hook(self)
        if self._console.stderr:  # a warning from anywhere goes above the lines too
            self._stderr, sys.stderr = sys.stderr, cast("TextIO", FileProxy(self._console, sys.stderr))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stderr is not None:
            sys.stderr = self._stderr
        self._console.pop_render_hook()
        self.erase()

    def redraw(self) -> None:
        """Show the lines as they are now."""
        lines = self._lines()
        if lines == self._drawn and self._width == self._console.width:
            return
        self._redrawing = True
        try:
            self._console.print(Control())
        finally:
            self._redrawing = False

    def erase(self) -> None:
        """Take the lines away, until they are drawn again under whatever was written meanwhile."""
        self._console.control(Control(*self._erasing()))
        self._drawn = []

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """What is printed stands above the lines."""
        old, same_width = self._drawn, self._width == self._console.width
        erasing, rewriting = tuple(self._erasing()), self._redrawing and same_width and old
        self._drawn, self._width = self._lines(), self._console.width
        if rewriting:
            return [_Over(self._drawn, len(old), self._width)]
        return [Control(*erasing), *renderables, _Plain(self._drawn)]

    def _erasing(self) -> Iterator[ControlType | tuple[ControlType, int]]:
        """From the end of the old lines to the beginning of the first, which is blank then like the others."""
        rows = _rows(self._drawn, self._console.width)
        if not rows:
            return
        yield ControlType.CARRIAGE_RETURN
        yield ControlType.ERASE_IN_LINE, 2
        for _ in range(rows - 1):
            yield ControlType.CURSOR_UP, 1
            yield ControlType.ERASE_IN_LINE, 2


def _rows(lines: Iterable[Line], width: int) -> int:
    """How many rows of the terminal the lines take, folded where they are too long."""
    return sum(max(-(-Segment.get_line_length(line) // max(width, 1)), 1) for line in lines)


def trimmed(line: Line) -> Line:
    """The line without blanks at its end: a terminal that becomes narrower would fold them."""
    kept = list(line)
    while kept and not kept[-1].control:
        text, style, _ = kept.pop()
        if style is not None and style.bgcolor is not None:
            return [*kept, Segment(text, style)]
        if bare := text.rstrip(" "):
            return [*kept, Segment(bare, style)]
    return kept


class Trimmed:
    """Anything printable, its lines without blanks at their ends."""

    def __init__(self, what: RenderableType) -> None:
        self._what = what

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in console.render_lines(self._what, options, pad=False):
            yield from trimmed(line)
            yield Segment.line()


class _Plain:
    """Lines from here on, without a break at the end."""

    def __init__(self, lines: list[Line]) -> None:
        self._lines = lines

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for number, line in enumerate(self._lines):
            if number:
                yield Segment.line()
            yield from line


class _Over:
    """Lines over old ones, each in its place: nothing is blank for a moment."""

    def __init__(self, lines: list[Line], old: int, width: int) -> None:
        self._lines = lines
        self._old = old
        self._width = width

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        up = [(ControlType.CURSOR_UP, self._old - 1)] if self._old > 1 else []
        yield Control(ControlType.CARRIAGE_RETURN, *up)
        for number, line in enumerate(self._lines):
            if number:
                yield Segment.line()
            yield from line
            if Segment.get_line_length(line) < self._width:  # behind a full line there is nothing to erase
                yield Control((ControlType.ERASE_IN_LINE, 0))
        gone = self._old - len(self._lines)
        if gone > 0:
            for _ in range(gone):
                yield Control((ControlType.CURSOR_DOWN, 1), ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2))
            yield Control((ControlType.CURSOR_UP, gone))
