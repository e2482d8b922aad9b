"""What a prompt is made of: its text in pieces, each from a line of a template or from values of the shot list.

Asked for the prompts that changed, when somebody wants to know which edit did it. Nothing here runs before that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kling_render.errors import Place
from kling_render.ports import ProjectFiles
from kling_render.shotlist.cells import Point
from kling_render.shotlist.declarations import Declarations, ShotDeclaration, Step, Template, reached
from kling_render.shotlist.jobs import Cast, PointNames, point_names
from kling_render.shotlist.records import Job
from kling_render.shotlist.reports import Report
from kling_render.shotlist.template_names import Entity, Take
from kling_render.shotlist.templates import Plain, Printed, Templates, plain, printed_values

if TYPE_CHECKING:
    from kling_render.shotlist.template_tracing import TracedTemplates

_NUMBERS = frozenset({"take", "variant"})
"""Names that no edit gives another value in the same job."""
LINES = re.compile(r"[^\n]*\n|[^\n]+")
"""The lines of a text with their ends."""
NOWHERE = object()
"""Stands for a value that is not there."""


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """A line of a template or a value of the shot list: what an edit changes. There is one object for each."""

    place: Place
    #: `characters.fox.name`, `vars.city`; empty for a line of a template.
    name: str = ""
    #: How templates reach the value.
    path: tuple[Step, ...] = ()
    #: Which jobs can see the value: `("character", "fox")`; empty: all that use the template.
    scope: tuple[str, ...] = ()
    #: The number of the line in its template; 0 for a value.
    line: int = 0
    #: Whether the line is of a file that the template includes.
    included: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What makes a piece of the text: a spot in a template, with the values that stand there in some job."""

    #: The same for the same spot, whatever the job.
    spot: Hashable
    #: Where in a template it stands.
    line: Origin
    #: The values it is made of.
    values: tuple[Origin, ...] = ()
    #: The values that decide whether it is there.
    controls: tuple[Origin, ...] = ()
    #: Whether something else stands there if they decide otherwise.
    either: bool = False
    #: The template's own words, nothing computed.
    literal: bool = False
    #: Of a text that an expression makes of a single value: that value as it is.
    raw: str | None = None


class Pieces(NamedTuple):
    """A prompt, piece by piece; a piece may be empty where something is left out."""

    texts: list[str]
    parts: list[Part]


class PromptOrigins:
    """Says of a project's prompts what they are made of."""

    def __init__(self, declared: Declarations, files: ProjectFiles, shown: Callable[[Path], str]) -> None:
        self.declared = declared
        self.files = files
        self.shown = shown
        self._shots = {shot.id: shot for shot in declared.shots}
        self._points: dict[tuple[str, tuple[tuple[str, str], ...]], PointNames] = {}
        self._origins: dict[Hashable, Origin] = {}
        #: By identity; the declarations keep the templates alive.
        self._plain: dict[tuple[int, str], _PlainPieces | None] = {}

    def pieces(self, job: Job) -> Pieces | None:
        """The pieces of a job's prompt; None when they cannot be told."""
        template = job.settings.prompt if job.settings is not None else None
        if template is None or job.shot not in self._shots:
            return None
        key = (id(template), job.shot)
        if key not in self._plain:
            form = plain(template.text)
            self._plain[key] = None if form is None else _PlainPieces(self, template, form)
        quick = self._plain[key]
        found = quick.pieces(job) if quick is not None else None
        return _stripped(found or self._traced.pieces(job, template), job.request.prompt)

    @cached_property
    def _traced(self) -> TracedTemplates:
        from kling_render.shotlist.template_tracing import TracedTemplates

        return TracedTemplates(self)

    @cached_property
    def cast(self) -> Cast:
        """What all templates share."""
        return Cast.of(self.declared)

    @cached_property
    def templates(self) -> Templates:
        """The project's templates once more; nothing is reported."""
        return Templates(self.declared.folder, self.files, self.shown, Report())

    def names(self, job: Job) -> dict[str, Any]:
        """What the prompt's template sees in a job; good until the next call."""
        key = (job.shot, job.values)
        point = self._points.get(key)
        if point is None:
            shot = self._shots[job.shot]
            ids = tuple(id_ for _, id_ in job.values)
            values = (
                next(value for value in axis.values if value.id == id_)
                for axis, id_ in zip(shot.axes, ids, strict=True)
            )
            point = self._points[key] = point_names(shot, self.cast, Point(tuple(values), ids))
        names = point.prompt
        names["character"] = self.cast.characters[job.character]
        names["motion"] = self.cast.motions[job.motion]
        names["take"] = Take(job.take)
        return names

    def value(self, job: Job, path: tuple[Step, ...]) -> Any:
        """The value that a template reaches in a job by a path; `NOWHERE` if there is none."""
        value: Any = self.names(job).get(str(path[0]), NOWHERE)
        for step in path[1:]:
            if type(value) is Entity:
                value = value.fields.get(str(step), NOWHERE)
            elif type(value) is dict:
                value = value.get(step, NOWHERE)
            elif type(value) is list and isinstance(step, int) and -len(value) <= step < len(value):
                value = value[step]
            else:
                return NOWHERE
        return value

    def axis_value(self, job: Job, axis: str) -> Place | None:
        """Where the value of a job on a matrix axis stands."""
        axes = self._shots[job.shot].axes if job.shot in self._shots else ()
        ids = dict(job.values)
        values = (value for each in axes if each.name == axis for value in each.values)
        return next((value.place for value in values if value.id == ids.get(axis)), None)

    def line(self, template: Template, number: int) -> Origin:
        """A line of a template."""
        key = (id(template), number)
        if key not in self._origins:
            lines = template.lines
            place = lines[min(number, len(lines)) - 1] if lines else Place(template.file, number, 1)
            self._origins[key] = Origin(place, line=number)
        return self._origins[key]

    def included_line(self, path: Path, number: int) -> Origin:
        """A line of a file that a template includes."""
        if (path, number) not in self._origins:
            self._origins[path, number] = Origin(Place(self.shown(path), number, 1), line=number, included=True)
        return self._origins[path, number]

    def origin(self, job: Job, path: tuple[Step, ...]) -> Origin | None:
        """The value behind a path of the template's; None for names that no edit of a value changes."""
        name, rest = str(path[0]), path[1:]
        shot = self._shots[job.shot]
        if name in ("character", "motion"):
            return self._of_cast(job, name, rest)
        if name == "shot":
            return self._of_shot(shot) if rest[:1] == ("tags",) else None
        if name in _NUMBERS:
            return None
        if (place := self.axis_value(job, name)) is not None:
            id_ = dict(job.values)[name]
            return self._known(f"matrix.{name}.{id_}", place, (name,), ("value", name, id_))
        if name == "vars" and rest:
            name, rest = str(rest[0]), rest[1:]
        written = self.declared.written
        if written is None or name not in written.variables:
            return None
        place, taken = reached(written.variables[name], rest)
        return self._known(_dotted("vars", name, *rest[:taken]), place, ("vars", name, *rest[:taken]), ())

    def _of_cast(self, job: Job, kind: str, rest: tuple[Step, ...]) -> Origin | None:
        if not rest or rest[0] == "id":
            return None
        section, id_ = f"{kind}s", job.character if kind == "character" else job.motion
        written = self.declared.written
        nodes = written.entry(section, id_) if written is not None else None
        if nodes is None:
            declared = self.declared.characters[id_] if kind == "character" else self.declared.motions[id_]
            place, taken = declared.place, 0
        else:
            place, taken = reached(nodes, rest)
        rest = rest[: max(taken, 1)]  # a field that is not there may have been, so it has a name all the same
        return self._known(_dotted(section, id_, *rest), place, (kind, *rest), (kind, id_))

    def _of_shot(self, shot: ShotDeclaration) -> Origin:
        place = shot.fields.places.get("tags") or self.declared.defaults.places.get("tags") or shot.place
        return self._known(f"shots.{shot.id}.tags", place, ("shot", "tags"), ("shot", shot.id))

    def _known(self, name: str, place: Place, path: tuple[Step, ...], scope: tuple[str, ...]) -> Origin:
        key = (name, place.file, place.line)
        if key not in self._origins:
            self._origins[key] = Origin(place, name, path, scope)
        return self._origins[key]


