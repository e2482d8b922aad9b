"""What the YAML files declare, merged and checked but not yet expanded: the reader's answer, the expander's input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kling_render.errors import Place
from kling_render.shotlist.records import Budget, Character, Motion, Orientation, WatchAllowance

if TYPE_CHECKING:
    from kling_render.shotlist.tree import Node

Step = str | int
"""A field's name, or an index."""


@dataclass(frozen=True, slots=True)
class Template:
    """A Jinja2 text and the places of its lines, for errors inside it."""

    text: str
    #: Display name of the file it stands in.
    file: str
    #: The file itself when the template is a file of its own (prompt_file); None for an inline text.
    path: Path | None
    #: The place of the first character of each line of `text`. For texts whose lines cannot be mapped (folded
    #: scalars), every line has the place of the scalar.
    lines: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Pattern:
    """An id, a glob or `tag:NAME`, as written."""

    text: str
    place: Place


@dataclass(frozen=True, slots=True)
class AxisValue:
    """One value of a matrix axis: its id (a slug) and the YAML value behind it."""

    id: str
    value: Any
    place: Place


@dataclass(frozen=True, slots=True)
class Axis:
    """A matrix axis, values in the order declared."""

    name: str
    values: tuple[AxisValue, ...]
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class ShotFields:
    """Settings of a shot at one level (defaults, shot, override); None means "not said here"."""

    model: str | None = None
    params: Mapping[str, Any] | None = None
    orientation: Orientation | None = None
    keep_audio: bool | None = None
    takes: int | None = None
    #: An empty text is a prompt too: it beats an inherited one.
    prompt: Template | None = None
    priority: int | None = None
    tags: tuple[str, ...] | None = None
    #: Where each field that is said here stands.
    places: Mapping[str, Place]


@dataclass(frozen=True, slots=True)
class Match:
    """Cells by axis (`character`, `motion`, a matrix axis) → patterns; each axis named must match one of its own."""

    items: tuple[tuple[str, tuple[Pattern, ...]], ...]
    place: Place


@dataclass(frozen=True, slots=True)
class AddedCell:
    """A further cell: one id per axis."""

    items: tuple[tuple[str, Pattern], ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Override:
    """Settings for the cells that match."""

    match: Match
    fields: ShotFields
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class ShotDeclaration:
    """One entry of `shots`."""

    id: str
    place: Place
    #: None: all characters (or motions) of the project.
    characters: tuple[Pattern, ...] | None
    motions: tuple[Pattern, ...] | None
    #: Pairs instead of characters × motions: a character pattern and its motion patterns.
    cast: tuple[tuple[Pattern, tuple[Pattern, ...]], ...] | None
    axes: tuple[Axis, ...]
    #: Groups of axis names that go together, value by value.
    zips: tuple[tuple[Pattern, ...], ...]
    fields: ShotFields
    exclude: tuple[Match, ...]
    add: tuple[AddedCell, ...]
    override: tuple[Override, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputDeclaration:
    """The output folder and the two path templates."""

    dir: str
    dir_place: Place | None
    takes: Template
    final: Template


@dataclass(frozen=True, slots=True)
class Written:
    """The YAML itself, to find out where a value stands."""

    #: The mappings of all files, the shot list's last.
    roots: tuple[Node, ...]
    #: The variables of all files: name → the nodes of name and value.
    variables: Mapping[str, tuple[Node, Node]]

    def entry(self, section: str, id_: str) -> tuple[Node, Node] | None:
        """The nodes of a character or a motion; None for one that only a glob found."""
        for root in self.roots:
            entries = root.get(section)
            if entries is not None and id_ in entries.entries:
                return entries.entries[id_]
        return None


def reached(nodes: tuple[Node, Node], path: Sequence[Step]) -> tuple[Place, int]:
    """Where the value at a path stands, or what of the path is written down; and how many steps of it that are.

    Args:
        nodes: where the path begins: a name and its value.
        path: from there on.
    """
    named, node = nodes
    for taken, step in enumerate(path):
        if node.kind == "mapping" and step in node.entries:
            named, node = node.entries[str(step)]
        elif node.kind == "sequence" and isinstance(step, int) and -len(node.items) <= step < len(node.items):
            named = node = node.items[step]
        else:
            return named.place, taken
    return named.place, len(path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Declarations:
    """A whole project as declared."""

    name: str
    folder: Path
    provider: str
    vars: Mapping[str, Any]
    defaults: ShotFields
    characters: Mapping[str, Character]
    motions: Mapping[str, Motion]
    shots: tuple[ShotDeclaration, ...]
    output: OutputDeclaration
    budget: Budget
    watch: WatchAllowance
    #: Text files read so far (shot list, imports, prompt files), absolute.
    sources: tuple[Path, ...]
    #: Where values stand; None for declarations that nobody wrote.
    written: Written | None = None
