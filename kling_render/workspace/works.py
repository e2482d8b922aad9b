"""From a plan to what the engine is asked to bring about."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from kling_render.engine.work import Target, Work
from kling_render.lifecycle.records import Attempt, credits_of
from kling_render.planning.prices import Price, estimate
from kling_render.planning.records import Action, Plan, PlannedJob, ReasonCode
from kling_render.planning.text import usd_text
from kling_render.shotlist.records import Project, Request

_WANTED = frozenset({Action.RENDER, Action.RESTORE, Action.RESUME, Action.ADOPT})


def works_of(
    plan: Plan, project: Project, priced: Callable[[Request], Price | None] = lambda _request: None
) -> list[Work]:
    """One work per result that is wanted, in the plan's order; jobs that share a result share its work.

    `priced` tells what the model would take for a request that is only rehearsed.

    A question that waits for the user is looked up by every run, but what comes of it is not paid for in that run.
    What only the lock file says is no work: nobody agreed to pay for it.
    """
    grouped: dict[str, list[PlannedJob]] = {}
    for planned in plan.jobs:
        if (planned.action in _WANTED and not planned.is_promised) or _is_asked(planned):
            grouped.setdefault(planned.key, []).append(planned)
    root = project.folder / project.output_dir
    return [_work(members, project, root, priced) for members in grouped.values()]


def _is_asked(planned: PlannedJob) -> bool:
    return planned.action is Action.BLOCKED and any(r.code is ReasonCode.NEEDS_USER for r in planned.reasons)


def _work(members: list[PlannedJob], project: Project, root: Path, priced: Callable[[Request], Price | None]) -> Work:
    first = members[0]
    request = first.job.request
    return Work(
        key=first.key,
        manifest=first.manifest_json,
        targets=tuple(_target(planned, project, root) for planned in members),
        request=None if _is_asked(first) else request,
        model=request.model,
        hold=None if first.hold_usd is None else credits_of(first.hold_usd),
        duration_s=None if first.duration_s is None else float(first.duration_s),
        result=None if first.action is Action.RESUME else first.result,
        label=_label(first, priced(request)),
    )


def _target(planned: PlannedJob, project: Project, root: Path) -> Target:
    return Target(
        job=planned.job.id,
        take=planned.job.take,
        output=root / planned.job.output,
        final=root / planned.job.final,
        root=root,
        project=project.name,
        folder=project.folder,
    )


def _label(planned: PlannedJob, price: Price | None) -> tuple[str, ...]:
    """What a rehearsal burns in: id, prompt, and take with length and the price of the real thing."""
    job = planned.job
    seconds = "" if planned.duration_s is None else f", {float(planned.duration_s):.3g} s"
    usd = planned.estimate_usd or estimate(price, planned.duration_s)
    cost = ", price not known" if usd is None else f", about {usd_text(usd)}"
    return job.id, job.request.prompt, f"take {job.take:02d}{seconds}{cost}"


def claimed_paths(plan: Plan, project: Project) -> dict[Path, str]:
    """Every take path of the whole plan and the key of the result that belongs there."""
    root = project.folder / project.output_dir
    return {root / planned.job.output: planned.key for planned in plan.jobs}


def costs_of(attempts: Iterable[Attempt]) -> int:
    """What attempts that were left running may cost, in credits; unknown holds count nothing."""
    return sum(attempt.charge if attempt.charge is not None else attempt.hold or 0 for attempt in attempts)
