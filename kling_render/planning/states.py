"""Where a planned job stands, in the words of `status` and of the `state:` selector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kling_render.lifecycle.states import State
from kling_render.planning.records import Action, Pick, Plan, PlannedJob, ReasonCode
from kling_render.shotlist.records import Job

#: States in the order they are shown, with their words.
STATES = {
    "up-to-date": "up to date",
    "pinned": "picked and edited since",
    "restore": "to restore from the store, free",
    "shared": "share another job's result",
    "locked": "to fetch by the lock file, paid before",
    "running": "running",
    "ready": "paid and not yet brought home",
    "to-render": "to render",
    "failed": "failed",
    "blocked": "blocked",
    "in-doubt": "in doubt",
    "needs-user": "need you",
    "paid-lost": "paid and lost",
    "abandoned": "given up",
}

_BY_ATTEMPT = {
    State.READY: "ready",
    State.FETCHED: "ready",
    State.DONE: "ready",
    State.IN_DOUBT: "in-doubt",
    State.NEEDS_USER: "needs-user",
    State.PAID_LOST: "paid-lost",
    State.ABANDONED: "abandoned",
}

_FAILED = frozenset({State.REJECTED, State.REMOTE_FAILED})


def job_state(planned: PlannedJob) -> str:
    """One of `STATES`."""
    attempt, action = planned.attempt, planned.action
    if action is Action.BLOCKED and attempt is not None and attempt.state in _BY_ATTEMPT:
        return _BY_ATTEMPT[attempt.state]
    if action is Action.RESUME:
        return _BY_ATTEMPT.get(attempt.state, "running") if attempt else "running"
    codes = {reason.code for reason in planned.reasons}
    if planned.is_promised:
        return "locked"
    if codes & {ReasonCode.FAILED_BEFORE, ReasonCode.HELD_BACK} and attempt is not None and attempt.state in _FAILED:
        return "failed"
    return {Action.RENDER: "to-render", Action.ADOPT: "shared"}.get(action, action.value)


def selected(
    jobs: Sequence[Job], plan: Plan, selectors: Sequence[str], picked: Mapping[str, Pick] | None = None
) -> frozenset[str]:
    """The ids of the jobs that selectors mean, by what a plan of all of them knows.

    Raises:
        UsageError: a selector matches nothing.
    """
    from kling_render.planning.selectors import select  # most runs are of all jobs

    states = {planned.job.id: job_state(planned) for planned in plan.jobs}
    return select(
        jobs,
        selectors,
        state_of=lambda job: states[job.id],
        picked={f"{cell}/t{pick.take:02d}" for cell, pick in (picked or {}).items()},
        stale={planned.job.cell for planned in plan.jobs if planned.action is Action.PINNED},
    )
