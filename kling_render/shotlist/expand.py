"""Declarations → jobs: the product of every shot, counted first, then rendered and checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from kling_render.errors import Place
from kling_render.ports import ProjectFiles
from kling_render.shotlist.cells import Cell, Survey, survey
from kling_render.shotlist.collisions import check_collisions
from kling_render.shotlist.declarations import Declarations, ShotDeclaration
from kling_render.shotlist.jobs import Cast, ShotJobs, settle
from kling_render.shotlist.paths import PathProblem, check_folder
from kling_render.shotlist.records import Compilation, Job, Project
from kling_render.shotlist.reports import Report
from kling_render.shotlist.rules import cells_of
from kling_render.shotlist.settings import Settings
from kling_render.shotlist.templates import Templates
from kling_render.shotlist.twins import warn_of_idle_axes

#: Cells that `exclude` may still take away are walked up to so many times the limit.
_EXCLUDABLE = 10
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
    report = Report()
    provider = provider or declarations.provider
    output_dir = _output_dir(declarations, provider, report)
    _check_shot_ids(declarations.shots, report)
    surveys = [survey(shot, declarations.characters, declarations.motions, report) for shot in declarations.shots]
    count = sum(found.size for found in surveys)
    if count > max_jobs * (_EXCLUDABLE if any(found.shot.exclude for found in surveys) else 1):
        takes = {shot.id: shot.fields.takes or declarations.defaults.takes or 1 for shot in declarations.shots}
        _too_many(sum(found.size * takes[found.shot.id] for found in surveys), max_jobs, declarations.shots, report)
        return Compilation(None, tuple(report.found))
    templates = Templates(declarations.folder, files, shown, report)
    cast = Cast.of(declarations)
    settled = [_settled(found, cast, report) for found in surveys]
    count = sum(settings.takes for cells in settled for _, settings in cells)
    if count > max_jobs:
        _too_many(count, max_jobs, declarations.shots, report)
        return Compilation(None, tuple(report.found))
    jobs = _jobs(surveys, settled, cast, templates, report)
    check_collisions(jobs, declarations.output, report)
    if report:
        return Compilation(None, tuple(report.found))
    return Compilation(_project(declarations, jobs, output_dir, provider, templates.sources), tuple(report.found))


def _settled(found: Survey, cast: Cast, report: Report) -> list[tuple[Cell, Settings]]:
    cells = cells_of(found, cast.declared.characters, cast.declared.motions, report)
    if not cells and not report:
        hint = "does 'exclude' take everything away?" if found.shot.exclude else ""
        report.warning("KR0137", f"the shot '{found.shot.id}' has no cells", found.shot.place, help=hint)
    return settle(found.shot, cells, cast, report)


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
        if found.groups:
            warn_of_idle_axes(found, own, [templates.prepare(output.takes), templates.prepare(output.final)], report)
        jobs += own
    return jobs


def _project(
    declared: Declarations, jobs: Sequence[Job], output_dir: str, provider: str, templates: Iterable[Path]
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
        sources=tuple(dict.fromkeys((*declared.sources, *templates))),
    )


def _output_dir(declared: Declarations, provider: str, report: Report) -> str:
    """The folder of the outputs; a rehearsal has one of its own."""
    written = declared.output.dir
    checked = check_folder(written)
    if isinstance(checked, PathProblem):
        reason = "it is the project's own folder" if checked.code == "KR0306" else checked.message
        message = f"'{written}' cannot be the output folder: {reason}"
        report.error(checked.code, message, declared.output.dir_place, help="name a folder inside the project")
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


def _too_many(count: int, limit: int, shots: Sequence[ShotDeclaration], report: Report) -> None:
    message = f"the shot list expands to {count:,} jobs (limit {limit:,})"
    place: Place | None = shots[0].place if len(shots) == 1 else None
    report.error("KR0107", message, place, help="shorten an axis, or raise the limit with --max-jobs")
