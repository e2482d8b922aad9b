"""Diagnostics as text for people and as values for programs.

Texts of the user's files, and of whoever wrote them, never reach the terminal raw: control characters and
characters that change the direction of text are written out.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Any

from kling_render.errors import Diagnostic, Place

_TAB = 4
#: How many characters of a line are shown at most.
_WINDOW = 160
_UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")
_RED, _YELLOW, _BLUE, _BOLD, _PLAIN = "\x1b[1;31m", "\x1b[1;33m", "\x1b[1;34m", "\x1b[1m", "\x1b[0m"


def escaped(text: str) -> str:
    """A foreign text that is safe to print: `^[` for escape, `<U+202E>` for a direction override; newlines stay."""
    return _UNSAFE.sub(lambda match: _visible(match[0]), text)


def _visible(char: str) -> str:
    code = ord(char)
    if code < 32 or code == 127:
        return "^" + chr(code ^ 64)
    return f"<U+{code:04X}>"


def as_json(diagnostics: Iterable[Diagnostic]) -> list[dict[str, Any]]:
    """The fields of every diagnostic, for `--json`; file, line and column are null without a place."""
    return [
        {
            "code": diagnostic.code,
            "severity": diagnostic.severity,
            "message": diagnostic.message,
            "file": diagnostic.place.file if diagnostic.place else None,
            "line": diagnostic.place.line if diagnostic.place else None,
            "column": diagnostic.place.column if diagnostic.place else None,
            "help": diagnostic.help,
            "picture": diagnostic.picture or None,
        }
        for diagnostic in diagnostics
    ]


def render_text(
    diagnostics: Iterable[Diagnostic], color: bool = False, *, pictures: bool = False, columns: int = _WINDOW
) -> str:
    """All diagnostics, a blank line between them, each with its line and a caret. Ends with a newline.

    Args:
        diagnostics: what to show.
        color: whether it is painted.
        pictures: whether the paths of pictures that show a problem are named.
        columns: how many characters of a line of the file are shown, around what is wrong.
    """
    paint = _painted if color else _unpainted
    return "\n".join(_one(diagnostic, paint, pictures, min(columns, _WINDOW)) for diagnostic in diagnostics)


def _painted(style: str, text: str) -> str:
    return f"{style}{text}{_PLAIN}"


def _unpainted(_: str, text: str) -> str:
    return text


def _one(diagnostic: Diagnostic, paint: Any, pictures: bool, columns: int) -> str:
    places = [diagnostic.place] if diagnostic.place else []
    places += [place for _, place in diagnostic.related]
    gutter = max((len(str(place.line)) for place in places), default=1)
    style = _RED if diagnostic.severity == "error" else _YELLOW
    indent = " " * (gutter + 1)
    lines = [paint(style, f"{diagnostic.severity}[{diagnostic.code}]") + paint(_BOLD, f": {_text(diagnostic.message)}")]
    if diagnostic.place is not None:
        lines += _excerpt(diagnostic.place, gutter, paint, style, columns)
    for words, place in diagnostic.related:
        lines.append(f"{indent}{paint(_BLUE, 'note')}: {_text(words)}")
        lines += _excerpt(place, gutter, paint, _BLUE, columns)
    if diagnostic.help:
        lines.append(f"{indent}{paint(_BOLD, 'help')}: {_text(diagnostic.help)}")
    if pictures and diagnostic.picture:
        lines.append(f"{indent}{paint(_BOLD, 'picture')}: {_text(diagnostic.picture)}")
    return "\n".join(lines) + "\n"


def _text(text: str) -> str:
    """A message; further lines of it are indented, so that no foreign text can pose as a line of ours."""
    return escaped(text).replace("\n", "\n    ")


def _excerpt(place: Place, gutter: int, paint: Any, style: str, columns: int) -> list[str]:
    arrow = f"{' ' * (gutter + 1)}{paint(_BLUE, '-->')} {_text(str(place)).replace(chr(10), ' ')}"
    if not place.text.strip():
        return [arrow]
    shown, start, width = _window(place, columns)
    bar = paint(_BLUE, f" {' ' * gutter} |")
    number = paint(_BLUE, f" {place.line:>{gutter}} |")
    return [arrow, bar, f"{number} {shown}".rstrip(), f"{bar} {' ' * start}{paint(style, '^' * width)}"]


def _window(place: Place, columns: int) -> tuple[str, int, int]:
    """The line as it is shown, and where in it the caret begins and how wide it is, in columns of a terminal."""
    at = max(0, min(place.column - 1, len(place.text)))
    first, last = 0, len(place.text)
    if last > columns:
        first = max(0, min(at, last) - columns // 3)
        last = min(last, first + columns)
    cells = [_cell(char) for char in place.text[first:last]]
    shown = "".join(text for text, _ in cells).rstrip()
    shown = ("…" if first else "") + shown + ("…" if last < len(place.text) else "")
    start = sum(width for _, width in cells[: at - first]) + (1 if first else 0)
    marked = cells[at - first : at - first + max(1, place.width)]
    return shown, start, max(1, sum(width for _, width in marked))


def _cell(char: str) -> tuple[str, int]:
    """A character as it is shown, and how many columns that takes."""
    if char == "\t":
        return " " * _TAB, _TAB
    if _UNSAFE.match(char) or char == "\n":
        text = _visible(char)
        return text, len(text)
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return char, 0
    return char, 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1
