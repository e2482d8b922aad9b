"""Where everything lies on a picture of a contact sheet: pages of a bounded size, in pixels. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from kling_render.outputs.contact_sheet.records import Heading, ShotSheet, Shown

MOST = 4096
"""Pixels of a page's longer edge."""
EDGES = (360, 300, 250, 210, 180)
"""Edges of a square poster that are tried, the largest first; with the last one the sheet goes on over several pages.
Posters of another shape get the same area."""
GAP, PAD, TOP, ROW_HEAD, COLUMN_HEAD, LINE = 10, 24, 84, 132, 40, 17
LINES = 4
"""Lines below a poster."""
_ABREAST = 4
"""Takes of a cell that stand side by side."""
_NARROWEST = 0.7


@dataclass(frozen=True, slots=True)
class Grid:
    """One page of one shot: some of its rows and columns."""

    shot: ShotSheet
    rows: tuple[Heading, ...]
    columns: tuple[Heading, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """A picture: grids below each other."""

    grids: tuple[Grid, ...]
    #: The edge of a square poster.
    edge: int
    width: int
    height: int


def pages(shots: Sequence[ShotSheet]) -> list[Page]:
    """The fewest pages with the largest posters that stay within `MOST`; at least one."""
    for edge in EDGES:
        whole = _page([Grid(shot, shot.rows, shot.columns) for shot in shots], edge)
        if max(whole.width, whole.height) <= MOST:
            return [whole]
    edge = EDGES[-1]
    return list(_several([grid for shot in shots for grid in _parts(shot, edge)], edge))


def poster_size(take: Shown, column_shape: float, edge: int) -> tuple[int, int]:
    """Width and height of a take's place."""
    shape = take.stills.width / take.stills.height if take.stills else column_shape
    width = round(edge * min(max(shape**0.5, _NARROWEST), 1 / _NARROWEST))
    return width, min(round(width / shape), 2 * edge)


def grid_size(grid: Grid, edge: int) -> tuple[int, int]:
    """Width and height of a grid, its headings included."""
    across = sum(column_width(grid, column, edge) for column in grid.columns)
    down = sum(row_height(grid, row, edge) for row in grid.rows)
    return ROW_HEAD + across, COLUMN_HEAD * 2 + down


def column_width(grid: Grid, column: Heading, edge: int) -> int:
    """As wide as its widest cell."""
    shape = grid.shot.shape(column)
    cells = [list(places(grid.shot.at(row, column), shape, edge)) for row in grid.rows]
    empty = round(edge * _NARROWEST)
    return max([empty, *(x + width for cell in cells for _, (x, _, width, _) in cell)]) + 2 * GAP


def row_height(grid: Grid, row: Heading, edge: int) -> int:
    """As high as its highest cell."""
    cells = [list(places(grid.shot.at(row, column), grid.shot.shape(column), edge)) for column in grid.columns]
    return max([COLUMN_HEAD, *(y + height + LINES * LINE for cell in cells for _, (_, y, _, height) in cell)]) + 2 * GAP


def places(takes: Sequence[Shown], column_shape: float, edge: int) -> Iterator[tuple[Shown, tuple[int, int, int, int]]]:
    """Where the posters of a cell's takes stand, from its corner: x, y, width, height; the caption is below."""
    top = 0
    for first in range(0, len(takes), _ABREAST):
        left, tallest = 0, 0
        for take in takes[first : first + _ABREAST]:
            width, height = poster_size(take, column_shape, edge)
            yield take, (left, top, width, height)
            left, tallest = left + width + GAP, max(tallest, height)
        top += tallest + LINES * LINE + GAP


def _page(grids: Sequence[Grid], edge: int) -> Page:
    sizes = [grid_size(grid, edge) for grid in grids]
    width = max((width for width, _ in sizes), default=0) + 2 * PAD
    height = TOP + sum(height + GAP for _, height in sizes) + PAD
    return Page(tuple(grids), edge, max(width, 640), height)


def _parts(shot: ShotSheet, edge: int) -> Iterator[Grid]:
    """The shot's matrix, cut into grids that fit on a page each."""
    whole = Grid(shot, shot.rows, shot.columns)
    room = MOST - 2 * PAD - ROW_HEAD
    for columns in _cut(shot.columns, lambda column: column_width(whole, column, edge), room):
        part = Grid(shot, shot.rows, columns)
        below = MOST - TOP - PAD - 2 * COLUMN_HEAD - GAP
        for rows in _cut(shot.rows, lambda row: row_height(part, row, edge), below):  # noqa: B023 - used at once
            yield Grid(shot, rows, columns)


def _cut(headings: Sequence[Heading], needs: Callable[[Heading], int], room: int) -> list[tuple[Heading, ...]]:
    """Headings in their order, as many together as there is room for."""
    parts: list[list[Heading]] = []
    used = room + 1
    for heading in headings:
        size = needs(heading)
        if used + size > room:
            parts.append([])
            used = 0
        parts[-1].append(heading)
        used += size
    return [tuple(part) for part in parts]


def _several(grids: Sequence[Grid], edge: int) -> Iterator[Page]:
    part: list[Grid] = []
    for grid in grids:
        if part and _page([*part, grid], edge).height > MOST:
            yield _page(part, edge)
            part = []
        part.append(grid)
    yield _page(part, edge)
