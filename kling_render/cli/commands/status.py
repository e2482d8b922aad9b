"""`kling-render status`."""

from __future__ import annotations

import statistics

import click

from kling_render.cli.invocation import Invocation, global_options
from kling_render.cli.status_table import Money, Status, status_document, status_text
from kling_render.lifecycle.records import Attempt, Cap
from kling_render.planning.records import Plan
from kling_render.shotlist.records import Project
from kling_render.store.opening import Store
from kling_render.workspace.doubts.evidence import Question, standing_questions
from kling_render.workspace.results.looks import known_warnings, unwatched
from kling_render.workspace.running import caps

_RECENT = 50


@click.command("status")
@click.argument("select", nargs=-1)
@global_options
def command(invocation: Invocation, select: tuple[str, ...]) -> int:
    """Show jobs by state, failures with their remedy, and money spent, held and left. Sends nothing.

    \b
    Examples:
      kling-render status
      kling-render status state:failed --json
    """
    settings = invocation.settings()
    with invocation.open_store(settings) as store:
        workspace = invocation.workspace(settings, store)
        project = workspace.compile()
        workspace.skips_invalid = True  # where jobs stand can be said all the same
        digests = workspace.digests(project.folder)
        inspection = workspace.inspect(project, digests)
        plan = workspace.plan(project, inspection, digests, select, lookup=False, trusting=True).plan
        now = workspace.clock.now()
        limits = caps(settings, project.budget, folder=project.folder, run_id="", now=now, max_usd=None)
        money = [_money(store, plan.namespace, cap) for cap in (_whole(project), *limits)]
        typical = _typical_s(store, plan.namespace)
        questions = _questions(store, plan, project, settings.absence_seconds, chosen=bool(select))
        with store.ledger.reading() as ledger:
            unattached = ledger.unattached(plan.namespace)
        warnings = known_warnings(plan.jobs, store.cache)
        unseen = frozenset(planned.job.id for planned in unwatched(plan.jobs, store.cache))
    status = Status(
        plan=plan,
        money=money,
        now=now,
        typical_s=typical,
        questions=questions,
        unattached=unattached,
        warnings=warnings,
        unwatched=unseen,
    )
    invocation.show_warnings(workspace.warnings)
    if invocation.as_json:
        invocation.document(status_document(status))
    else:
        click.echo(status_text(status, verbose=invocation.verbose), nl=False)
    return 0


def _questions(store: Store, plan: Plan, project: Project, absence_s: float, *, chosen: bool) -> list[Question]:
    """What waits for an answer: of the jobs that are shown, and of cells that were edited away."""
    keys = {planned.key for planned in plan.jobs}
    found = standing_questions(store, plan.namespace, folder=None, absence_s=absence_s)
    folder = str(project.folder)
    return [q for q in found if q.attempt.fingerprint in keys or (q.attempt.folder == folder and not chosen)]


def _whole(project: Project) -> Cap:
    """Everything the project ever cost, without a limit."""
    return Cap(name="this project", limit=-1, project_folder=str(project.folder))


def _money(store: Store, namespace: str, cap: Cap) -> Money:
    with store.ledger.reading() as ledger:
        spent = ledger.spent(namespace, cap.project_folder, cap.since)
    return Money(
        name=cap.name,
        charged=spent.charged,
        held=spent.held,
        in_doubt=spent.in_doubt,
        limit=None if cap.limit < 0 else cap.limit,
        unpriced=spent.unpriced,
    )


def _typical_s(store: Store, namespace: str) -> float | None:
    """How long the newest generations took, in the middle."""
    with store.ledger.reading() as ledger:
        ended = [a for a in ledger.latest(namespace).values() if a.ready_at and a.accepted_at]
    newest = sorted(ended, key=lambda attempt: attempt.ready_at or 0.0)[-_RECENT:]
    return statistics.median([_took(attempt) for attempt in newest]) if newest else None


def _took(attempt: Attempt) -> float:
    return (attempt.ready_at or 0.0) - (attempt.accepted_at or 0.0)
