"""Templates that stand in the YAML itself: which line of the text is which line of the file."""

from __future__ import annotations

from kling_render.errors import Place
from kling_render.shotlist.declarations import Template
from kling_render.shotlist.tree import Node


def template_of(node: Node) -> Template:
    """The template of a scalar. Lines that cannot be mapped (folded or escaped text) have the scalar's place."""
    text = node.value if isinstance(node.value, str) else node.raw
    lines = text.split("\n")
    places = _block(node, lines) if node.style == "|" else _single(node, text)
    return Template(text, node.source.file, None, tuple(places or [node.place] * len(lines)))


def fixed_template(text: str, file: str) -> Template:
    """A template that nobody wrote: a default."""
    return Template(text, file, None, (Place(file, 1, 1),))


def _single(node: Node, text: str) -> list[Place] | None:
    """A plain or quoted text on one line, if it stands there letter by letter."""
    column = node.column + (1 if node.style else 0)
    source = node.source.lines[node.line - 1]
    if source[column - 1 : column - 1 + len(text)] != text:
        return None
    return [node.source.place(node.line, column, len(text))]


def _block(node: Node, lines: list[str]) -> list[Place] | None:
    """A literal block: its lines follow the `|` one by one."""
    source = node.source.lines
    first = next((n for n, line in enumerate(lines) if line), None)
    if first is None or node.line + first >= len(source):
        return None
    indent = len(source[node.line + first]) - len(lines[first])
    places: list[Place] = []
    for number, line in enumerate(lines):
        at = node.line + number
        written = source[at][indent:] if at < len(source) else ""
        if line and written != line:
            return None
        places.append(node.source.place(min(at, len(source) - 1) + 1, indent + 1, len(line)))
    return places
