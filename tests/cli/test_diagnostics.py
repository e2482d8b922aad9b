"""Diagnostics on a terminal: the caret under the right character, no foreign control sequence."""

from __future__ import annotations

import pytest

from kling_render.cli.diagnostics import escaped, render_text
from kling_render.errors import Diagnostic, Place


def caret(text: str, column: int, width: int = 1) -> list[str]:
    """The two lines of an excerpt, without the gutter."""
    rendered = render_text([Diagnostic("KR0000", "x", Place("f", 1, column, text, width))])
    return [line[5:] for line in rendered.splitlines()[3:5]]


@pytest.mark.parametrize(
    ("text", "column", "width", "expected"),
    [
        ("a: b", 4, 1, ["a: b", "   ^"]),
        ("\ta: b", 2, 1, ["    a: b", "    ^"]),
        ("日本: x", 5, 1, ["日本: x", "      ^"]),
        ("日本: x", 1, 2, ["日本: x", "^^^^"]),
        ("e\u0301: x", 5, 1, ["e\u0301: x", "   ^"]),
        ("a\x1b[31mb", 2, 1, ["a^[[31mb", " ^^"]),
        ("a\u202eb", 3, 1, ["a<U+202E>b", "         ^"]),
        ("ab", 9, 3, ["ab", "  ^"]),
        ("ab", 1, 99, ["ab", "^^"]),
    ],
)
def test_the_caret_stands_under_its_character(text: str, column: int, width: int, expected: list[str]) -> None:
    """Tabs, wide, combining and unprintable characters do not shift it."""
    assert caret(text, column, width) == expected


def test_a_long_line_is_cut_around_the_caret() -> None:
    """A line of a megabyte shows the part that matters."""
    line, mark = caret("x" * 500_000 + "!" + "y" * 500_000, 500_001)
    assert len(line) < 200
    assert line[mark.index("^")] == "!"
    assert (line[0], line[-1]) == ("…", "…")


def test_no_code_point_reaches_the_terminal_as_a_command() -> None:
    """Control and direction characters of foreign texts are written out wherever they are printed."""
    for code in [*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x2028, 0xFEFF, 0xD800]:
        evil = f"a{chr(code)}b"
        place = Place(evil, 1, 1, evil)
        shown = render_text([Diagnostic("KR0000", evil, place, evil, related=((evil, place),))])
        assert chr(code) not in shown.replace("\n", ""), hex(code)
    assert escaped("\x1b]52;c;x\x07\x9b\x7f") == "^[]52;c;x^G<U+009B>^?"


def test_a_foreign_text_cannot_pose_as_a_line_of_ours() -> None:
    """Further lines of a message are indented."""
    shown = render_text([Diagnostic("KR0000", "a\nerror[KR9999]: forged")])
    assert [line for line in shown.splitlines() if line.startswith("error")] == ["error[KR0000]: a"]


def test_colours_are_only_added_on_request() -> None:
    """Without `color` there is no escape sequence; with it the words are the same."""
    found = [Diagnostic("KR0000", "bad", Place("f", 3, 1, "x: y"), "do this", "warning")]
    plain, painted = render_text(found), render_text(found, color=True)
    assert "\x1b" not in plain
    import re

    assert re.sub(r"\x1b\[[0-9;]*m", "", painted) == plain
    assert plain == "warning[KR0000]: bad\n  --> f:3:1\n   |\n 3 | x: y\n   | ^\n  help: do this\n"
