"""From the cells of one shot to its jobs: settings, ids, prompts and paths."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kling_render.models import PROMPT_LIMIT
from kling_render.shotlist.cells import Cell, Point
from kling_render.shotlist.declarations import Declarations, ShotDeclaration, ShotFields, Template
from kling_render.shotlist.paths import PathProblem, check_path
from kling_render.shotlist.records import Job, Request
from kling_render.shotlist.reports import Report
from kling_render.shotlist.row_texts import RowTexts
from kling_render.shotlist.rules import Rule, known_ids, report_unused, rule_of
from kling_render.shotlist.settings import Settings, axis_fields, resolve
from kling_render.shotlist.template_names import Entity, Take, character_entity, motion_entity, shot_entity, thawed
from kling_render.shotlist.templates import Prepared, Templates

_FIRST = Take(1)
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(slots=True)
class Cast:
    """What all shots' templates share."""

    declared: Declarations
    characters: dict[str, Entity]
    motions: dict[str, Entity]
    vars: dict[str, Any]

    @classmethod
    def of(cls, declared: Declarations) -> Cast:
        """The entities and variables of a project."""
        return cls(
            declared,
            {i: character_entity(character) for i, character in declared.characters.items()},
            {i: motion_entity(motion) for i, motion in declared.motions.items()},
            thawed(declared.vars),
        )


def settle(
    shot: ShotDeclaration, cells: Sequence[Cell], cast: Cast, report: Report, of_rules: Report
) -> list[tuple[Cell, Settings]]:
    """The settings of every cell; cells whose settings are wrong are left out (which is reported).

    Overrides that match nothing are reported to `of_rules`.
    """
    declared = cast.declared
    rules = _override_rules(shot, cells, declared, of_rules) if shot.override else []
    layers: dict[Point, ShotFields] = {}
    resolved: dict[tuple[Point, tuple[int, ...]], Settings | None] = {}
    settled: list[tuple[Cell, Settings]] = []
    for cell in cells:
        hits = _hits(rules, cell)
        key = (cell.point, hits)
        if key not in resolved:
            if cell.point not in layers:
                layers[cell.point] = axis_fields(cell.point, shot.axes, report)
            overrides = [shot.override[i].fields for i in hits]
            said = [declared.defaults, shot.fields, layers[cell.point], *overrides]
            resolved[key] = resolve(said, shot.place, report)
        settings = resolved[key]
        if settings is not None:
            settled.append((cell, settings))
    used = {i for _, hits in resolved for i in hits}
    for i, (override, rule) in enumerate(zip(shot.override, rules, strict=True)):
        if rule.complete and i not in used:
            report_unused(override.match, shot.id, "override", of_rules)
    return settled


def _override_rules(shot: ShotDeclaration, cells: Sequence[Cell], declared: Declarations, report: Report) -> list[Rule]:
    characters = dict.fromkeys(cell.character for cell in cells)
    motions = dict.fromkeys(cell.motion for cell in cells)
    known = known_ids(shot.axes, (declared.characters[i] for i in characters), (declared.motions[i] for i in motions))
    return [rule_of(override.match, shot.axes, known, report) for override in shot.override]


def _hits(rules: Sequence[Rule], cell: Cell) -> tuple[int, ...]:
    if not rules:
        return ()
    key = cell.key
    return tuple(i for i, rule in enumerate(rules) if rule.matches(key))


@dataclass(slots=True)
class PointNames:
    """What templates see at one point. Each cell puts its own names in."""

    suffix: str
    values: tuple[tuple[str, str], ...]
    prompt: dict[str, Any]
    take: dict[str, Any]
    final: dict[str, Any]

    def set(self, name: str, value: Any) -> None:
        """Put a name of the cell in for all its templates."""
        self.prompt[name] = self.take[name] = self.final[name] = value


def point_names(shot: ShotDeclaration, cast: Cast, point: Point) -> PointNames:
    """The names of a point, without its cells'."""
    joined = ".".join(point.ids)
    tags = shot.fields.tags if shot.fields.tags is not None else cast.declared.defaults.tags or ()
    every = cast.vars | {"vars": cast.vars}
    fixed = {
        "shot": shot_entity(shot.id, tags, shot.place),
        "variant": f"_{joined}" if joined else "",
    }
    values = {axis.name: _shown(value.value) for axis, value in zip(shot.axes, point.values, strict=True)}
    ids = dict(zip(values, point.ids, strict=True))
    suffix = f"/{joined}" if joined else ""
    of_paths = every | ids | fixed
    return PointNames(suffix, tuple(ids.items()), every | values | fixed, dict(of_paths), of_paths)


