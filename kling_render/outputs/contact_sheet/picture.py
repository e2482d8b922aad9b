"""Contact sheets as PNG. The same sheet gives the same bytes on the same build.

The font is the one that comes with Pillow, so that it looks alike everywhere: other scripts are written in Latin
letters.
"""

from __future__ import annotations

import functools
from io import BytesIO
from typing import Any

from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from kling_render.media.fonts import Letters
from kling_render.outputs.contact_sheet import layout
from kling_render.outputs.contact_sheet.layout import Grid, Page
from kling_render.outputs.contact_sheet.records import Heading, Sheet, Shown, Tone, sums
from kling_render.outputs.contact_sheet.words import cost_text, said_text, sums_text

Font = Any
"""A Pillow font."""

_GROUND, _CARD, _EMPTY, _INK, _SOFT, _WARN = "#17171a", "#222227", "#2b2b32", "#f0f0f4", "#a6a6b2", "#ffcf70"
_WIDE = 2000
"""Pixels from which on a page is shown smaller than it is: its headings are larger."""
_TONES: dict[Tone, str] = {
    "good": "#6fdc98",
    "quiet": _SOFT,
    "busy": "#8bb4ff",
    "stale": "#d3a4ff",
    "bad": "#ff9090",
}


def picture(sheet: Sheet, page: Page, number: int, count: int) -> bytes:
    """One page as PNG."""
    canvas = Image.new("RGB", (page.width, page.height), _GROUND)
    drawing = _Drawing(canvas, page.edge, free=sheet.provider == "previz")
    drawing.head(sheet, number, count)
    top = layout.TOP
    for grid in page.grids:
        drawing.grid(grid, top, named=len(sheet.shots) > 1 or count > 1)
        top += layout.grid_size(grid, page.edge)[1] + layout.GAP
    held, info = BytesIO(), PngInfo()
    info.add_text("Software", "kling-render contact-sheet")
    canvas.save(held, "PNG", compress_level=5, pnginfo=info)
    return held.getvalue()


