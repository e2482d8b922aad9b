"""A terminal for tests: keeps what a program wrote as rows of characters, as far as our displays make use of one."""

from __future__ import annotations

import io
import re

from rich.console import Console, ConsoleDimensions

_PART = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|(\r)|(\n)|([^\x1b\r\n])")


class Terminal(io.StringIO):
    """Rows that never scroll away; folds what is too long, and folds it again when its width changes."""

    def __init__(self, width: int, height: int = 24) -> None:
        super().__init__()
        self.width = width
        self.height = height
        self.rows: list[str] = [""]
        #: Whether a row goes on in the next one.
        self.goes_on: list[bool] = [False]
        self.row = self.column = 0
        self.writes = 0

    def isatty(self) -> bool:
        return True

    def console(self, *, encoding: str = "utf-8", **options: object) -> Console:
        """A console that writes here; its width follows `resize`."""
        self.charset = encoding
        return _Console(self, **options)

    def write(self, text: str) -> int:
        self.writes += 1
        for number, kind, returned, newline, char in _PART.findall(text):
            if kind:
                self._control(kind, int(number) if number.isdecimal() else None)
            elif returned:
                self.column = 0
            elif newline:
                self._down()
                self.column = 0
            else:
                self._put(char)
        return len(text)

    def _control(self, kind: str, number: int | None) -> None:
        if kind == "A":
            self.row = max(self.row - (number or 1), 0)
        elif kind == "B":
            self.row = min(self.row + (number or 1), len(self.rows) - 1)
        elif kind == "K":
            row = self.rows[self.row]
            self.rows[self.row] = "" if number == 2 else row[: self.column]
            self.goes_on[self.row] = False
        else:
            assert kind in "mhl", f"a control sequence that this terminal does not know: {kind}"

    def _down(self) -> None:
        self.row += 1
        if self.row == len(self.rows):
            self.rows.append("")
            self.goes_on.append(False)

    def _put(self, char: str) -> None:
        if self.column == self.width:
            self.goes_on[self.row] = True
            self._down()
            self.column = 0
        row = self.rows[self.row].ljust(self.column)
        self.rows[self.row] = row[: self.column] + char + row[self.column + 1 :]
        self.column += 1

    def resize(self, width: int) -> None:
        """Fold every line again, as terminals do; the cursor stays at the end of what it wrote."""
        del self.rows[self.row + 1 :], self.goes_on[self.row + 1 :]  # nothing stands below the cursor
        lines, current = [], ""
        for row, goes_on in zip(self.rows, self.goes_on, strict=True):
            current += row
            if not goes_on:
                lines.append(current)
                current = ""
        self.width = width
        self.rows, self.goes_on = [], []
        for line in lines:
            pieces = [line[at : at + width] for at in range(0, len(line), width)] or [""]
            self.rows += pieces
            self.goes_on += [True] * (len(pieces) - 1) + [False]
        self.row, self.column = len(self.rows) - 1, len(self.rows[-1])

    @property
    def text(self) -> str:
        """What stands there, without blanks at the ends of lines."""
        return "\n".join(row.rstrip() for row in self.rows).rstrip("\n")


class _Console(Console):
    """A console as wide as its terminal is now."""

    def __init__(self, terminal: Terminal, **options: object) -> None:
        self._terminal = terminal
        options = {"color_system": None, "legacy_windows": False, **options}
        super().__init__(file=terminal, force_terminal=True, force_interactive=True, _environ={}, **options)  # type: ignore[arg-type]

    @property
    def encoding(self) -> str:
        return self._terminal.charset

    @property  # type: ignore[misc]
    def size(self) -> ConsoleDimensions:
        return ConsoleDimensions(self._terminal.width, self._terminal.height)
