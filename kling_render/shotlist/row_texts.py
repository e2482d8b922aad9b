"""A plain template for one cell after another, as the product of a shot gives them.

Cells come row by row: the character stays while the motions change. What the row's cells share is put into the text
once per row, and what the motion and the take bring is looked up once per motion and take.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kling_render.shotlist.cells import Cell, Point
from kling_render.shotlist.templates import LARGEST, Plain, Prepared, Printed, printed_values

_LATER = frozenset({"motion", "take"})
_MOST_KEPT = 4096
"""Motions and takes whose texts are kept."""
_NOTHING = Plain("", ())


class RowTexts:
    """The texts of one template in one shot. Whatever it cannot make, the template itself makes or reports."""

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared
        self._plain = prepared.plain
        self._printed: list[Printed] = [p for p in (prepared.plain or _NOTHING).printed if p[0] in _LATER]
        self._character: str | None = None
        #: None: it cannot be made.
        self._forms: dict[Point, str | None] = {}
        self._rest: dict[tuple[str, int], tuple[str, ...] | None] = {}

    def text(self, cell: Cell, take: int, names: dict[str, Any]) -> str | None:
        """The text for a cell and a take, of whom `names` speaks; None when it cannot be made, which is reported."""
        if self._plain is not None:
            character, motion, point = cell
            if character != self._character:
                self._character = character
                self._forms.clear()
            try:
                form = self._forms[point]
            except KeyError:
                form = self._forms[point] = _form(self._plain, names)
            try:
                rest = self._rest[motion, take]
            except KeyError:
                rest = self._learnt(motion, take, names)
            if form is not None and rest is not None and len(text := form % rest) <= LARGEST:
                return text
        return self.prepared.render(names)

    def _learnt(self, motion: str, take: int, names: dict[str, Any]) -> tuple[str, ...] | None:
        if len(self._rest) >= _MOST_KEPT:
            self._rest.clear()
        rest = self._rest[motion, take] = printed_values(self._printed, names)
        return rest


def _form(plain: Plain, names: Mapping[str, Any]) -> str | None:
    """The template's form with everything put in that the cells of a row share."""
    shared = printed_values([p for p in plain.printed if p[0] not in _LATER], names)
    if shared is None:
        return None
    texts = iter(shared)
    values = ["%s" if name in _LATER else next(texts).replace("%", "%%") for name, _ in plain.printed]
    return plain.form.replace("%%", "%%%%") % tuple(values)
