"""Two files on one path: found before anything is rendered, on every kind of file system at once.

Finals belong to cells, takes to jobs. No take may lie on a final, and no file where another one needs a folder.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from kling_render.errors import Place
from kling_render.shotlist.declarations import OutputDeclaration, Template
from kling_render.shotlist.paths import collision_key
from kling_render.shotlist.records import Job
from kling_render.shotlist.reports import Report

#: Per path template: the others are like them.
_MOST_TOLD = 3


@dataclass(frozen=True, slots=True)
class _File:
    key: str
    path: str
    #: Whose file it is: a job's id, or a cell's with "the final of".
    owner: str
    job: Job
    template: Template


def check_collisions(jobs: Sequence[Job], output: OutputDeclaration, report: Report) -> None:
    """Report files that share a path (KR0305), each pair of owners and the path named."""
    finals: dict[str, str] = {}
    for job in jobs:
        finals.setdefault(job.cell, job.final)
    paths = "\n".join([*(job.output for job in jobs), *finals.values()])  # no path holds a line break
    keys = collision_key(paths)
    folders = ".mp4/" in keys or ".mp4.json/" in keys or keys.startswith("index.json/") or "\nindex.json/" in keys
    if folders or len(set(keys.split("\n"))) < len(jobs) + len(finals):
        _report(list(_files(jobs, output)), report)


def _files(jobs: Iterable[Job], output: OutputDeclaration) -> Iterator[_File]:
    cells: set[str] = set()
    for job in jobs:
        yield _File(collision_key(job.output), job.output, job.id, job, output.takes)
        if job.cell not in cells:
            cells.add(job.cell)
            yield _File(collision_key(job.final), job.final, f"the final of {job.cell}", job, output.final)


def _report(files: Sequence[_File], report: Report) -> None:
    first: dict[str, _File] = {}
    told: Counter[Place] = Counter()
    for file in files:
        other = first.setdefault(file.key, file)
        if other is not file and _is_told(file, told):
            report.error("KR0305", _shared(file, other), _place(file), help=_hint(file, other))
    for file in files:
        for folder in _folders(file.key):
            owner = first.get(folder) or first.get(folder.removesuffix(".json"))
            if (owner is not None or folder == "index.json") and _is_told(file, told):
                what = owner.owner if owner is not None else "the index of the output folder"
                message = f"{file.owner} needs the folder {folder}, which is a file: {what}"
                report.error("KR0305", message, _place(file), help="give folders and files different names")
    for place, count in told.items():
        if count > _MOST_TOLD:
            more = count - _MOST_TOLD
            message = f"{more:,} more files collide like these" if more > 1 else "1 more file collides like these"
            report.error("KR0305", message, place, help="the same change helps here")


def _is_told(file: _File, told: Counter[Place]) -> bool:
    """Whether this one is among the first of its template; counts it."""
    told[_place(file)] += 1
    return told[_place(file)] <= _MOST_TOLD


def _shared(file: _File, other: _File) -> str:
    same = f"the path {file.path}"
    if file.path != other.path:
        same = f"one path up to letter case: {other.path}, {file.path}"
    return f"two files on one path: {other.owner} and {file.owner} have {same}"


def _folders(key: str) -> Iterator[str]:
    """The folders of a path, the innermost first."""
    while "/" in key:
        key = key.rpartition("/")[0]
        yield key


def _hint(file: _File, other: _File) -> str:
    if file.job.cell == other.job.cell:
        return "let the path of the takes name {{ take }}, and another folder than the finals'"
    axes = ["{{ shot }}", "{{ character }}", "{{ motion }}", "{{ variant }}"]
    return f"let the path name what tells them apart: {', '.join(axes)}"


def _place(file: _File) -> Place:
    """The path template where the list has one, else the shot."""
    lines = file.template.lines
    return lines[0] if lines and lines[0].text else file.job.place
