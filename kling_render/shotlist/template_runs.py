"""Templates that need Jinja2: the files they include, and their faults as diagnostics with a place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import jinja2

from kling_render.errors import Place, did_you_mean
from kling_render.ports import ProjectFiles
from kling_render.shotlist.environment import (
    LARGEST_SOURCE,
    MeteredEnvironment,
    TemplateFaults,
    UnknownNameError,
)
from kling_render.shotlist.metering import TemplateFault, name_of, too_large
from kling_render.shotlist.reports import Report, listed
from kling_render.shotlist.sandboxing import Outline, too_deep
from kling_render.shotlist.template_grammar import SYNTAX_HELP, syntax_message
from kling_render.shotlist.template_names import Entity
from kling_render.shotlist.template_places import Spot, lines_of, place_in_file, place_in_template, spot_of
from kling_render.shotlist.templates import Prepared

#: Faults that every rendering would meet again.
_LASTING = frozenset({"KR0201", "KR0202", "KR0203", "KR0110", "KR0401", "KR0402", "KR0403"})
#: A template that misses a field of 1,000 characters is told about some of them.
_MOST_TOLD = 20
_MOST_UNKNOWN = 200


@dataclass(slots=True)
class JinjaTemplate:
    """One compiled template of the project."""

    prepared: Prepared
    owner: JinjaTemplates
    template: jinja2.Template
    outline: Outline
    guarded: frozenset[str]
    #: Names and fields already reported as undefined.
    told: set[tuple[object, ...]] = field(default_factory=set)

    def render(self, names: dict[str, Any]) -> str | None:
        """The text; None when a fault was met, which is reported."""
        try:
            return self.owner.environment.run(self.template, names)
        except UnknownNameError as error:
            self.owner.report_unknown(self, error, names)
        except TemplateFault as fault:
            self.owner.report_fault(self.prepared, fault, fault.__traceback__)
        except TemplateFaults as faults:
            for each in faults.faults:
                self.owner.report_fault(self.prepared, each, faults.__traceback__)
        except jinja2.TemplateNotFound as error:
            message = f"no such file: {error.name}"
            hint = "the path is relative to the template's folder or the project's"
            self.owner.report_fault(
                self.prepared, TemplateFault("KR0201", message, help=hint, needle=str(error.name)), error.__traceback__
            )
        except RecursionError as error:
            self.owner.report_fault(self.prepared, too_deep(), error.__traceback__)
        except MemoryError as error:
            self.owner.report_fault(self.prepared, too_large("a value that is too large"), error.__traceback__)
        except Exception as error:  # whatever a template's expression raises is the template's fault
            message = f"the template fails: {error}" if str(error) else f"the template fails ({type(error).__name__})"
            hint = "correct the expression, or the values that it uses"
            self.owner.report_fault(self.prepared, TemplateFault("KR0408", message, help=hint), error.__traceback__)
        return None


class JinjaTemplates:
    """The environment of one project's templates."""

    def __init__(
        self,
        folder: Path,
        files: ProjectFiles,
        shown: Callable[[Path], str],
        report: Report,
        sources: dict[Path, None],
        *,
        environment: Callable[[Callable[[str, str], tuple[str, str]]], MeteredEnvironment] = MeteredEnvironment,
    ) -> None:
        self.environment = environment(self._load)
        self._folder = folder
        self._files = files
        self._shown = shown
        self._report = report
        self._sources = sources
        #: The internal names of templates that are not included, and the folders of their files.
        self._folders: dict[str, Path | None] = {}
        self._compiled: dict[tuple[str, Path | None], tuple[jinja2.Template, Outline, frozenset[str]]] = {}
        self._unknown = 0
        self._texts: dict[str, str] = {}

    def compile(self, prepared: Prepared) -> JinjaTemplate | None:
        """Compile a template; None when it has faults, which are reported. Equal texts are compiled once."""
        path = prepared.template.path
        key = (prepared.template.text, path and path.parent)
        try:
            if key not in self._compiled:
                name = f"<{len(self._folders)}>"
                self._folders[name] = path and path.parent
                self._compiled[key] = self.environment.prepare(prepared.template.text, name)
        except TemplateFaults as faults:
            for fault in faults.faults:
                self.report_fault(prepared, fault, None)
            prepared.broken = True
            return None
        return JinjaTemplate(prepared, self, *self._compiled[key])

    def _load(self, name: str, parent: str) -> tuple[str, str]:
        """An included file: looked for beside the including file, then in the project folder."""
        beside = self._folders[parent] if parent in self._folders else Path(parent).parent
        path = self._find(name, [folder for folder in (beside, self._folder) if folder is not None])
        source = str(path)
        if source not in self._texts:
            self._texts[source] = self._read(path, name)
            self._sources[path] = None
        return source, self._texts[source]

    def _find(self, name: str, folders: list[Path]) -> Path:
        if "\0" in name or "\\" in name or not name:
            raise TemplateFault("KR0201", f"{name!r} is not a path", help="write paths with '/'")
        root = self._files.resolve(self._folder)
        outside = None
        for folder in folders:
            path = self._files.resolve(folder / name)
            if not path.is_relative_to(root):
                outside = outside or path
            elif (kind := self._files.kind(path)) == "file":
                return path
            elif kind != "missing":
                raise TemplateFault("KR0202", f"not a regular file: {name}", help="name a text file", needle=name)
        if outside is not None:
            message = f"the template '{name}' lies outside the project"
            raise TemplateFault("KR0203", message, help="templates may include files of the project only", needle=name)
        raise jinja2.TemplateNotFound(name)

    def _read(self, path: Path, name: str) -> str:
        try:
            data = self._files.read_text_bytes(path, 4 * LARGEST_SOURCE)
        except OSError as error:
            message = f"cannot read {name}: {error.strerror or error}"
            raise TemplateFault("KR0202", message, help="check its permissions", needle=name) from error
        try:
            return data[: 4 * LARGEST_SOURCE + 1].decode("utf-8-sig")
        except UnicodeDecodeError as error:
            message = f"{name} is not UTF-8 at byte {error.start}"
            raise TemplateFault("KR0110", message, help="save it as UTF-8", needle=name) from error

    # -- faults

    def report_fault(self, prepared: Prepared, fault: TemplateFault, trace: TracebackType | None) -> None:
        """Report a fault where it stands in the template, or in a file that the template includes."""
        prepared.broken = prepared.broken or fault.code in _LASTING
        source, line = (fault.source, fault.line) if fault.source else _position(trace)
        message, hint, offset = fault.message, fault.help, None
        if fault.code == "KR0401":
            message, fault.needle, offset = syntax_message(message)
            hint = SYNTAX_HELP
        place = self._place(prepared, source, line, Spot(fault.needle, offset=offset))
        self._report.error(fault.code, message, place, help=hint)

    def report_unknown(self, compiled: JinjaTemplate, error: UnknownNameError, names: dict[str, Any]) -> None:
        """Report an undefined name or field, and every other name of the template that is not defined either."""
        owner = error.owner
        what = (owner.kind, str(owner)) if isinstance(owner, Entity) else (type(owner), None)
        key = (what, str(error.name), names["shot"] if owner is None else None)
        if key in compiled.told or len(compiled.told) >= _MOST_TOLD or self._unknown >= _MOST_UNKNOWN:
            return
        compiled.told.add(key)
        self._unknown += 1
        source, line = _position(error.__traceback__)
        place = self._place(compiled.prepared, source, line, Spot(str(error.name), field=owner is not None))
        message, hint = _unknown(error, names)
        related = [(f"the {owner.kind} is declared here", owner.place)] if isinstance(owner, Entity) else []
        self._report.error("KR0404", message, place, help=hint, related=related)
        if not compiled.outline.includes:
            self._report_others(compiled, names)

    def _report_others(self, compiled: JinjaTemplate, names: dict[str, Any]) -> None:
        for name, line in compiled.outline.reads.items():
            key = ((type(None), None), name, names["shot"])
            known = name in names or name in compiled.guarded or key in compiled.told
            if known or len(compiled.told) >= _MOST_TOLD:
                continue
            compiled.told.add(key)
            place = self._place(compiled.prepared, "", line, Spot(name))
            message, hint = _unknown(UnknownNameError("", None, name), names)
            self._report.error("KR0404", message, place, help=hint)

    def _place(self, prepared: Prepared, source: str, line: int, spot: Spot) -> Place | None:
        if source in self._texts:
            lines = lines_of(self._texts[source])
            return place_in_file(self._shown(Path(source)), lines, spot_of(lines, line, spot))
        template = prepared.template
        return place_in_template(template, spot_of(lines_of(template.text), line, spot))