class _Drawing:
    """A page being drawn."""

    def __init__(self, canvas: Image.Image, edge: int, *, free: bool) -> None:
        self._canvas = canvas
        self._draw = ImageDraw.Draw(canvas)
        self._edge = edge
        self._free = free
        large = 1.5 if canvas.width > _WIDE else 1.0
        sizes = (26 * large, 17, 17 * large, 14, 12)
        self._title, self._bold, self._head, self._plain, self._fine = (ImageFont.load_default(px) for px in sizes)

    def head(self, sheet: Sheet, number: int, count: int) -> None:
        """The project and its sums."""
        name = sheet.project if len(sheet.shots) != 1 else f"{sheet.project} / {sheet.shots[0].id}"
        room = self._canvas.width - 2 * layout.PAD
        more = [sheet.selection] if sheet.selection else []
        more += [f"page {number} of {count}"] if count > 1 else []
        more += ["rehearsals, not the model"] if self._free else []
        self._text((layout.PAD, 34), " - ".join([name, *more]), _INK, self._title, room)
        said = sums_text(sums(sheet.takes), free=self._free)
        self._text((layout.PAD, 68), said, _SOFT, self._head, room)

    def grid(self, grid: Grid, top: int, *, named: bool) -> None:
        """One matrix with its headings."""
        left = layout.PAD
        if named:
            said = f"{grid.shot.id}    {sums_text(sums(grid.shot.takes), free=self._free)}"
            self._text((left, top + 20), said, _INK, self._head, self._canvas.width - 2 * left)
        top += layout.COLUMN_HEAD
        across = left + layout.ROW_HEAD
        widths = [layout.column_width(grid, column, self._edge) for column in grid.columns]
        for column, width in zip(grid.columns, widths, strict=True):
            self._heading(column, (across, top + 20), width - layout.GAP)
            across += width
        top += layout.COLUMN_HEAD
        for row in grid.rows:
            self._draw.line((left, top - 4, across, top - 4), "#3a3a42")
            self._heading(row, (left, top + 12), layout.ROW_HEAD - layout.GAP)
            x = left + layout.ROW_HEAD
            for column, width in zip(grid.columns, widths, strict=True):
                self._cell(grid.shot.at(row, column), grid.shot.shape(column), x, top)
                x += width
            top += layout.row_height(grid, row, self._edge)

    def _heading(self, heading: Heading, at: tuple[int, int], room: int) -> None:
        font = self._head if self._head.getlength(heading.id) <= room else self._plain
        self._text(at, heading.id, _INK, font, room, middle=True)  # long ids mostly differ at their ends
        if heading.name:
            self._text((at[0], at[1] + 20), heading.name, _SOFT, self._fine, room)

    def _cell(self, takes: tuple[Shown, ...], shape: float, x: int, y: int) -> None:
        if not takes:
            self._draw.line((x, y + 16, x + 14, y + 16), _SOFT)
        for take, (dx, dy, width, height) in layout.places(takes, shape, self._edge):
            self._take(take, x + dx, y + dy, width, height)

    def _take(self, take: Shown, x: int, y: int, width: int, height: int) -> None:
        box = (x, y, x + width - 1, y + height + layout.LINES * layout.LINE - 1)
        warned, colour = bool(take.warnings), _TONES[take.tone]
        outline = _WARN if warned else _CARD
        self._draw.rounded_rectangle(box, 6, fill=_CARD, outline=outline, width=2 if warned else 1)
        frame = (x + 2, y + 2, x + width - 3, y + height - 1)
        self._draw.rectangle(frame, _EMPTY if take.stills is None else "#000000")
        if take.stills is not None:
            self._poster(take, frame)
        else:
            self._draw.text((x + width // 2, y + height // 2), take.word, colour, self._bold, anchor="mm")
        if warned:
            self._draw.rounded_rectangle((x + width - 26, y + 8, x + width - 8, y + 26), 9, _WARN)
            self._draw.text((x + width - 17, y + 17), "!", "#3a2600", self._bold, anchor="mm")
        self._caption(take, x + 7, y + height + 10, width - 14, colour)

    def _poster(self, take: Shown, frame: tuple[int, int, int, int]) -> None:
        assert take.stills is not None
        room = frame[2] - frame[0] + 1, frame[3] - frame[1] + 1
        try:
            with Image.open(take.stills.poster, formats=["WEBP"]) as poster:
                small = poster.convert("RGB")
        except (OSError, ValueError):  # it may be deleted at any time
            return
        scale = min(room[0] / small.width, room[1] / small.height)
        size = max(1, round(small.width * scale)), max(1, round(small.height * scale))
        small = small.resize(size, Image.Resampling.LANCZOS)
        self._canvas.paste(small, (frame[0] + (room[0] - size[0]) // 2, frame[1] + (room[1] - size[1]) // 2))

    def _caption(self, take: Shown, x: int, y: int, room: int, colour: str) -> None:
        cost = cost_text(take, free=self._free)
        taken = self._plain.getlength(cost) + 6 if cost else 0
        mark = " *" if take.final else ""
        self._text((x, y), take.label.replace(" · ", " ") + mark, _INK, self._plain, room)
        self._text((x, y + layout.LINE), take.word, colour, self._plain, room - taken)
        if cost:
            self._draw.text((x + room, y + layout.LINE), cost, _INK, self._plain, anchor="rm")
        self._text((x, y + 2 * layout.LINE - 1), take.id, _SOFT, self._fine, room, middle=True)
        said = said_text(take)
        if said:
            self._text((x, y + 3 * layout.LINE - 2), said, _WARN if take.warnings else colour, self._fine, room)

    def _text(
        self, at: tuple[float, float], text: str, colour: str, font: Font, room: float, *, middle: bool = False
    ) -> None:
        self._draw.text(
            at, _fitting(_letters().drawable(text.replace("·", "-")), font, room, middle=middle), colour, font, "lm"
        )


def _fitting(text: str, font: Font, room: float, *, middle: bool) -> str:
    """The text, shortened where it is too wide: at its end, or, for ids, in its middle."""
    if font.getlength(text) <= room:
        return text
    low, high = 0, min(len(text), 2000)
    while low < high:
        half = (low + high + 1) // 2
        low, high = (half, high) if font.getlength(_cut(text, half, middle=middle)) <= room else (low, half - 1)
    return _cut(text, low, middle=middle)


def _cut(text: str, keep: int, *, middle: bool) -> str:
    if not middle:
        return text[:keep].rstrip() + "..."
    tail = keep * 2 // 3
    return f"{text[: keep - tail]}...{text[len(text) - tail :]}"


@functools.cache
def _letters() -> Letters:
    """The built-in letters alone: a sheet is the same on every machine."""
    return Letters(14, files=())
