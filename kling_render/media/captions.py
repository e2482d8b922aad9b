"""Draws the words of a rehearsal: the badge and the strip with job, prompt and price. Runs in a child only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from kling_render.media.fonts import Colour, Letters

BADGE = "REHEARSAL - not the model"
_PROMPT_LINES, _MOST_LETTERS = 3, 3000
_INK: Colour = (255, 255, 255, 255)
_SOFT: Colour = (205, 210, 220, 255)
_ACCENT: Colour = (255, 196, 61, 255)
_STRIP: Colour = (12, 14, 20, 175)
_DARK: Colour = (20, 20, 24, 255)

Box = tuple[float, float, float, float]
"""Left, top, right and bottom."""
Heads = NDArray[np.float64]
"""Moments × left, top, right and bottom, in parts of the picture."""
Row = tuple[str, Letters, Colour]


def wrap(text: str, letters: Letters, width: int, most: int) -> list[str]:
    """At most `most` lines no wider than `width` pixels; the last ends in '...' when words are left over."""
    lines: list[str] = []
    rest = text
    while rest and len(lines) < most:
        cut = _fitting(rest, letters, width)
        lines.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    if rest and lines:
        last = lines[-1]
        while last and letters.length(last + "...") > width:
            last = last[:-1]
        lines[-1] = last.rstrip() + "..."
    return lines


def _fitting(text: str, letters: Letters, width: int) -> int:
    """How many characters fit, at a word's end where there is one nearby."""
    if len(text) <= 400 and letters.length(text) <= width:
        return len(text)
    low, high = 1, min(len(text), 400)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if letters.length(text[:middle]) <= width else (low, middle - 1)
    space = text.rfind(" ", low // 2, low + 1)
    return space if space > 0 else low


def overlay(size: tuple[int, int], lines: Sequence[str], heads: Heads | None = None) -> Image.Image:
    """A transparent picture of that size with badge and strip: the job's id, its prompt, and the remaining lines.

    Both stand where they hide the character's head least: the strip below or above, the badge in a corner.
    """
    canvas = Image.new("RGBA", size, (0, 0, 0, 0))
    pen = ImageDraw.Draw(canvas)
    width, height = size
    unit = max(10, round(min(width / 28, height / 27)))
    rows = _rows(lines, unit, int(width - 1.4 * unit))
    tall = unit * (1.32 * len(rows) + 0.77) if rows else 0.0
    at_top = _hidden((0, 0, width, tall), size, heads) + 0.1 < _hidden((0, height - tall, width, height), size, heads)
    top = 0.0 if at_top else height - tall
    if rows:
        _strip(pen, (0, top, width, top + tall), rows, unit)
    _badge(pen, size, unit, (tall, height) if at_top else (0.0, top), heads)
    return canvas


def _rows(lines: Sequence[str], unit: int, room: int) -> list[Row]:
    big, small = Letters(unit * 1.05), Letters(unit * 0.92)
    texts = [line[:_MOST_LETTERS] for line in lines] + ["", ""]
    others = [small.drawable(text) for text in texts[2:]]
    rows = [(row, big, _ACCENT) for row in wrap(big.drawable(texts[0]), big, room, 2)]
    rows += [(row, small, _INK) for row in wrap(small.drawable(texts[1]), small, room, _PROMPT_LINES)]
    return rows + [(row, small, _SOFT) for row in wrap("  |  ".join(t for t in others if t), small, room, 2)]


def _hidden(box: Box, size: tuple[int, int], heads: Heads | None) -> float:
    """The share of time in which a box touches the head."""
    if heads is None or not len(heads):
        return 0.0
    left, top, right, bottom = (edge / size[index % 2] for index, edge in enumerate(box))
    apart = (heads[:, 0] >= right) | (heads[:, 2] <= left) | (heads[:, 1] >= bottom) | (heads[:, 3] <= top)
    return 1.0 - float(apart.mean())


def _strip(pen: ImageDraw.ImageDraw, box: Box, rows: Sequence[Row], unit: int) -> None:
    left, top, right, bottom = box
    pen.rectangle((left, round(top) // 2 * 2, right, bottom), fill=_STRIP)
    for index, (text, letters, colour) in enumerate(rows):
        letters.draw(pen, (unit * 0.7, top + unit * (0.385 + 1.32 * (index + 0.5))), text, colour)


def _badge(
    pen: ImageDraw.ImageDraw, size: tuple[int, int], unit: int, free: tuple[float, float], heads: Heads | None
) -> None:
    """In the corner of the free rows where it hides the head least; in doubt the left upper one."""
    letters = Letters(unit * 0.95)
    wide, tall, gap = letters.length(BADGE) + unit, unit * 1.7, unit * 0.6
    lefts, tops = (gap, size[0] - gap - wide), (free[0] + gap, free[1] - gap - tall)
    corners = [(left, top, left + wide, top + tall) for top in tops for left in lefts]
    box = min(corners, key=lambda corner: _hidden(corner, size, heads))
    pen.rounded_rectangle(box, radius=unit * 0.4, fill=_ACCENT)
    letters.draw(pen, (box[0] + unit * 0.5, (box[1] + box[3]) / 2), BADGE, _DARK)
