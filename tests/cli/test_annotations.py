"""Claim: an annotation of a pull request points at the right line, and no foreign text can be a command of its own."""

from __future__ import annotations

from pathlib import Path

from kling_render.cli.annotations import annotation
from kling_render.errors import Diagnostic, Place

HERE = Path("/repo/film")


def test_file_line_column_code_message_and_remedy() -> None:
    """All of a diagnostic in one workflow command."""
    found = Diagnostic("KR0209", "wave.mp4: 42.0 s; at most 10 s", Place("shotlist.yaml", 7, 9), "trim it", "error")
    said = annotation(found, HERE, None)
    assert said == ("::error file=shotlist.yaml,line=7,col=9,title=KR0209::wave.mp4: 42.0 s; at most 10 s — trim it")
    assert annotation(Diagnostic("KR0001", "empty", severity="warning"), HERE, None) == "::warning title=KR0001::empty"


def test_files_are_relative_to_the_repository() -> None:
    """The tool may run in a folder of it; files elsewhere keep their name."""
    found = Diagnostic("KR0209", "x", Place("lib/cast.yaml", 1, 1))
    assert annotation(found, HERE, Path("/repo")).startswith("::error file=film/lib/cast.yaml,line=1,")
    away = Diagnostic("KR0209", "x", Place("../../else/cast.yaml", 1, 1))
    assert annotation(away, HERE, Path("/repo")).startswith("::error file=../../else/cast.yaml,line=1,")


def test_no_text_ends_a_command_or_begins_another() -> None:
    """Line ends, per cent signs, colons, commas and control characters of names and messages."""
    evil = "a,line=1::b\r\n::set-output name=x::%0A\x1b[2J\u202e"
    said = annotation(Diagnostic("KR1", evil, Place(evil, 2, 3), evil), HERE, None)
    assert "\n" not in said
    assert "\r" not in said
    assert "\x1b" not in said
    assert "\u202e" not in said
    head, _, _ = said.removeprefix("::").partition("::")
    assert head.count(",") == 3
    assert head.endswith(",line=2,col=3,title=KR1")
    assert "%250A" in said
