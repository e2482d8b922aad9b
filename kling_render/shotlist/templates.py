"""Templates of a project: compiled once, rendered for every job, their errors told at their place in the file.

Plain texts and templates that only print names and fields (`{{ character.name }} in {{ place }}`) are rendered
here; only the others load Jinja2. Both ways give the same text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kling_render.errors import Place
from kling_render.ports import ProjectFiles
from kling_render.shotlist.declarations import Template
from kling_render.shotlist.reports import Report
from kling_render.shotlist.template_names import MAPPING_METHODS, SCALARS, Entity

if TYPE_CHECKING:
    from kling_render.shotlist.template_runs import JinjaTemplate, JinjaTemplates

_PRINTED = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)\s*\}\}", re.ASCII)
_OPENING = re.compile(r"\{[{%#]")
_NEWLINE = re.compile(r"\r\n|\r|\n")
_WORDS = frozenset({"true", "false", "none", "True", "False", "None", "not", "and", "or", "in", "is", "if", "else"})
_LARGEST = 16_384

Part = str | tuple[str, ...]


def plain_parts(text: str) -> list[Part] | None:
    """Texts and dotted names in turn, when the template has nothing else; None when it needs Jinja2."""
    text = _NEWLINE.sub("\n", text).removesuffix("\n")
    parts: list[Part] = []
    pieces = _PRINTED.split(text)
    for i, piece in enumerate(pieces):
        if i % 2 == 0:
            if _OPENING.search(piece) or (piece.endswith("{") and i + 1 < len(pieces)):
                return None
            parts.append(piece)
            continue
        names = tuple(piece.split("."))
        if names[0] in _WORDS or any(name in MAPPING_METHODS or name.startswith("__") for name in names):
            return None
        parts.append(names)
    return parts


def print_plainly(parts: list[Part], names: Mapping[str, Any]) -> str | None:
    """The text of plain parts; None when a name is missing or has no plain text (Jinja2 says what is wrong)."""
    printed: list[str] = []
    for part in parts:
        if type(part) is str:
            printed.append(part)
            continue
        try:
            value = names[part[0]]
            for name in part[1:]:
                value = value.fields[name] if type(value) is Entity else _item(value, name)
        except KeyError:
            return None
        if type(value) not in SCALARS:
            return None
        printed.append(str(value))
    text = "".join(printed)
    return text if len(text) <= _LARGEST else None


def _item(value: Any, name: str) -> Any:
    if type(value) is dict:
        return value[name]
    raise KeyError(name)


@dataclass(slots=True)
class Prepared:
    """A template of the project, ready to be rendered."""

    template: Template
    owner: Templates
    #: None: Jinja2 renders it.
    parts: list[Part] | None
    compiled: JinjaTemplate | None = None
    #: It cannot be used, or goes on for ever: it is not tried again.
    broken: bool = False
    #: Codes of problems of its results that were reported already.
    said: set[str] = field(default_factory=set)

    def reads(self, name: str) -> bool:
        """Whether the name may play a part in the result."""
        if self.parts is not None:
            return any(type(part) is tuple and part[0] == name for part in self.parts)
        compiled = self.owner.compiled(self)
        return compiled is None or compiled.outline.includes or name in compiled.outline.reads

    @property
    def place(self) -> Place | None:
        """Where the template begins."""
        return self.template.lines[0] if self.template.lines else None

    def render(self, names: dict[str, Any]) -> str | None:
        """The text; None when it cannot be made, which is reported."""
        if self.parts is not None:
            text = print_plainly(self.parts, names)
            if text is not None:
                return text
        if self.broken:
            return None
        compiled = self.owner.compiled(self)
        return None if compiled is None else compiled.render(names)


@dataclass(slots=True)
class Templates:
    """All templates of one project."""

    folder: Path
    files: ProjectFiles
    shown: Callable[[Path], str]
    report: Report
    #: Files that templates included, in the order first read.
    sources: dict[Path, None] = field(default_factory=dict)
    _prepared: dict[tuple[object, ...], Prepared] = field(default_factory=dict)
    _jinja: JinjaTemplates | None = None

    def prepare(self, template: Template) -> Prepared:
        """The template, compiled when it is first needed."""
        key = (template.text, template.path, template.file, template.lines[:1])
        prepared = self._prepared.get(key)
        if prepared is None:
            prepared = self._prepared[key] = Prepared(template, self, plain_parts(template.text))
        return prepared

    def compiled(self, prepared: Prepared) -> JinjaTemplate | None:
        """The Jinja2 form of a template; None when it is broken, which is reported once."""
        if prepared.compiled is None and not prepared.broken:
            if self._jinja is None:
                from kling_render.shotlist.template_runs import JinjaTemplates

                self._jinja = JinjaTemplates(self.folder, self.files, self.shown, self.report, self.sources)
            prepared.compiled = self._jinja.compile(prepared)
        return prepared.compiled
