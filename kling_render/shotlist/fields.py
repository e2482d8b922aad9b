"""Shot fields (of defaults, a shot, an override) and the small texts that many fields share.

=======  ===========================================================
KR0120   two fields that exclude each other
=======  ===========================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kling_render.errors import Place, Problems
from kling_render.shotlist import scalars
from kling_render.shotlist.declarations import Pattern, ShotFields, Template
from kling_render.shotlist.inline import template_of
from kling_render.shotlist.inputs import Inputs
from kling_render.shotlist.tree import Node

#: Key → the key's node and the value's node, as `Node.entries` has them.
Entries = Mapping[str, tuple[Node, Node]]

#: Two names of one field: what it is called in `ShotFields`.
ALIASES = {"character_orientation": "orientation", "prompt_file": "prompt"}
FIELDS = ("model", "params", "orientation", "keep_audio", "takes", "prompt", "priority", "tags")


def scalar_text(node: Node) -> str:
    """A scalar as the text of an id or a name."""
    return scalars.written(node.value, node.raw)


def listed(node: Node | None) -> list[Node]:
    """The scalars of a value that may be one or a list of them."""
    if node is None or node.kind == "mapping":
        return []
    nodes = node.items if node.kind == "sequence" else [node]
    return [inner for inner in nodes if inner.kind == "scalar" and inner.value is not None]


def texts(node: Node | None) -> tuple[str, ...]:
    """The same, as texts."""
    return tuple(scalar_text(inner) for inner in listed(node))


def patterns(node: Node | None) -> tuple[Pattern, ...]:
    """The same, as patterns; a number is written like the id it has."""
    return tuple(Pattern(pattern_text(inner), inner.place) for inner in listed(node))


def pattern_text(node: Node) -> str:
    """A scalar as a pattern: `1.5` means the id `1-5`."""
    from kling_render.shotlist.names import slug

    text = scalar_text(node)
    return text if isinstance(node.value, str) else slug(text)


def said(entries: Entries, key: str) -> Node | None:
    """The value of a key; None when it is missing or null."""
    entry = entries.get(key)
    return entry[1] if entry is not None and entry[1].value is not None else None


def shot_fields(entries: Entries, inputs: Inputs) -> ShotFields:
    """The settings said at one level."""
    places: dict[str, Place] = {}
    for key, (name, value) in entries.items():
        field = ALIASES.get(key, key)
        if field in FIELDS and value.value is not None:
            places.setdefault(field, name.place)
            if field == "params" and value.kind == "mapping":
                places |= {f"params.{param}": inner.place for param, (inner, _) in value.entries.items()}
    for one, other in (("orientation", "character_orientation"), ("prompt", "prompt_file")):
        refuse_both(entries, (one, other), inputs.problems)
    orientation = said(entries, "orientation") or said(entries, "character_orientation")
    tags = said(entries, "tags")
    takes, priority = _whole(said(entries, "takes")), _whole(said(entries, "priority"))
    return ShotFields(
        model=_typed(said(entries, "model"), str),
        params=_params(said(entries, "params")),
        orientation=_typed(orientation, str),
        keep_audio=_typed(said(entries, "keep_audio"), bool),
        takes=takes,
        prompt=prompt_of(entries, inputs),
        priority=priority,
        tags=None if tags is None else texts(tags),
        places=places,
    )


def prompt_of(entries: Entries, inputs: Inputs) -> Template | None:
    """The prompt of one level, inline or from a file."""
    inline, file = said(entries, "prompt"), said(entries, "prompt_file")
    if inline is not None:
        return template_of(inline) if isinstance(inline.value, str) else None
    return inputs.prompt(file) if file is not None and isinstance(file.value, str) else None


def refuse_both(entries: Entries, names: Iterable[str], problems: Problems) -> None:
    """Report fields that say the same thing twice on one level."""
    one, other = names
    if said(entries, one) is None or said(entries, other) is None:
        return
    later, earlier = sorted((entries[one][0], entries[other][0]), key=lambda node: (node.line, node.column))[::-1]
    problems.error(
        "KR0120",
        f"'{one}' and '{other}' exclude each other",
        later.place,
        help="keep one of the two",
        related=(("the other one stands here", earlier.place),),
    )


def _params(node: Node | None) -> Mapping[str, Any] | None:
    if node is None or node.kind != "mapping":
        return None
    return {name: value for name, value in node.value.items() if value is not None}


def _typed(node: Node | None, kind: type) -> Any:
    return node.value if node is not None and isinstance(node.value, kind) else None


def _whole(node: Node | None) -> int | None:
    if node is None or isinstance(node.value, bool) or not isinstance(node.value, int | float):
        return None
    return int(node.value)
