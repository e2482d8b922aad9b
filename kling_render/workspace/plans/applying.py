"""Saved plans on disk, and holding one against the present before anything is paid."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from kling_render.disk.filesystem import REAL
from kling_render.disk.project_files import DiskFiles
from kling_render.disk.publish import publish_bytes
from kling_render.errors import Diagnostic, InputProblems, UsageError
from kling_render.planning import saved
from kling_render.planning.pilot import pilot
from kling_render.planning.records import PlannedJob
from kling_render.planning.saved import NotAPlan, SavedPlan
from kling_render.planning.states import selected
from kling_render.shotlist.records import Job
from kling_render.workspace.workspace import Planned, Workspace

MAX_BYTES = 256 * 1024 * 1024
_MARK = b"kling-render.saved-plan/"
"""Within the first bytes of every saved plan."""

Narrow = Callable[[Sequence[Job]], Iterable[Job]]


def write(path: Path, data: bytes) -> None:
    """Write a saved plan, whole or not at all. An earlier saved plan is replaced, no other file ever is.

    Raises:
        UsageError: something else stands there, or the disk refuses.
    """
    files = DiskFiles()
    kind = files.kind(path)
    if kind == "folder":
        raise _unsaved(path, "it is a folder", "name a file: `-o friday.plan.json`")
    if kind == "other":
        raise _unsaved(path, "it is no regular file", "name a file, or `-o -` for standard output")
    if kind == "missing" and files.kind(path.parent) != "folder":
        raise _unsaved(path, f"there is no folder {path.parent}", "make that folder first, or name a file elsewhere")
    try:
        if kind == "file" and _MARK not in files.read_text_bytes(path, 256):
            raise UsageError(
                f"{path.name} is there already and is no saved plan, so it is left as it is",
                help="name another file with -o",
                code="saved-plan",
            )
        with REAL.folder(path.parent) as folder:
            publish_bytes(folder, path.name, data)
    except OSError as fault:
        reason = (fault.strerror or str(fault)).lower()
        raise _unsaved(path, reason, "name a file in a folder that you may write to") from fault


def _unsaved(path: Path, reason: str, remedy: str) -> UsageError:
    return UsageError(f"cannot save the plan as {path.name or path}: {reason}", help=remedy, code="saved-plan")


def load(path: Path) -> SavedPlan:
    """The plan that was saved in a file.

    Raises:
        UsageError: it cannot be read, is none, or was changed since.
    """
    files = DiskFiles()
    kind = files.kind(path)
    reason = {"missing": "no such file", "folder": "it is a folder", "other": "it is no regular file"}.get(kind)
    if reason:
        raise _unusable(path.name or str(path), reason, "name the file that `kling-render plan -o FILE` wrote")
    try:
        return parsed(files.read_text_bytes(path, MAX_BYTES), path.name)
    except OSError as fault:
        raise _unusable(path.name, (fault.strerror or str(fault)).lower(), "check its permissions") from fault


def parsed(text: bytes, name: str) -> SavedPlan:
    """The same, from the bytes of a file of that name.

    Raises:
        UsageError: they are no saved plan, or one that was changed since.
    """
    try:
        return saved.read(text)
    except NotAPlan as fault:
        raise _unusable(name, str(fault), "save a new one with `kling-render plan -o FILE`") from fault


def _unusable(name: str, reason: str, remedy: str) -> UsageError:
    return UsageError(f"cannot use the plan {name}: {reason}", help=f"{remedy}; nothing was sent", code="saved-plan")


def only(plan: SavedPlan) -> Narrow:
    """The jobs of a saved plan and no others."""
    agreed = {job.id for job in plan.jobs}
    return lambda jobs: [job for job in jobs if job.id in agreed]


def refuse_departures(workspace: Workspace, now: Planned, plan: SavedPlan, *, tried: bool = False) -> None:
    """Return when everything is as it was agreed to. What is done meanwhile is done, and no difference.

    Args:
        workspace: the project on its store.
        now: the plan of today.
        plan: what was agreed to.
        tried: whether `now` knows what the lock file could not bring.

    Raises:
        InputProblems: something differs; every difference is among its diagnostics.
    """
    chosen = _chosen(now, plan)
    tolerance = workspace.settings.price_tolerance
    found = saved.departures(plan, now.everything, chosen, tolerance=tolerance, tried=tried)
    if found:
        said = saved.told(found)
        count = f"{len(found)} difference{'s' if len(found) != 1 else ''}"
        count += f" in {len({departure.job for departure in found})} jobs" if len(said) < len(found) else ""
        raise InputProblems(
            [
                Diagnostic(
                    "saved-plan",
                    f"the saved plan no longer fits: {count}; nothing was sent",
                    help="look at them, and save a new plan with `kling-render plan -o FILE` if they are wanted",
                ),
                *(Diagnostic("saved-plan", text, place) for text, place in said),
            ]
        )


def _chosen(now: Planned, plan: SavedPlan) -> list[PlannedJob]:
    """What the saved plan's own selection chooses today."""
    jobs = now.project.jobs
    try:
        ids = selected(jobs, now.everything, plan.selectors)
    except UsageError:  # `state:…` of jobs that are done by now
        return []
    if plan.pilot:
        ids = frozenset(job.id for job in pilot([job for job in jobs if job.id in ids]))
    return [planned for planned in now.everything.jobs if planned.job.id in ids]