class ShotJobs:
    """Makes the jobs of one shot."""

    def __init__(self, shot: ShotDeclaration, cast: Cast, templates: Templates, report: Report) -> None:
        self._shot = shot
        self._cast = cast
        self._templates = templates
        self._report = report
        self._takes = RowTexts(templates.prepare(cast.declared.output.takes))
        self._final = RowTexts(templates.prepare(cast.declared.output.final))
        self._points: dict[Point, PointNames] = {}
        #: By identity of the template, which the declarations keep alive.
        self._prompts: dict[int, tuple[RowTexts, bool]] = {}

    def jobs_of(self, cell: Cell, settings: Settings) -> list[Job]:
        """The jobs of one cell, one per take; takes whose prompt or path cannot be made are left out (reported)."""
        names = self._points.get(cell.point)
        if names is None:
            names = self._points[cell.point] = point_names(self._shot, self._cast, cell.point)
        names.set("character", self._cast.characters[cell.character])
        names.set("motion", self._cast.motions[cell.motion])
        cell_id = f"{self._shot.id}/{cell.character}/{cell.motion}{names.suffix}"
        final = self._path(self._final, cell, 1, names.final, cell_id)
        texts, by_take = self._prompt_texts(settings.prompt) if settings.prompt is not None else (None, False)
        prompt: str | None = ""
        if texts is not None and not by_take:
            names.prompt["take"] = _FIRST
            prompt = self._prompt(texts, cell, 1, names.prompt, cell_id)
        jobs = []
        trim_places = self._cast.declared.motions[cell.motion].trim_places
        for number in range(1, settings.takes + 1):
            job_id = f"{cell_id}/t{number:02d}"
            names.prompt["take"] = names.take["take"] = _FIRST if number == 1 else Take(number)
            if texts is not None and by_take:
                prompt = self._prompt(texts, cell, number, names.prompt, job_id)
            output = self._path(self._takes, cell, number, names.take, job_id)
            if prompt is None or output is None or final is None:
                continue
            job = Job(
                id=job_id,
                shot=self._shot.id,
                character=cell.character,
                motion=cell.motion,
                take=number,
                values=names.values,
                request=self._request(cell, settings, prompt, number),
                output=output,
                final=final,
                priority=settings.priority,
                tags=settings.tags,
                place=self._shot.place,
                prompt_place=None if texts is None else texts.prepared.place,
                settings=settings,
                trim_places=trim_places,
            )
            jobs.append(job)
        return jobs

    def _request(self, cell: Cell, settings: Settings, prompt: str, take: int) -> Request:
        motion = self._cast.declared.motions[cell.motion]
        return Request(
            model=settings.model,
            image=self._cast.declared.characters[cell.character].image,
            video=motion.video,
            start=motion.start,
            end=motion.end,
            prompt=prompt,
            orientation=settings.orientation,
            keep_audio=settings.keep_audio,
            params=settings.params,
            take=take,
        )

    def _prompt_texts(self, template: Template) -> tuple[RowTexts, bool]:
        """A prompt's template, and whether its text may differ between the takes of a cell."""
        found = self._prompts.get(id(template))
        if found is None:
            prepared = self._templates.prepare(template)
            found = self._prompts[id(template)] = (RowTexts(prepared), prepared.reads("take"))
        return found

    def _prompt(self, texts: RowTexts, cell: Cell, take: int, names: dict[str, Any], job_id: str) -> str | None:
        text = texts.text(cell, take, names)
        if text is None:
            return None
        text = text.strip()
        if text and len(text) <= PROMPT_LIMIT and text.isprintable():
            return text
        prepared = texts.prepared
        if not text and prepared.template.text:
            message = f"the prompt of {job_id} is blank"
            self._once(prepared, "KR0405", message, 'write "" if no prompt is meant', warning=True)
        if len(text) > PROMPT_LIMIT:
            message = f"the prompt of {job_id} is {len(text):,} characters long (limit {PROMPT_LIMIT:,})"
            self._once(prepared, "KR0407", message, "shorten the template or its variables")
        control = _CONTROL.search(text)
        if control:
            before = text[max(0, control.start() - 20) : control.start()].rpartition("\n")[2]
            after = f" after '{before}'" if before.strip() else ""
            message = f"the prompt of {job_id} contains the control character U+{ord(control[0]):04X}{after}"
            hint = (
                "remove it from the prompt, or from the field or variable it comes from; line breaks and tabs are fine"
            )
            self._once(prepared, "KR0406", message, hint)
        return text

    def _once(self, prepared: Prepared, code: str, message: str, hint: str, *, warning: bool = False) -> None:
        """Say one problem of a template once, for the first job that shows it."""
        if code in prepared.said:
            return
        prepared.said.add(code)
        say = self._report.warning if warning else self._report.error
        say(code, message, prepared.place or self._shot.place, help=hint)

    def _path(self, texts: RowTexts, cell: Cell, take: int, names: dict[str, Any], name: str) -> str | None:
        text = texts.text(cell, take, names)
        if text is None:
            return None
        path = check_path(text)
        if isinstance(path, PathProblem):
            shown = text if len(text) <= 80 else f"{text[:80]}…"
            message = f"output path '{shown}' of {name}: {path.message}"
            self._once(texts.prepared, path.code, message, path.help)
            return None
        return path


def _shown(value: Any) -> Any:
    """An axis' value as templates see it; a prompt is its text."""
    return value.text if isinstance(value, Template) else thawed(value)
