"""A YAML text as nodes: values that know where they stand."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from kling_render.errors import Place


@dataclass(slots=True, eq=False)
class Source:
    """A YAML file: its display name, its lines, and where it lies (None for standard input)."""

    file: str
    lines: list[str]
    path: Path | None = None

    def place(self, line: int, column: int, width: int = 1) -> Place:
        """A position in it; line and column start at 1."""
        text = self.lines[line - 1] if 0 < line <= len(self.lines) else ""
        return Place(self.file, line, column, text, width if width > 0 else 1)


@dataclass(slots=True, eq=False)
class Node:
    """A YAML value and where it stands."""

    source: Source
    kind: Literal["scalar", "sequence", "mapping"]
    line: int
    column: int
    width: int
    #: The plain value: text, number, boolean, None, list or dict (keys are texts).
    value: Any
    #: The text of a scalar before it was typed.
    raw: str = ""
    #: The quote or block sign of a scalar (`'`, `"`, `|`, `>`), None for a plain one.
    style: str | None = None
    #: The line after which a scalar ends.
    end_line: int = 0
    items: list[Node] = field(default_factory=list)
    #: Key → the key's node and the value's node.
    entries: dict[str, tuple[Node, Node]] = field(default_factory=dict)
    #: Nodes below and including this one, every alias expanded.
    size: int = 1

    @property
    def place(self) -> Place:
        """Where it stands."""
        return self.source.place(self.line, self.column, self.width)

    def get(self, key: str) -> Node | None:
        """The value of a key; None when it is missing or null ("not said")."""
        entry = self.entries.get(key)
        return entry[1] if entry is not None and entry[1].value is not None else None

    def key_place(self, key: str) -> Place:
        """Where the key stands; the mapping's place when there is no such key."""
        entry = self.entries.get(key)
        return entry[0].place if entry is not None else self.place
