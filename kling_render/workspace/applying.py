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
from kling_render.planning.selectors import select
from kling_render.planning.states import job_state
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
    try:
        if files.kind(path) != "missing" and _MARK not in files.read_text_bytes(path, 256):
            raise UsageError(
                f"{path.name} is there already and is no saved plan, so it is left as it is",
                help="name another file with -o",
                code="saved-plan",
            )
        with REAL.folder(path.parent) as folder:
            publish_bytes(folder, path.name, data)
    except OSError as fault:
        reason = fault.strerror or str(fault)
        message = f"cannot save the plan as {path.name}: {reason}"
        raise UsageError(message, help="name a file in a folder that you may write to", code="saved-plan") from fault


def load(path: Path) -> SavedPlan:
    """The plan that was saved in a file.

    Raises:
        UsageError: it cannot be read, is none, or was changed since.
    """
    try:
        text = DiskFiles().read_text_bytes(path, MAX_BYTES)
        return saved.read(text)
    except (OSError, NotAPlan) as fault:
        reason = fault.strerror if isinstance(fault, OSError) and fault.strerror else str(fault)
        raise UsageError(
            f"cannot use the plan {path.name}: {reason}",
            help="save a new one with `kling-render plan -o FILE`; nothing was sent",
            code="saved-plan",
        ) from fault


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
        count = f"{len(found)} difference{'s' if len(found) != 1 else ''}"
        raise InputProblems(
            [
                Diagnostic(
                    "saved-plan",
                    f"the saved plan no longer fits: {count}; nothing was sent",
                    help="look at them, and save a new plan with `kling-render plan -o FILE` if they are wanted",
                ),
                *(Diagnostic("saved-plan", str(departure), departure.at) for departure in found),
            ]
        )


def _chosen(now: Planned, plan: SavedPlan) -> list[PlannedJob]:
    """What the saved plan's own selection chooses today."""
    states = {planned.job.id: job_state(planned) for planned in now.everything.jobs}
    jobs = now.project.jobs
    try:
        ids = select(jobs, plan.selectors, state_of=lambda job: states[job.id])
    except UsageError:  # `state:…` of jobs that are done by now
        return []
    if plan.pilot:
        ids = frozenset(job.id for job in pilot([job for job in jobs if job.id in ids]))
    return [planned for planned in now.everything.jobs if planned.job.id in ids]
