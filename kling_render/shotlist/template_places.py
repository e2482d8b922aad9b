"""Where in a template a word stands, as file, line and column."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kling_render.errors import Place
from kling_render.shotlist.declarations import Template

_TAG = re.compile(r"\{\{.*?(?:\}\}|\Z)|\{%.*?(?:%\}|\Z)", re.DOTALL)
_NEWLINE = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Spot:
    """What to look for: a word of the template, a field's name (after a dot or in brackets), or an offset."""

    needle: str
    field: bool = False
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """Line and column, counted from 1, and the width of what stands there."""

    line: int
    column: int
    width: int


def lines_of(text: str) -> list[str]:
    """The lines of a template without their ends."""
    return _NEWLINE.split(text)


def spot_of(lines: list[str], line: int, spot: Spot) -> Position:
    """The nearest match at or after a line, else anywhere, else the whole line."""
    text = "\n".join(lines)
    line = min(max(line, 1), len(lines))
    start = sum(len(each) + 1 for each in lines[: line - 1])
    found: tuple[int, int] | None = None
    if spot.offset is not None and spot.offset < len(text):
        found = (spot.offset, 1)
    elif spot.needle:
        hits = _hits(text, spot)
        found = next((hit for hit in hits if hit[0] >= start), hits[0] if hits else None)
    if found is None:
        content = lines[line - 1]
        indent = len(content) - len(content.lstrip()) if content.strip() else 0
        return Position(line, indent + 1, max(len(content.strip()), 1))
    before = text[: found[0]]
    return Position(before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1, found[1])


def _hits(text: str, spot: Spot) -> list[tuple[int, int]]:
    word = re.escape(spot.needle)
    if spot.needle[:1].isidentifier() or spot.needle[:1].isdigit():
        word = rf"(?<!\w){word}(?!\w)"
    patterns = [rf"(?:(?<=\.)|(?<=['\"])){word}", word] if spot.field else [word]
    for pattern in patterns:
        hits = [
            (match.start(), max(len(match[0]), 1))
            for tag in _TAG.finditer(text)
            for match in re.compile(pattern).finditer(text, tag.start(), tag.end())
        ]
        if hits:
            return hits
    return []


def place_in_file(file: str, lines: list[str], at: Position) -> Place:
    """The place in a template that is a file of its own."""
    return Place(file, at.line, at.column, lines[at.line - 1], at.width)


def place_in_template(template: Template, at: Position) -> Place | None:
    """The place in a prompt file, or of an inline text in the YAML file it stands in."""
    if not template.lines:
        return None
    place = template.lines[min(at.line, len(template.lines)) - 1]
    lines = lines_of(template.text)
    if template.path is not None:
        return Place(place.file, place.line, at.column, place.text or lines[at.line - 1], at.width)
    if not place.text:
        one_place = len(template.lines) > 1 and len(set(template.lines)) == 1
        return place if one_place else Place(place.file, place.line, place.column + at.column - 1, "", at.width)
    # A quoted scalar's text starts after its quote; a folded or escaped one may not stand there as it is.
    start = place.text.find(lines[at.line - 1].strip(), place.column - 1) if lines[at.line - 1].strip() else -1
    if start < 0:
        return place
    indent = len(lines[at.line - 1]) - len(lines[at.line - 1].lstrip())
    return Place(place.file, place.line, start + at.column - indent, place.text, at.width)
