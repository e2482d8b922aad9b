"""A shot's cells: who is in it, which axes it has, and the product of both.

`survey` resolves names and counts, cheaply whatever the size of the product; only `product_of` walks it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

from kling_render.errors import Place, did_you_mean
from kling_render.shotlist.declarations import Axis, AxisValue, Pattern, ShotDeclaration
from kling_render.shotlist.matching import select
from kling_render.shotlist.records import Character, Motion
from kling_render.shotlist.reports import Report, listed

#: Names that every template has anyway, or that every shot has as an axis.
RESERVED_AXES = frozenset({"character", "motion", "shot", "take", "vars", "variant"})
_ALIASES = {"orientation": "character_orientation", "character_orientation": "orientation"}

#: Axes that go together: their positions, and their values in step.
Group = tuple[tuple[int, ...], list[tuple[AxisValue, ...]]]


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """One combination of the values of a shot's matrix axes, in the order the axes are declared."""

    values: tuple[AxisValue, ...]
    ids: tuple[str, ...]


class Cell(NamedTuple):
    """One point of all axes of a shot."""

    character: str
    motion: str
    point: Point

    @property
    def key(self) -> tuple[str, ...]:
        """The ids of the cell on every axis: character, motion, then the matrix axes."""
        return (self.character, self.motion, *self.point.ids)


@dataclass(frozen=True, slots=True)
class Survey:
    """A shot with its names resolved, before its product is walked."""

    shot: ShotDeclaration
    #: Characters × motions; a shot with a `cast` has several such blocks.
    blocks: tuple[tuple[list[str], list[str]], ...]
    groups: tuple[Group, ...]
    #: Nothing was reported about its names.
    is_sound: bool

    @property
    def size(self) -> int:
        """Cells before exclusions, with additions."""
        pairs = sum(len(characters) * len(motions) for characters, motions in self.blocks)
        return pairs * prod(len(steps) for _, steps in self.groups) + len(self.shot.add)


def survey(
    shot: ShotDeclaration, characters: Mapping[str, Character], motions: Mapping[str, Motion], report: Report
) -> Survey:
    """Resolve a shot's selection and its zipped axes."""
    before = len(report.found)
    cast = shot.cast if shot.cast is not None else ()
    blocks = [
        (select((who,), characters, "character", report), select(what, motions, "motion", report)) for who, what in cast
    ]
    if shot.cast is None:
        who = select(shot.characters, characters, "character", report)
        blocks = [(who, select(shot.motions, motions, "motion", report))]
    _check_axes(shot.axes, report)
    groups = tuple(_groups(shot, report))
    return Survey(shot, tuple(blocks), groups, is_sound=len(report.found) == before)


def product_of(found: Survey) -> Iterator[Cell]:
    """Every cell of the product, row by row as declared; the last axis changes fastest."""
    pairs = dict.fromkeys(pair for who, what in found.blocks for pair in itertools.product(who, what))
    points = _points(found) if pairs else []
    return (Cell(character, motion, point) for character, motion in pairs for point in points)


def axis_position(name: str, axes: Sequence[str]) -> int | None:
    """Where an axis stands in a cell's key; `orientation` and `character_orientation` are one name."""
    names = ["character", "motion", *axes]
    for candidate in (name, _ALIASES.get(name, "")):
        if candidate in names:
            return names.index(candidate)
    return None


def _points(found: Survey) -> list[Point]:
    order = [position for positions, _ in found.groups for position in positions]
    back = sorted(range(len(order)), key=order.__getitem__)
    points = []
    for steps in itertools.product(*(steps for _, steps in found.groups)):
        flat = [value for step in steps for value in step]
        values = tuple(flat[i] for i in back)
        points.append(Point(values, tuple(value.id for value in values)))
    return points


def _check_axes(axes: Sequence[Axis], report: Report) -> None:
    places: dict[str, Place] = {}
    for axis in axes:
        if axis.name in RESERVED_AXES:
            hint = f"every template has its own '{axis.name}'; choose another name"
            report.error("KR0133", f"an axis cannot be named '{axis.name}'", axis.place, help=hint)
        other = places.get(axis.name) or places.get(_ALIASES.get(axis.name, ""))
        if other:
            related = [("first declared here", other)]
            message = f"the axis '{axis.name}' is declared twice"
            if axis.name not in places:
                message += f": '{_ALIASES[axis.name]}' is another name of it"
            report.error("KR0133", message, axis.place, help="keep one of the two", related=related)
        places[axis.name] = axis.place
        _check_values(axis, report)


def _check_values(axis: Axis, report: Report) -> None:
    if not axis.values:
        report.error(
            "KR0133", f"the axis '{axis.name}' has no values", axis.place, help="add a value or remove the axis"
        )
    seen: dict[str, AxisValue] = {}
    for value in axis.values:
        first = seen.setdefault(value.id, value)
        if first is not value:
            message = (
                f"two jobs with one id: the values {first.value!r} and {value.value!r}"
                f" of the axis '{axis.name}' both have the id '{value.id}'"
            )
            related = [("the other value", first.place)]
            report.error("KR0135", message, value.place, help="give one an id: write 'id: value'", related=related)


def _groups(shot: ShotDeclaration, report: Report) -> Iterator[Group]:
    """Zipped axes together, every other axis alone; a group stands where its first axis stands."""
    names = [axis.name for axis in shot.axes]
    group_of: dict[int, tuple[int, ...]] = {}
    for members in shot.zips:
        positions = tuple(sorted(_zip_positions(members, names, group_of, report)))
        group_of.update(dict.fromkeys(positions, positions))
        if len({len(shot.axes[p].values) for p in positions}) > 1:
            lengths = ", ".join(f"{names[p]} has {len(shot.axes[p].values)}" for p in positions)
            message = f"zipped axes must have equally many values: {lengths}"
            report.error(
                "KR0132", message, members[0].place, help="add the missing values, or leave the axis out of 'zip'"
            )
    for position in range(len(shot.axes)):
        group = group_of.get(position, (position,))
        if group[0] == position:
            yield group, list(zip(*(shot.axes[p].values for p in group), strict=False))


def _zip_positions(
    members: Sequence[Pattern], names: Sequence[str], taken: Mapping[int, object], report: Report
) -> list[int]:
    positions: list[int] = []
    for member in members:
        position = axis_position(member.text, names)
        if position is None:
            message = f"no matrix axis is named '{member.text}'{did_you_mean(member.text, names)}"
            report.error("KR0131", message, member.place, help=f"axes: {listed(names) or 'none'}")
        elif position < 2:
            message = f"'{member.text}' is not a matrix axis"
            report.error("KR0131", message, member.place, help="pair characters with motions by 'cast'")
        elif position - 2 in taken or position - 2 in positions:
            message = f"the axis '{member.text}' is zipped twice"
            report.error("KR0132", message, member.place, help="name each axis once; one group may hold several")
        else:
            positions.append(position - 2)
    return positions
