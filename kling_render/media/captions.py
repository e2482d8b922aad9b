"""Draws the words of a rehearsal: the badge and the strip with job, prompt and price. Runs in a child only."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

BADGE = "REHEARSAL - not the model"
_PROMPT_LINES = 3
_INK, _SOFT, _ACCENT, _STRIP = (255, 255, 255, 255), (205, 210, 220, 255), (255, 196, 61, 255), (12, 14, 20, 175)

_TYPEWRITER = str.maketrans(
    {"–": "-", "—": "-", "‘": "'", "’": "'", "“": '"', "”": '"', "ß": "ss", "ø": "o", "æ": "ae"}
)

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def drawable(text: str) -> str:
    """The text on one line, in letters the built-in font has: without accents, and '?' for other scripts."""
    plain = unicodedata.normalize("NFKD", " ".join(text.translate(_TYPEWRITER).split()))
    seen = (c for c in plain if unicodedata.category(c) not in ("Mn", "Cf", "Cc"))
    return "".join(c if c == " " or c.isascii() else "?" for c in seen)


def wrap(text: str, font: Font, width: int, most: int) -> list[str]:
    """At most `most` lines no wider than `width` pixels; the last ends in '...' when words are left over."""
    lines: list[str] = []
    rest = text
    while rest and len(lines) < most:
        cut = _fitting(rest, font, width)
        lines.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    if rest and lines:
        last = lines[-1]
        while last and font.getlength(last + "...") > width:
            last = last[:-1]
        lines[-1] = last.rstrip() + "..."
    return lines


def _fitting(text: str, font: Font, width: int) -> int:
    """How many characters fit, at a word's end where there is one."""
    if font.getlength(text[:400]) <= width and len(text) <= 400:
        return len(text)
    low, high = 1, min(len(text), 400)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if font.getlength(text[:middle]) <= width else (low, middle - 1)
    space = text.rfind(" ", 1, low + 1)
    return space if space > 0 else low


def overlay(size: tuple[int, int], lines: Sequence[str]) -> Image.Image:
    """A transparent picture of that size with badge and strip: the job's id, its prompt, and the remaining lines."""
    width, height = size
    canvas = Image.new("RGBA", size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(canvas)
    unit = max(10, round(min(width / 28, height / 30)))
    _badge(draw, unit)
    big, small = ImageFont.load_default(unit * 1.05), ImageFont.load_default(unit * 0.92)
    margin = unit * 0.7
    room = int(width - 2 * margin)
    texts = [drawable(line) for line in lines] + ["", ""]
    rows = [(row, big, _ACCENT) for row in wrap(texts[0], big, room, 2)]
    rows += [(row, small, _INK) for row in wrap(texts[1], small, room, _PROMPT_LINES)]
    rows += [(row, small, _SOFT) for row in wrap("   |   ".join(t for t in texts[2:] if t), small, room, 1)]
    if rows:
        _strip(draw, size, rows, unit, margin)
    return canvas


def _badge(draw: ImageDraw.ImageDraw, unit: int) -> None:
    font = ImageFont.load_default(unit * 0.95)
    width = font.getlength(BADGE)
    box = (unit * 0.6, unit * 0.6, unit * 1.6 + width, unit * 2.3)
    draw.rounded_rectangle(box, radius=unit * 0.4, fill=_ACCENT)
    draw.text((unit * 1.1, unit * 1.45), BADGE, (20, 20, 24, 255), font=font, anchor="lm")


def _strip(
    draw: ImageDraw.ImageDraw,
    size: tuple[int, int],
    rows: Sequence[tuple[str, Font, tuple[int, int, int, int]]],
    unit: int,
    margin: float,
) -> None:
    width, height = size
    step = unit * 1.32
    top = height - step * len(rows) - margin * 1.1
    draw.rectangle((0, round(top) // 2 * 2, width, height), fill=_STRIP)
    for index, (text, font, colour) in enumerate(rows):
        draw.text((margin, top + margin * 0.55 + step * (index + 0.5)), text, colour, font=font, anchor="lm")
