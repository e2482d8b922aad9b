"""Declarations → jobs: the product of every shot, counted first, then rendered and checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from kling_render.errors import Place, in_file_order
from kling_render.ports import ProjectFiles
from kling_render.shotlist.cells import Cell, Survey, survey
from kling_render.shotlist.collisions import check_collisions
from kling_render.shotlist.declarations import Declarations, ShotDeclaration
from kling_render.shotlist.jobs import Cast, ShotJobs, settle
from kling_render.shotlist.nodes import without_gc
from kling_render.shotlist.paths import PathProblem, check_folder
from kling_render.shotlist.records import Compilation, Job, Project, Request
from kling_render.shotlist.reports import Report
from kling_render.shotlist.rules import cells_of, name_place
from kling_render.shotlist.settings import Settings
from kling_render.shotlist.templates import Templates
from kling_render.shotlist.twins import warn_of_idle_axes

if TYPE_CHECKING:
    from kling_render.shotlist.origins import PromptOrigins

#: Cells that `exclude` may still take away are walked up to so many times the limit.
_EXCLUDABLE = 10
#: Comparisons of cells with rules, per job of the limit.
_RULES_PER_JOB = 1_000
PREVIZ = "previz"


def expand(
    declarations: Declarations,
    *,
    files: ProjectFiles,
    shown: Callable[[Path], str],
    max_jobs: int = 100_000,
    provider: str | None = None,
) -> Compilation:
    """All jobs of a project, row by row as declared, or everything that is wrong with it.

    `files` reads templates that prompts include, `shown` gives the display name of a file, and `provider` overrides
    the declared one (it decides the output folder).
    """
    with without_gc():
        return _expand(declarations, files, shown, max_jobs, provider or declarations.provider)


def _expand(
    declarations: Declarations, files: ProjectFiles, shown: Callable[[Path], str], max_jobs: int, provider: str
) -> Compilation:
    report = Report(shared=_inherited(declarations.shots))
    output_dir = _output_dir(declarations, provider, report)
    _check_shot_ids(declarations.shots, report)
    surveys = [survey(shot, declarations.characters, declarations.motions, report) for shot in declarations.shots]
    if _is_too_much(surveys, max_jobs, declarations, report):
        return _refused(report)
    templates = Templates(declarations.folder, files, shown, report)
    cast = Cast.of(declarations)
    settled = [_settled(found, cast, report) for found in surveys]
    count = sum(settings.takes for cells in settled for _, settings in cells)
    if count > max_jobs:
        _too_many(count, max_jobs, surveys, declarations, report)
        return _refused(report)
    jobs = _jobs(surveys, settled, cast, templates, report)
    if all(diagnostic.code != "KR0135" for diagnostic in report.found):  # jobs with one id have one path too
        check_collisions(jobs, declarations.output, report)
    if report:
        return _refused(report, (_without_prompt(cell, found, cast) for cells in settled for cell, found in cells))
    project = _project(declarations, jobs, output_dir, provider, templates)
    return Compilation(project, tuple(in_file_order(report.found)))


def _refused(report: Report, requests: Iterable[Request] = ()) -> Compilation:
    return Compilation(None, tuple(in_file_order(report.found)), tuple(requests))


def _without_prompt(cell: Cell, settings: Settings, cast: Cast) -> Request:
    motion = cast.declared.motions[cell.motion]
    return Request(
        model=settings.model,
        image=cast.declared.characters[cell.character].image,
        video=motion.video,
        start=motion.start,
        end=motion.end,
        prompt="",
        orientation=settings.orientation,
        keep_audio=settings.keep_audio,
        params=settings.params,
        take=1,
    )


def _is_too_much(surveys: Sequence[Survey], limit: int, declared: Declarations, report: Report) -> bool:
    """Refuse what is too large to be walked at all, from the lengths of the axes alone."""
    count = sum(found.size for found in surveys)
    compared = sum(found.size * (len(found.shot.exclude) + len(found.shot.override)) for found in surveys)
    if count > limit * (_EXCLUDABLE if any(found.shot.exclude for found in surveys) else 1):
        _too_many(sum(_takes(found, declared) for found in surveys), limit, surveys, declared, report)
    elif compared > limit * _RULES_PER_JOB:
        worst = max(surveys, key=lambda found: found.size * (len(found.shot.exclude) + len(found.shot.override)))
        message = f"'exclude' and 'override' need {compared:,} comparisons (limit {limit * _RULES_PER_JOB:,})"
        report.error("KR0107", message, worst.shot.place, help="use fewer entries, with globs")
    else:
        return False
    return True


def _takes(found: Survey, declared: Declarations) -> int:
    """About how many jobs a shot has; axes and overrides that set takes are not looked at."""
    return found.size * (found.shot.fields.takes or declared.defaults.takes or 1)


def _settled(found: Survey, cast: Cast, report: Report) -> list[tuple[Cell, Settings]]:
    # In a shot whose selection is wrong already, every rule would seem to match nothing.
    of_rules = report if found.is_sound else Report()
    cells = cells_of(found, cast.declared.characters, cast.declared.motions, of_rules)
    if not cells and found.is_sound:
        hint = "does 'exclude' take everything away?" if found.shot.exclude else "its 'cast' is empty"
        report.warning("KR0137", f"the shot '{found.shot.id}' has no cells", found.shot.place, help=hint)
    settled = settle(found.shot, cells, cast, report, of_rules)
    if not found.is_sound:
        for diagnostic in of_rules.found:  # but a wrong name of an axis is wrong whoever is selected
            if diagnostic.code == "KR0131":
                report.add(diagnostic)
    return settled


def _jobs(
    surveys: Sequence[Survey],
    settled: Sequence[list[tuple[Cell, Settings]]],
    cast: Cast,
    templates: Templates,
    report: Report,
) -> list[Job]:
    output = cast.declared.output
    jobs: list[Job] = []
    for found, cells in zip(surveys, settled, strict=True):
        maker = ShotJobs(found.shot, cast, templates, report)
        own = [job for cell, settings in cells for job in maker.jobs_of(cell, settings)]
        if found.groups and not report:  # after an error an axis may seem idle because its values were refused
            warn_of_idle_axes(found, own, [templates.prepare(output.takes), templates.prepare(output.final)], report)
        jobs += own
    return jobs


def _project(
    declared: Declarations, jobs: Sequence[Job], output_dir: str, provider: str, templates: Templates
) -> Project:
    return Project(
        name=declared.name,
        folder=declared.folder,
        provider=provider,
        characters=declared.characters,
        motions=declared.motions,
        shots=tuple(shot.id for shot in declared.shots),
        jobs=tuple(jobs),
        output_dir=output_dir,
        budget=declared.budget,
        watch=declared.watch,
        sources=tuple(dict.fromkeys((*declared.sources, *templates.sources))),
        origins=cache(partial(_origins, declared, templates.files, templates.shown)),
    )


def _origins(declared: Declarations, files: ProjectFiles, shown: Callable[[Path], str]) -> PromptOrigins:
    from kling_render.shotlist.origins import PromptOrigins  # few runs ask what a prompt is made of

    return PromptOrigins(declared, files, shown)


def _inherited(shots: Sequence[ShotDeclaration]) -> Mapping[Place, int]:
    """The places of matches (and of their patterns) that several shots have from the defaults."""
    count: Counter[Place] = Counter()
    for shot in shots:
        matches = [*shot.exclude, *(each.match for each in shot.override)]
        patterns = (pattern for match in matches for _, patterns in match.items for pattern in patterns)
        names = (name_place(match.place, name) for match in matches for name, _ in match.items)
        count.update({match.place for match in matches} | {pattern.place for pattern in patterns} | set(names))
    return {place: shots for place, shots in count.items() if shots > 1}


def _output_dir(declared: Declarations, provider: str, report: Report) -> str:
    """The folder of the outputs; a rehearsal has one of its own."""
    written = declared.output.dir
    checked = check_folder(written)
    if isinstance(checked, PathProblem):
        reason = "it is the project's own folder" if checked.code == "KR0306" else checked.message
        message = f"'{written}' cannot be the output folder: {reason}"
        report.error(checked.code, message, declared.output.dir_place, help="name a folder inside the project: renders")
        return written
    return f"{checked}.previz" if provider == PREVIZ else checked


def _check_shot_ids(shots: Sequence[ShotDeclaration], report: Report) -> None:
    first: dict[str, ShotDeclaration] = {}
    for shot in shots:
        other = first.setdefault(shot.id, shot)
        if other is not shot:
            message = f"two jobs with one id: the shot '{shot.id}' is declared twice"
            related = [("first declared here", other.place)]
            report.error("KR0135", message, shot.place, help="rename one of them", related=related)


def _too_many(count: int, limit: int, surveys: Sequence[Survey], declared: Declarations, report: Report) -> None:
    largest = max(surveys, key=lambda found: _takes(found, declared)).shot
    message = f"the shot list expands to {count:,} jobs (limit {limit:,})"
    if len(surveys) > 1:
        message += f"; '{largest.id}' is the largest shot"
    report.error("KR0107", message, largest.place, help="shorten an axis, or raise the limit with --max-jobs")
