"""The entries of `shots` → declarations. What patterns match is the expander's business."""

from __future__ import annotations

from collections.abc import Iterable

from kling_render.errors import Problems
from kling_render.shotlist.cast import twice
from kling_render.shotlist.declarations import (
    AddedCell,
    Axis,
    AxisValue,
    Match,
    Override,
    Pattern,
    ShotDeclaration,
)
from kling_render.shotlist.explain import quoted
from kling_render.shotlist.fields import (
    Entries,
    pattern_text,
    patterns,
    said,
    scalar_text,
    shot_fields,
)
from kling_render.shotlist.inline import template_of
from kling_render.shotlist.inputs import Inputs
from kling_render.shotlist.names import is_slug, slug
from kling_render.shotlist.tree import Node

_SELECTING = ("characters", "motions", "cast", "matrix", "zip", "exclude", "add", "override")


def shots(roots: Iterable[Node], defaults: Entries, inputs: Inputs) -> tuple[ShotDeclaration, ...]:
    """The shots of all files, in order."""
    found: dict[str, ShotDeclaration] = {}
    for root in roots:
        section = root.get("shots")
        for node in section.items if section is not None else ():
            declared = _shot(node, defaults, inputs) if node.kind == "mapping" else None
            if declared is None:
                continue
            first = found.setdefault(declared.id, declared)
            if first is not declared:
                twice(inputs.problems, f"shot {quoted(declared.id)}", first.place, declared.place)
    return tuple(found.values())


def _shot(node: Node, defaults: Entries, inputs: Inputs) -> ShotDeclaration | None:
    name = node.get("id")
    if name is None or not is_slug(scalar_text(name)):
        if name is not None and name.kind == "scalar" and not isinstance(name.value, str | float):
            text = f"{quoted(name.raw)} is not an id (letters, digits, _ and -)"
            inputs.problems.error("KR0113", text, name.place)
        return None
    entries = _with_inherited(node.entries, defaults)
    cast = said(entries, "cast")
    _refuse_cast_beside(node, inputs.problems)
    return ShotDeclaration(
        id=scalar_text(name),
        place=node.place,
        characters=_chosen(said(entries, "characters")) if cast is None else None,
        motions=_chosen(said(entries, "motions")) if cast is None else None,
        cast=_cast(cast) if cast is not None else None,
        axes=_axes(said(entries, "matrix"), inputs),
        zips=_zips(said(entries, "zip")),
        fields=shot_fields(node.entries, inputs),
        exclude=tuple(_match(inner) for inner in _mappings(said(entries, "exclude"))),
        add=tuple(_cell(inner) for inner in _mappings(said(entries, "add"))),
        override=tuple(_overrides(said(entries, "override"), inputs)),
    )


def _chosen(node: Node | None) -> tuple[Pattern, ...] | None:
    return None if node is None or node.kind == "mapping" else patterns(node)


def _with_inherited(entries: Entries, defaults: Entries) -> Entries:
    """The shot's own selection, completed by the defaults'; own `cast` and own characters or motions beat the other."""
    inherited = {key: entry for key, entry in defaults.items() if key in _SELECTING and said(entries, key) is None}
    if said(entries, "cast") is not None:
        inherited.pop("characters", None)
        inherited.pop("motions", None)
    if said(entries, "characters") is not None or said(entries, "motions") is not None:
        inherited.pop("cast", None)
    if said(entries, "matrix") is not None:
        inherited.pop("zip", None)
    return {**entries, **inherited}


def _refuse_cast_beside(node: Node, problems: Problems) -> None:
    for other in ("characters", "motions"):
        if node.get("cast") is not None and node.get(other) is not None:
            problems.error(
                "KR0120",
                f"'cast' and '{other}' exclude each other",
                node.key_place(other),
                help="keep one of the two",
                related=(("the other one stands here", node.key_place("cast")),),
            )


def _cast(node: Node) -> tuple[tuple[Pattern, tuple[Pattern, ...]], ...]:
    return tuple((Pattern(key, name.place), patterns(value)) for key, (name, value) in node.entries.items())


def _mappings(node: Node | None) -> list[Node]:
    return [inner for inner in node.items if inner.kind == "mapping"] if node is not None else []


def _zips(node: Node | None) -> tuple[tuple[Pattern, ...], ...]:
    """Groups of names; one flat list of names is one group."""
    if node is None or node.kind != "sequence":
        return ()
    flat = all(inner.kind == "scalar" for inner in node.items)
    groups = [node] if flat and node.items else [inner for inner in node.items if inner.kind == "sequence"]
    return tuple(
        tuple(Pattern(scalar_text(name), name.place) for name in group.items if name.kind == "scalar")
        for group in groups
    )


def _match(node: Node) -> Match:
    items = tuple((axis, patterns(value)) for axis, (_, value) in node.entries.items())
    return Match(items, node.place)


def _cell(node: Node) -> AddedCell:
    items = tuple(
        (axis, Pattern(pattern_text(value), value.place))
        for axis, (_, value) in node.entries.items()
        if value.kind == "scalar" and value.value is not None
    )
    return AddedCell(items, node.place)


def _overrides(node: Node | None, inputs: Inputs) -> Iterable[Override]:
    for inner in _mappings(node):
        match, settings = inner.get("match"), inner.get("set")
        if match is not None and settings is not None and match.kind == settings.kind == "mapping":
            yield Override(_match(match), shot_fields(settings.entries, inputs), inner.place)


def _axes(node: Node | None, inputs: Inputs) -> tuple[Axis, ...]:
    if node is None or node.kind != "mapping":
        return ()
    return tuple(
        Axis(key, _axis_values(key, values, inputs), name.place) for key, (name, values) in node.entries.items()
    )


def _axis_values(axis: str, node: Node, inputs: Inputs) -> tuple[AxisValue, ...]:
    values: list[AxisValue] = []
    for id_, named, inner in _named_values(node):
        if is_slug(id_):
            values.append(AxisValue(id_, _axis_value(axis, inner, inputs), named.place))
        elif named is inner:  # a scalar; a bad id of a mapping is the schema's to report
            text = f"{quoted(inner.raw)} gives no id"
            inputs.problems.error("KR0113", text, inner.place, help="write it as 'id: value'")
    return tuple(values)


def _named_values(node: Node) -> Iterable[tuple[str, Node, Node]]:
    """The id of each value, the node that says it, and the value."""
    if node.kind == "mapping":
        yield from ((key, name, value) for key, (name, value) in node.entries.items())
        return
    for inner in node.items if node.kind == "sequence" else [node]:
        if inner.kind == "mapping":
            yield from ((key, name, value) for key, (name, value) in inner.entries.items())
        elif inner.kind == "scalar" and inner.value is not None:
            yield slug(scalar_text(inner)), inner, inner


def _axis_value(axis: str, node: Node, inputs: Inputs) -> object:
    """The plain value; the prompts of an axis that sets the prompt become templates, which know their places."""
    if not isinstance(node.value, str):
        return node.value
    if axis == "prompt":
        return template_of(node)
    return inputs.prompt(node) if axis == "prompt_file" else node.value