def _position(trace: TracebackType | None) -> tuple[str, int]:
    """The innermost template in a traceback, and the line in it."""
    found = ("", 1)
    while trace is not None:
        template = trace.tb_frame.f_globals.get("__jinja_template__")
        if template is not None:
            found = (template.name or "", template.get_corresponding_lineno(trace.tb_lineno))
        trace = trace.tb_next
    return found


def _unknown(error: UnknownNameError, names: dict[str, Any]) -> tuple[str, str]:
    owner, name = error.owner, str(error.name)
    if owner is None:
        if error.name is None or (str(error) and "is undefined" not in str(error)):
            return str(error), ""
        message = f"'{name}' is undefined{did_you_mean(name, names)}"
        return message, f"defined in the shot '{names['shot']}': {listed(sorted(names), 40)}"
    if isinstance(owner, Entity):
        message = f"the {owner.kind} '{owner}' has no field '{name}'{did_you_mean(name, owner.fields)}"
        return message, f"it has: {listed(sorted(owner.fields), 40)}; add the field, or write | default('…')"
    known = [str(key) for key in owner] if isinstance(owner, dict) else []
    message = f"{name_of(owner)} has no '{name}'{did_you_mean(name, known)}"
    return message, f"it has: {listed(known)}" if known else "correct the name, or write | default('…')"
