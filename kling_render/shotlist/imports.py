"""The files of a shot list: the list itself and what it imports, each once, with what it refers to.

=======  ===========================================================
KR0108   the file is not a mapping
KR0114   two files that do not import each other set the same thing
KR0115   files that import each other in a circle
KR0116   a file cannot be read
=======  ===========================================================
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from kling_render.errors import Place
from kling_render.shotlist import nodes
from kling_render.shotlist.builder import MAX_DEPTH
from kling_render.shotlist.cast import twice
from kling_render.shotlist.explain import described, problems_of, quoted
from kling_render.shotlist.fields import listed
from kling_render.shotlist.inputs import Inputs
from kling_render.shotlist.schema import file_schema
from kling_render.shotlist.syntax import MAX_BYTES
from kling_render.shotlist.tree import Node

MAX_FILES = 200
#: Settings that a file may set instead of what it imports, though two names stand for one.
_GROUPS = {"prompt_file": "prompt", "character_orientation": "orientation"}


@dataclass(slots=True)
class File:
    """One parsed and checked file, and all files below it."""

    root: Node
    below: set[Path] = field(default_factory=set)


@dataclass(slots=True)
class Files:
    """All files: imports before the files that import them, the shot list last."""

    inputs: Inputs
    loaded: dict[Path, File] = field(default_factory=dict)
    #: Whether a file is missing from it, after a report.
    incomplete: bool = False
    #: The chain of imports that is being followed.
    _open: list[Path] = field(default_factory=list)

    @property
    def roots(self) -> list[Node]:
        """The mappings of all files."""
        return [file.root for file in self.loaded.values()]

    def load(self, data: bytes, path: Path, shown: str) -> File | None:
        """Parse a file and everything it imports."""
        root, found = nodes.parse(data, shown, path)
        problems = self.inputs.problems
        problems.found += found
        if root is not None and root.kind != "mapping":
            text = f"expected a mapping with 'shots', got {described(root)}"
            problems.error("KR0108", text, root.place, help="a shot list begins with 'version: 1'")
            root = None
        if root is None:
            self.incomplete = True
            return None
        problems.found += problems_of(root, file_schema())
        file = File(root)
        self._open.append(path)
        for node in listed(root.get("imports")):
            if isinstance(node.value, str):
                self._import(node, file)
        self._open.pop()
        self.loaded[path] = file
        return file

    def _import(self, node: Node, importer: File) -> None:
        path = self.inputs.regular_file(node)
        if path is None:
            self.incomplete = True
            return
        if path in self._open:
            chain = [self.inputs.shown(step) for step in [*self._open[self._open.index(path) :], path]]
            text = "these files import each other in a circle: " + " → ".join(chain)
            self.inputs.problems.error("KR0115", text, node.place, help="remove one of the imports")
            return
        if path not in self.loaded:
            self._read(path, node)
        file = self.loaded.get(path)
        if file is not None:
            importer.below |= {path, *file.below}

    def _read(self, path: Path, node: Node) -> None:
        problems = self.inputs.problems
        if len(self.loaded) + len(self._open) >= MAX_FILES or len(self._open) >= MAX_DEPTH:
            text = f"too many imports (at most {MAX_FILES} files, {MAX_DEPTH} deep)"
            problems.error("KR0103", text, node.place)
            return
        try:
            data = self.inputs.files.read_text_bytes(path, MAX_BYTES)
        except OSError as fault:
            text = f"cannot read {quoted(node.value)}: {fault.strerror or fault}"
            problems.error("KR0116", text, node.place)
            self.incomplete = True
            return
        self.inputs.sources.append(path)
        self.load(data, path, self.inputs.shown(path))

    def settings(self, section: str | None) -> dict[str, tuple[Node, Node]]:
        """The entries of a section of all files (None: of the files themselves).

        What a file sets beats what it imports; two files of which none imports the other must not set the same.
        """
        found: dict[str, tuple[Path, dict[str, tuple[Node, Node]]]] = {}
        for path, file in self.loaded.items():
            inner = file.root if section is None else file.root.get(section)
            if inner is None or inner.kind != "mapping":
                continue
            groups: dict[str, dict[str, tuple[Node, Node]]] = {}
            for key, entry in inner.entries.items():
                if entry[1].value is not None:
                    groups.setdefault(_GROUPS.get(key, key), {})[key] = entry
            for group, entries in groups.items():
                self._settle(section, group, (path, entries), found.get(group), file)
                found[group] = (path, entries)
        return {key: entry for _, entries in found.values() for key, entry in entries.items()}

    def _settle(
        self,
        section: str | None,
        name: str,
        now: tuple[Path, dict[str, tuple[Node, Node]]],
        before: tuple[Path, dict[str, tuple[Node, Node]]] | None,
        file: File,
    ) -> None:
        if section is None and name not in ("project", "provider"):
            return
        if before is None or before[0] in file.below:
            return
        what = quoted(name if section is None else f"{section}.{name}")
        twice(self.inputs.problems, what, _first_place(before[1]), _first_place(now[1]))


def _first_place(entries: dict[str, tuple[Node, Node]]) -> Place:
    return next(iter(entries.values()))[0].place
