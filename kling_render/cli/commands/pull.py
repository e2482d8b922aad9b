"""`kling-render pull`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import click

from kling_render.cli.driving import Several, display, drive, heed_signals
from kling_render.cli.invocation import Invocation, global_options
from kling_render.cli.summary import completed, run_document, run_text
from kling_render.config import Settings
from kling_render.engine.work import Options, RunReport
from kling_render.errors import InputProblems, UsageError
from kling_render.planning.records import Action, Plan
from kling_render.store.opening import Store
from kling_render.workspace.session import Session
from kling_render.workspace.unlisted import finish_without_list
from kling_render.workspace.workspace import find_list


@click.command("pull")
@click.argument("select", nargs=-1)
@click.option("--wait-doubts", is_flag=True, help="Stay until every doubt about a payment is settled.")
@click.option("--events", metavar="FILE", help="JSON lines while it runs; - for stdout.")
@global_options
def command(invocation: Invocation, select: tuple[str, ...], wait_doubts: bool, events: str | None) -> int:
    """Fetch everything that can be had without paying: stored results, and jobs that run already. Never submits.

    Jobs that run are finished even when the shot list or its inputs are gone.

    \b
    Examples:
      kling-render pull
      kling-render pull sc010
    """
    settings = invocation.settings()

    def options(_run_id: str) -> Options:
        return Options(
            jobs=settings.jobs,
            poll_s=settings.poll_seconds,
            absence_s=settings.absence_seconds,
            wait_doubts=wait_doubts,
        )

    with invocation.open_store(settings) as store:
        try:
            session = _session(invocation, settings, store, select)
        except (UsageError, InputProblems) as problem:
            if select:
                raise
            invocation.say(f"note: the shot list cannot be used ({problem.message}); finishing what runs")
            report, plan = _finish(invocation, settings, store, options, events), None
        else:
            report = drive(invocation, session, options, paying=False, events=events)
            plan = session.planned.plan
            report.notices.extend(session.write_index(session.replanned()))
    return _end(invocation, report, plan)


def _session(invocation: Invocation, settings: Settings, store: Store, select: tuple[str, ...]) -> Session:
    workspace = invocation.workspace(settings, store)
    project = workspace.compile()
    digests = workspace.digests(project.folder)
    planned = workspace.plan(project, workspace.inspect(project, digests), digests, select)
    invocation.show_warnings(workspace.warnings)
    return Session(workspace, planned, digests, Several())


def _finish(
    invocation: Invocation,
    settings: Settings,
    store: Store,
    options: Callable[[str], Options],
    events: str | None,
) -> RunReport:
    """Everything that runs, from the store alone: of the folder's project if there is a list, else of all."""
    from kling_render.workspace.times import SystemClock

    try:
        folder = str(find_list(invocation.options.get("list_file"), invocation.cwd, bytes).path.parent)
    except UsageError:
        folder = None
    watchers, clock = Several(), SystemClock()
    with display(invocation, watchers, None, clock, events) as writer:
        report = asyncio.run(
            finish_without_list(store, settings, options, watchers, clock, folder=folder, on_start=heed_signals)
        )
        if writer is not None:
            writer.end(report)
    return report


def _end(invocation: Invocation, report: RunReport, plan: Plan | None) -> int:
    whole = completed(report, plan)
    if invocation.as_json:
        invocation.document({**run_document(report, plan), "format": "kling-render.pull/1"})
        return whole.exit_code
    if not report.jobs:
        click.echo("nothing to pull: no job runs, and every stored result is in its place")
    else:
        click.echo(run_text(report, None), nl=False)
    left = sum(planned.action is Action.RENDER for planned in plan.jobs) if plan else 0
    if left:
        invocation.say(f"note: {left} job{'s' if left != 1 else ''} would have to be rendered (`kling-render render`)")
    for notice in report.notices:
        invocation.say(f"note: {notice}")
    return whole.exit_code
