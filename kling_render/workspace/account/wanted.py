"""Jobs of a plan as the ledger would know them: what a paid generation is given to."""

from __future__ import annotations

from collections.abc import Iterable

from kling_render.lifecycle.identity import PREFIX_LENGTH
from kling_render.lifecycle.records import Attempt, credits_of
from kling_render.lifecycle.states import State
from kling_render.planning.records import Plan, PlannedJob
from kling_render.shotlist.records import Project
from kling_render.store.opening import Store


def wanted_attempt(planned: PlannedJob, project: Project, namespace: str) -> Attempt:
    """The attempt that would bring a job's result, with nothing known of its payment: no id, no times."""
    root = project.folder / project.output_dir
    return Attempt(
        id="",
        namespace=namespace,
        fingerprint=planned.key,
        client_request_id="",
        account="",
        state=State.RESERVED,
        owner="",
        run="",
        job=planned.job.id,
        project=project.name,
        folder=str(project.folder),
        output=str(root / planned.job.output),
        final=str(root / planned.job.final),
        root=str(root),
        manifest=planned.manifest_json,
        model=planned.job.request.model,
        hold=None if planned.estimate_usd is None else credits_of(planned.estimate_usd),
        duration_s=None if planned.duration_s is None else float(planned.duration_s),
    )


def by_prefix(plan: Plan, project: Project) -> dict[str, Attempt]:
    """What the account's log would call each job of a plan → the attempt that it stands for."""
    found: dict[str, Attempt] = {}
    for planned in plan.jobs:
        found.setdefault(planned.key[:PREFIX_LENGTH], wanted_attempt(planned, project, plan.namespace))
    return found


def attach_wanted(store: Store, plan: Plan, project: Project, at: float) -> list[Attempt]:
    """Give the store's unattached generations to the jobs of a plan that want them; returns what was given.

    One read where there is none, which is nearly always.
    """
    with store.ledger.reading() as ledger:
        prefixes = {attempt.fingerprint[:PREFIX_LENGTH] for attempt in ledger.unattached(plan.namespace)}
    if not prefixes:
        return []
    return attach(store, (job for prefix, job in by_prefix(plan, project).items() if prefix in prefixes), at)


def attach(store: Store, wanted: Iterable[Attempt], at: float) -> list[Attempt]:
    """Give unattached generations to these jobs, as far as there are any."""
    with store.ledger.writing() as ledger:
        given = [ledger.attach(job, at) for job in wanted]
    return [attempt for attempt in given if attempt is not None]
