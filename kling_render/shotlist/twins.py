"""Axes that make no difference: the same video under several ids."""

from __future__ import annotations

from collections.abc import Sequence

from kling_render.shotlist.cells import Survey
from kling_render.shotlist.records import Job, Request
from kling_render.shotlist.reports import Report
from kling_render.shotlist.templates import Prepared


def warn_of_idle_axes(found: Survey, jobs: Sequence[Job], paths: Sequence[Prepared], report: Report) -> None:
    """Warn of axes (or zipped groups) whose values give one and the same request (KR0136).

    Every axis is in the ids, and by `{{ variant }}` in the default paths; an axis that a path template names itself
    is there on purpose and not warned of.
    """
    shot = found.shot
    firsts = [job for job in jobs if job.take == 1]
    for positions, steps in found.groups:
        names = [shot.axes[p].name for p in positions]
        if len(steps) < 2 or any(path.reads(name) for path in paths for name in names):
            continue
        if _idle(firsts, set(positions)):
            what = f"axis '{names[0]}'" if len(names) == 1 else f"zipped axes {', '.join(names)}"
            verb = "changes" if len(names) == 1 else "change"
            message = f"the {what} {verb} neither the request nor a path: {len(steps)} identical videos per cell"
            hint = f"use {{{{ {names[0]} }}}} in the prompt, or raise 'takes' to get several videos of one request"
            report.warning("KR0136", message, shot.axes[positions[0]].place, help=hint)


def _idle(jobs: Sequence[Job], positions: set[int]) -> bool:
    """Whether jobs that differ only at the positions exist, and never differ in their request."""
    seen: dict[tuple[str, ...], Request] = {}
    compared = False
    for job in jobs:
        others = tuple(i for p, (_, i) in enumerate(job.values) if p not in positions)
        first = seen.setdefault((job.character, job.motion, *others), job.request)
        if first is job.request:
            continue
        compared = True
        if first != job.request:
            return False
    return compared
