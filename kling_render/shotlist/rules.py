"""What a shot says about some of its cells: `exclude`, `add` and the matches of `override`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from kling_render.errors import Place, did_you_mean
from kling_render.shotlist.cells import Cell, Point, Survey, axis_position, product_of
from kling_render.shotlist.declarations import AddedCell, Axis, Match, Pattern, ShotDeclaration
from kling_render.shotlist.matching import is_glob, matching, report_no_match
from kling_render.shotlist.names import slug
from kling_render.shotlist.records import Character, Motion
from kling_render.shotlist.reports import Report, listed

#: For every position of a cell's key, the ids that exist there, each with its tags.
Known = Sequence[Mapping[str, tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class Rule:
    """The cells that a `match` means: for some positions of the key, the ids allowed there."""

    parts: tuple[tuple[int, frozenset[str]], ...]
    #: Every name and pattern of the match exists in the shot.
    complete: bool = True

    def matches(self, key: Sequence[str]) -> bool:
        """Whether the cell of that key is meant."""
        return all(key[position] in ids for position, ids in self.parts)


def cells_of(
    found: Survey, characters: Mapping[str, Character], motions: Mapping[str, Motion], report: Report
) -> list[Cell]:
    """The shot's cells, row by row as declared: the product without what is excluded, then what is added."""
    shot = found.shot
    cells = _without_excluded(found, characters, motions, report) if shot.exclude else list(product_of(found))
    if shot.add:
        known = known_ids(shot.axes, characters.values(), motions.values())
        _add(cells, shot, known, report)
    return cells


def known_ids(axes: Sequence[Axis], characters: Iterable[Character], motions: Iterable[Motion]) -> Known:
    """The ids on every axis."""
    return [
        {character.id: character.tags for character in characters},
        {motion.id: motion.tags for motion in motions},
        *({value.id: () for value in axis.values} for axis in axes),
    ]


def _without_excluded(
    found: Survey, characters: Mapping[str, Character], motions: Mapping[str, Motion], report: Report
) -> list[Cell]:
    shot = found.shot
    who = dict.fromkeys(i for block in found.blocks for i in block[0])
    what = dict.fromkeys(i for block in found.blocks for i in block[1])
    known = known_ids(shot.axes, (characters[i] for i in who), (motions[i] for i in what))
    rules = [rule_of(match, shot.axes, known, report) for match in shot.exclude]
    used: set[int] = set()
    cells = []
    for cell in product_of(found):
        hits = [i for i, rule in enumerate(rules) if rule.matches(cell.key)]
        used.update(hits)
        if not hits:
            cells.append(cell)
    for i, (match, rule) in enumerate(zip(shot.exclude, rules, strict=True)):
        if rule.complete and i not in used:
            report_unused(match, shot.id, "exclude", report)
    return cells


def report_unused(match: Match, shot: str, what: str, report: Report) -> None:
    """Say that a match, though all its patterns exist, meets no cell."""
    shown = ", ".join(f"{axis}: {'|'.join(p.text for p in patterns)}" for axis, patterns in match.items)
    message = f"'{what}' matches no cell of the shot '{shot}' ({shown or 'it has none'})"
    hint = f"correct it or remove it; `kling-render plan {shot}` lists the cells"
    report.error("KR0130", message, match.place, help=hint)


def rule_of(match: Match, axes: Sequence[Axis], known: Known, report: Report) -> Rule:
    """A match as a rule; names and patterns in it that match nothing are reported."""
    names = [axis.name for axis in axes]
    parts: list[tuple[int, frozenset[str]]] = []
    complete = True
    for name, patterns in match.items:
        position = axis_position(name, names)
        if position is None:
            _report_axis(name, names, name_place(match.place, name), report)
            complete = False
            parts.append((0, frozenset()))
            continue
        found = [_hits(pattern, position, known) for pattern in patterns]
        for pattern, hits in zip(patterns, found, strict=True):
            if not hits:
                kind = name if position < 2 else f"value of '{names[position - 2]}'"
                report_no_match(pattern, f"{kind} of this shot", known[position], report)
                complete = False
        parts.append((position, frozenset(i for hits in found for i in hits)))
    return Rule(tuple(parts), complete)


def _hits(pattern: Pattern, position: int, known: Known) -> list[str]:
    hits = matching(pattern.text, known[position])
    if not hits and position >= 2:
        # A value may be written as it stands in the matrix, where its id is a slug of it.
        hits = [i for i in (slug(pattern.text),) if i in known[position]]
    return hits


def name_place(mapping: Place, name: str) -> Place:
    """Where a name stands in a mapping that is written on one line; else where the mapping begins."""
    found = re.compile(rf"(?<![\w-]){re.escape(name)}(?=[\"']?\s*:)").search(mapping.text, max(mapping.column - 1, 0))
    return replace(mapping, column=found.start() + 1, width=len(name)) if found else mapping


def _report_axis(name: str, names: Sequence[str], place: Place, report: Report) -> None:
    known = ["character", "motion", *names]
    report.error(
        "KR0131", f"no axis is named '{name}'{did_you_mean(name, known)}", place, help=f"axes: {listed(known)}"
    )


def _add(cells: list[Cell], shot: ShotDeclaration, known: Known, report: Report) -> None:
    """Append the further cells; each names one id on every axis and must be new."""
    points = {cell.point.ids: cell.point for cell in cells}
    keys = {cell.key for cell in cells}
    for added in shot.add:
        key = _added_key(added, shot.axes, known, report)
        if key is None:
            continue
        if key in keys:
            name = "/".join((shot.id, *key[:2], *([".".join(key[2:])] if key[2:] else [])))
            report.error("KR0134", f"the cell {name} is there already", added.place, help="remove this entry")
            continue
        values = tuple(next(v for v in axis.values if v.id == i) for axis, i in zip(shot.axes, key[2:], strict=True))
        keys.add(key)
        cells.append(Cell(key[0], key[1], points.setdefault(key[2:], Point(values, key[2:]))))


def _added_key(added: AddedCell, axes: Sequence[Axis], known: Known, report: Report) -> tuple[str, ...] | None:
    names = [axis.name for axis in axes]
    ids: dict[int, str] = {}
    good = True
    for name, pattern in added.items:
        position = axis_position(name, names)
        if position is None:
            _report_axis(name, names, name_place(added.place, name), report)
            good = False
            continue
        hits = _hits(pattern, position, known)
        if not hits:
            kind = name if position < 2 else f"value of '{names[position - 2]}'"
            report_no_match(pattern, kind, known[position], report)
        elif is_glob(pattern.text) or len(hits) > 1:
            message = f"'{pattern.text}' is a pattern; 'add' takes one id per axis"
            report.error("KR0134", message, pattern.place, help=f"write one entry for each of: {listed(hits)}")
            hits = []
        good = good and bool(hits)
        ids.update((position, i) for i in hits)
    missing = [name for position, name in enumerate(["character", "motion", *names]) if position not in ids]
    if good and missing:
        message = f"a further cell needs one id for every axis; missing: {listed(missing)}"
        position = axis_position(missing[0], names) or 0
        hint = f"add '{missing[0]}: …', one of: {listed(known[position])}"
        report.error("KR0134", message, added.place, help=hint)
    return tuple(ids[p] for p in range(len(names) + 2)) if good and not missing else None
