"""Lines at the foot of a terminal: what is printed stands above them, and nothing of old ones is left."""

from __future__ import annotations

import sys

from rich.segment import Segment

from kling_render.cli.live_area import Line, LiveArea
from tests.cli.terminal import Terminal


def lines(*texts: str) -> list[Line]:
    return [[Segment(text)] if text else [] for text in texts]


class Foot:
    def __init__(self, width: int = 40) -> None:
        self.terminal = Terminal(width)
        self.console = self.terminal.console()
        self.now = lines("one", "two")
        self.area = LiveArea(self.console, lambda: self.now)


def test_what_is_printed_stands_above_and_what_is_redrawn_stands_once() -> None:
    """A history that scrolls, and one picture under it."""
    foot = Foot()
    with foot.area:
        foot.area.redraw()
        foot.console.print("first")
        foot.now = lines("1", "2", "3")
        foot.area.redraw()
        foot.console.print("second")
        assert foot.terminal.text == "first\nsecond\n1\n2\n3"


def test_fewer_shorter_and_full_lines_leave_nothing_of_the_old_ones() -> None:
    """Each line is written over in its place, with nothing blank in between."""
    foot = Foot(width=10)
    with foot.area:
        foot.now = lines("x" * 10, "yyyyyyyy", "z" * 10, "more")
        foot.area.redraw()
        foot.now = lines("a" * 10, "b")
        foot.area.redraw()
        assert foot.terminal.text == "aaaaaaaaaa\nb"
        foot.now = lines("c")
        foot.area.redraw()
        foot.console.print("said")
        assert foot.terminal.text == "said\nc"


def test_the_same_picture_is_not_written_twice() -> None:
    """A terminal at rest gets no byte, whoever asks for a drawing."""
    foot = Foot()
    with foot.area:
        foot.area.redraw()
        written = foot.terminal.writes
        foot.area.redraw()
        assert foot.terminal.writes == written


def test_lines_that_a_narrower_terminal_folded_are_taken_away_whole() -> None:
    """Half of an old picture above the new one is what displays are known for."""
    foot = Foot(width=40)
    with foot.area:
        foot.console.print("history")
        foot.now = lines("x" * 40, "short", "y" * 33)
        foot.area.redraw()
        foot.terminal.resize(16)
        foot.now = lines("x" * 16, "short")
        foot.area.redraw()
        assert foot.terminal.text == "history\nxxxxxxxxxxxxxxxx\nshort"
        foot.terminal.resize(60)
        foot.now = lines("wide")
        foot.area.redraw()
        assert foot.terminal.text == "history\nwide"


def test_nothing_of_the_lines_is_left_behind() -> None:
    """What was printed is what remains."""
    foot = Foot()
    with foot.area:
        foot.area.redraw()
        foot.console.print("said")
    foot.console.print("after")
    assert foot.terminal.text == "said\nafter"


def test_while_a_shell_has_the_terminal_only_the_history_stands_there() -> None:
    """Ctrl-Z and `fg`: the lines come again where the shell left the cursor."""
    foot = Foot()
    with foot.area:
        foot.console.print("history")
        foot.area.erase()
        assert foot.terminal.text == "history"
        foot.terminal.write("[1]+ Stopped\nfg\n")
        foot.area.redraw()
        assert foot.terminal.text == "history\n[1]+ Stopped\nfg\none\ntwo"


def test_a_warning_from_anywhere_goes_above_the_lines(capsys: object) -> None:
    """Libraries write to stderr without asking."""
    terminal = Terminal(40)
    before, sys.stderr = sys.stderr, terminal
    try:
        console = terminal.console(stderr=True)
        console.file = None  # type: ignore[assignment]
        with LiveArea(console, lambda: lines("foot")) as area:
            area.redraw()
            sys.stderr.write("a warning\n")
            assert terminal.text == "a warning\nfoot"
        assert sys.stderr is terminal
    finally:
        sys.stderr = before
