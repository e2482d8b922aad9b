"""Jobs whose inputs break a rule, left out on request: blocked, in the rule's own words, while the rest is rendered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from kling_render.errors import Diagnostic
from kling_render.planning.records import Reason, ReasonCode, reason
from kling_render.shotlist.records import Job
from kling_render.workspace.inputs.inspect import Inspection


def blocked_jobs(jobs: Iterable[Job], inspection: Inspection) -> dict[str, tuple[Reason, ...]]:
    """Job id → why it cannot be rendered: every error of its inputs, as the job uses them."""
    if not any(found.severity == "error" for found in inspection.diagnostics):
        return {}
    known: dict[tuple[object, ...], tuple[Reason, ...]] = {}
    blocked = {}
    for job in jobs:
        asked = job.request
        use = (id(asked.image), id(asked.video), asked.model, asked.orientation, asked.start, asked.end)
        if use not in known:  # jobs share their inputs
            known[use] = tuple(map(_reason, inspection.refused(asked)))
        if known[use]:
            blocked[job.id] = known[use]
    return blocked


def told_as_warnings(found: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Errors that only block jobs stop nothing else."""
    return [replace(one, severity="warning") for one in found]


def _reason(found: Diagnostic) -> Reason:
    help_ = f"; {found.help}" if found.help else ""
    return reason(ReasonCode.BLOCKED, f"{found.message}{help_} [{found.code}]", found.place)