def _dotted(*steps: Step) -> str:
    return ".".join(map(str, steps))


def _stripped(pieces: Pieces | None, prompt: str) -> Pieces | None:
    """The pieces without the blanks around the whole; None when they are not the prompt's."""
    if pieces is None:
        return None
    joined = "".join(pieces.texts)
    if joined == prompt:
        return pieces
    if joined.strip() != prompt:
        return None
    texts = list(pieces.texts)
    for order, strip in ((range(len(texts)), str.lstrip), (reversed(range(len(texts))), str.rstrip)):
        for at in order:
            texts[at] = strip(texts[at])
            if texts[at]:
                break
    return Pieces(texts, pieces.parts)


class _PlainPieces:
    """A template of texts and printed names in one shot."""

    def __init__(self, owner: PromptOrigins, template: Template, form: Plain) -> None:
        self._template = template  # which its lines are known by
        self._columns: list[_Literal | _Printed] = []
        number = 1
        for at, text in enumerate(form.texts):
            for line in LINES.findall(text):
                part = Part(len(self._columns), owner.line(template, number), literal=True)
                self._columns.append(_Literal(line, part))
                number += line.endswith("\n")
            if at < len(form.printed):
                printed = form.printed[at]
                self._columns.append(_Printed(printed, len(self._columns), owner.line(template, number), owner))

    def pieces(self, job: Job) -> Pieces | None:
        """The pieces; None when one cannot be printed plainly."""
        texts: list[str] = []
        parts: list[Part] = []
        for column in self._columns:
            found = column if type(column) is _Literal else column.of(job)  # type: ignore[union-attr]
            if found is None:
                return None
            text, part = found
            texts.append(text)
            parts.append(part)
        return Pieces(texts, parts)


class _Literal(NamedTuple):
    text: str
    part: Part


class _Printed:
    """A printed name: its text is looked up once for each character, motion, cell or take."""

    def __init__(self, printed: Printed, spot: int, line: Origin, owner: PromptOrigins) -> None:
        self._printed = printed
        self._spot = spot
        self._line = line
        self._owner = owner
        name = printed[0]
        seen = name if name in ("character", "motion", "take") else "values"
        self._key: Callable[[Job], Hashable] = attrgetter(seen)
        self._known: dict[Hashable, tuple[str, Part] | None] = {}

    def of(self, job: Job) -> tuple[str, Part] | None:
        """Its text in a job."""
        key = self._key(job)
        try:
            return self._known[key]
        except KeyError:
            found = self._known[key] = self._made(job)
            return found

    def _made(self, job: Job) -> tuple[str, Part] | None:
        texts = printed_values([self._printed], self._owner.names(job))
        if texts is None:
            return None
        name, fields = self._printed
        origin = self._owner.origin(job, (name, *fields))
        return texts[0], Part(self._spot, self._line, () if origin is None else (origin,))
