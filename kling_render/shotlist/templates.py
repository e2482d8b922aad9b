"""Templates of a project: compiled once, rendered for every job, their errors told at their place in the file.

Plain texts and templates that only print names and fields (`{{ character.name }} in {{ place }}`) are rendered
here; only the others load Jinja2. Both ways give the same text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
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
LARGEST = 16_384
"""Characters of a text that is rendered here; Jinja2 says that a larger one is too large."""

Printed = tuple[str, tuple[str, ...]]
"""A printed name and the fields after it."""


@dataclass(frozen=True, slots=True)
class Plain:
    """A template of texts and dotted names only."""

    #: The texts, with `%s` where a name is printed.
    form: str
    printed: tuple[Printed, ...]
    #: The same texts one by one: before, between and after the names.
    texts: tuple[str, ...] = ()


def plain(text: str) -> Plain | None:
    """The template as a plain one; None when it needs Jinja2."""
    text = _NEWLINE.sub("\n", text).removesuffix("\n")
    pieces = _PRINTED.split(text)
    texts = pieces[::2]
    if any(_OPENING.search(piece) for piece in texts) or any(piece.endswith("{") for piece in texts[:-1]):
        return None
    printed = [tuple(piece.split(".")) for piece in pieces[1::2]]
    for names in printed:
        if names[0] in _WORDS or any(name in MAPPING_METHODS or name.startswith("__") for name in names):
            return None
    form = "%s".join(piece.replace("%", "%%") for piece in texts)
    return Plain(form, tuple((names[0], names[1:]) for names in printed), tuple(texts))


def print_plainly(template: Plain, names: Mapping[str, Any]) -> str | None:
    """The text of a plain template; None when a name is missing or has no plain text (Jinja2 says what is wrong)."""
    values = printed_values(template.printed, names)
    if values is None:
        return None
    text = template.form % values
    return text if len(text) <= LARGEST else None


def printed_values(printed: Iterable[Printed], names: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The texts of printed names; None when one is missing or has no plain text."""
    values: list[str] = []
    try:
        for name, fields in printed:
            value = names[name]
            for each in fields:
                value = value.fields[each] if type(value) is Entity else _item(value, each)
            if type(value) not in SCALARS:
                return None
            values.append(str(value))
    except KeyError:
        return None
    return tuple(values)


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
    plain: Plain | None
    compiled: JinjaTemplate | None = None
    #: It cannot be used, or goes on for ever: it is not tried again.
    broken: bool = False
    #: Codes of problems of its results that were reported already.
    said: set[str] = field(default_factory=set)

    def reads(self, name: str) -> bool:
        """Whether the name may play a part in the result."""
        if self.plain is not None:
            return any(printed == name for printed, _ in self.plain.printed)
        compiled = self.owner.compiled(self)
        return compiled is None or compiled.outline.includes or name in compiled.outline.reads

    @property
    def place(self) -> Place | None:
        """Where the template begins."""
        return self.template.lines[0] if self.template.lines else None

    def render(self, names: dict[str, Any]) -> str | None:
        """The text; None when it cannot be made, which is reported."""
        if self.plain is not None:
            text = print_plainly(self.plain, names)
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
    #: By identity; a prepared template keeps its template alive.
    _prepared: dict[int, Prepared] = field(default_factory=dict)
    _plain: dict[str, Plain | None] = field(default_factory=dict)
    _jinja: JinjaTemplates | None = None

    def prepare(self, template: Template) -> Prepared:
        """The template, compiled when it is first needed."""
        prepared = self._prepared.get(id(template))
        if prepared is None:
            if template.text not in self._plain:
                self._plain[template.text] = plain(template.text)
            prepared = Prepared(template, self, self._plain[template.text])
            self._prepared[id(template)] = prepared
        return prepared

    def compiled(self, prepared: Prepared) -> JinjaTemplate | None:
        """The Jinja2 form of a template; None when it is broken, which is reported once."""
        if prepared.compiled is None and not prepared.broken:
            if self._jinja is None:
                from kling_render.shotlist.template_runs import JinjaTemplates

                self._jinja = JinjaTemplates(self.folder, self.files, self.shown, self.report, self.sources)
            prepared.compiled = self._jinja.compile(prepared)
        return prepared.compiled
