"""`kling-render pull`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import click

from kling_render.cli.answering import after_run
from kling_render.cli.driving import Several, display, drive, heed_signals
from kling_render.cli.invocation import Invocation, global_options
from kling_render.cli.job_words import TROUBLE
from kling_render.cli.lost_text import lost_document, lost_text
from kling_render.cli.summary import completed, run_document, run_text, warning_lines
from kling_render.config import Settings
from kling_render.engine.work import EXIT_FAILED, JobState, Options, RunReport
from kling_render.errors import InputProblems, UsageError
from kling_render.lifecycle.records import Attempt
from kling_render.planning.records import Action, Plan
from kling_render.shotlist.records import Project
from kling_render.store.digests import StatDigests
from kling_render.store.opening import Store
from kling_render.workspace.account.account import MOST_DAYS
from kling_render.workspace.account.homecoming import BroughtHome, brought_home, works_beside
from kling_render.workspace.account.lost import Found, find_lost
from kling_render.workspace.account.wanted import by_prefix
from kling_render.workspace.doubts.evidence import Question
from kling_render.workspace.inputs.inspect import Inspection
from kling_render.workspace.lockfile.locked_results import filled_from_lock
from kling_render.workspace.session import Session
from kling_render.workspace.unlisted import finish_without_list
from kling_render.workspace.works import claimed_paths
from kling_render.workspace.workspace import PREVIZ, Planned, Workspace, find_list


@click.command("pull")
@click.argument("select", nargs=-1)
@click.option("--wait-doubts", is_flag=True, help="Stay until every doubt about a payment is settled.")
@click.option("--lost", is_flag=True, help="Also adopt paid generations that the store does not hold.")
@click.option("--days", type=click.IntRange(1, MOST_DAYS), help="How far back --lost looks (default: 92, the most).")
@click.option("--events", metavar="FILE", help="JSON lines while it runs; - for stdout.")
@global_options
def command(invocation: Invocation, select: tuple[str, ...], **given: Any) -> int:
    """Fetch everything that can be had without paying: stored results, and jobs that run already. Never submits.

    Jobs that run are finished even when the shot list or its inputs are gone.

    \b
    Examples:
      kling-render pull
      kling-render pull sc010
      kling-render pull --lost --days 7
    """
    if given["days"] is not None and not given["lost"]:
        raise UsageError("--days belongs to --lost", help="`kling-render pull --lost --days 7`")
    settings = invocation.settings()

    def options(_run_id: str) -> Options:
        return Options(
            jobs=settings.jobs,
            poll_s=settings.poll_seconds,
            absence_s=settings.absence_seconds,
            wait_doubts=given["wait_doubts"],
        )

    with invocation.open_store(settings) as store:
        listed = _listed(invocation, settings, store, select)
        found = None
        if given["lost"]:
            found = _look_for_lost(invocation, settings, store, listed, given["days"] or MOST_DAYS)
        if listed is None:
            folder = _folder(invocation)
            report, plan = (
                _finish(invocation, settings, store, options, events=given["events"], found=found, folder=folder),
                None,
            )
            questions, _ = after_run(invocation, settings, store, report, None, folder=folder)
        else:
            session = listed.session(select, invocation.say)
            invocation.show_warnings(listed.workspace.warnings)
            if not session.free:
                session.also = works_beside(store, settings.namespace, found, str(listed.project.folder))
            report = drive(invocation, session, options, paying=False, events=given["events"])
            plan = session.planned.plan
            questions, _ = after_run(
                invocation,
                settings,
                store,
                report,
                plan,
                folder=str(listed.project.folder),
                claimed=claimed_paths(session.planned.everything, listed.project),
            )
            report.notices.extend(session.write_index(session.replanned()))
        brought = brought_home(store, found) if found else None
    return _end(invocation, report, plan, brought, questions, err=given["events"] == "-")


@dataclass(frozen=True, slots=True)
class _Listed:
    """A shot list that can be used."""

    workspace: Workspace
    project: Project
    inspection: Inspection
    digests: StatDigests

    def plan(self, select: Sequence[str], *, lookup: bool, trusting: bool = False) -> Planned:
        return self.workspace.plan(
            self.project, self.inspection, self.digests, select, lookup=lookup, trusting=trusting
        )

    def session(self, select: Sequence[str], say: Callable[[str], None]) -> Session:
        planned = self.plan(select, lookup=True, trusting=True)
        again = partial(self.plan, select, lookup=False)
        planned = filled_from_lock(self.workspace, planned, self.digests, again, say)
        return Session(self.workspace, planned, self.digests, Several())


def _listed(invocation: Invocation, settings: Settings, store: Store, select: Sequence[str]) -> _Listed | None:
    try:
        workspace = invocation.workspace(settings, store)
        project = workspace.compile()
        digests = workspace.digests(project.folder)
        return _Listed(workspace, project, workspace.inspect(project, digests), digests)
    except (UsageError, InputProblems) as problem:
        if select:
            raise
        invocation.say(f"note: the shot list cannot be used ({problem.message}); finishing what runs")
        return None


def _look_for_lost(
    invocation: Invocation, settings: Settings, store: Store, listed: _Listed | None, days: int
) -> Found:
    """Adopt what the account paid for and the store does not hold, for the jobs of the shot list if there is one."""
    from kling_render.workspace.times import SystemClock

    wanted: dict[str, Attempt] = {}
    if listed is not None:
        if listed.project.provider == PREVIZ:
            raise UsageError(
                "this shot list is rendered by previz, and rehearsals are never lost: nothing was paid",
                help="`kling-render pull --lost --provider aimlapi` asks the account",
            )
        wanted = by_prefix(listed.plan((), lookup=False).everything, listed.project)
    invocation.say(f"reading the account's request log of the last {'day' if days == 1 else f'{days} days'}")
    return asyncio.run(find_lost(store, settings, SystemClock(), days=days, wanted=wanted, say=invocation.say))


def _finish(
    invocation: Invocation,
    settings: Settings,
    store: Store,
    options: Callable[[str], Options],
    *,
    events: str | None,
    found: Found | None,
    folder: str | None,
) -> RunReport:
    """Everything that runs, from the store alone: of the folder's project if there is a list, else of all."""
    from kling_render.workspace.times import SystemClock

    watchers, clock = Several(), SystemClock()
    also = works_beside(store, settings.namespace, found, folder)
    with display(invocation, watchers, None, clock, events) as writer:
        report = asyncio.run(
            finish_without_list(
                store, settings, options, watchers, clock, folder=folder, on_start=heed_signals, also=also
            )
        )
        if writer is not None:
            writer.end(report)
    return report


def _folder(invocation: Invocation) -> str | None:
    """Of the shot list at hand, whatever is wrong with it."""
    try:
        return str(find_list(invocation.options.get("list_file"), invocation.cwd, bytes).path.parent)
    except UsageError:
        return None


def _end(
    invocation: Invocation,
    report: RunReport,
    plan: Plan | None,
    brought: BroughtHome | None,
    questions: Sequence[Question],
    *,
    err: bool,
) -> int:
    """The last words; `err`: standard output belongs to the events."""
    whole = completed(report, plan)
    exit_code = whole.exit_code or (EXIT_FAILED if brought is not None and brought.left else 0)
    if invocation.as_json:
        lost = {"lost": lost_document(brought)} if brought is not None else {}
        document = {
            **run_document(report, plan, questions),
            "format": "kling-render.pull/1",
            **lost,
            "exit_code": exit_code,
        }
        invocation.document(document)
        return exit_code
    if brought is not None:
        click.echo(lost_text(brought), nl=False, err=err)
    jobs = {name: job for name, job in whole.jobs.items() if name in report.jobs or job.state in TROUBLE}
    if any(job.state is not JobState.UP_TO_DATE for job in jobs.values()):
        click.echo(run_text(replace(report, jobs=jobs), None), nl=False, err=err)
    else:
        lines = list(warning_lines(whole))
        if brought is None or not brought.found.adopted:
            lines.insert(0, "nothing to pull: no job runs, and every stored result is in its place")
        click.echo("".join(f"{line}\n" for line in lines), nl=False, err=err)
    left = sum(planned.action is Action.RENDER for planned in plan.jobs) if plan else 0
    if left:
        invocation.say(f"note: {left} job{'s' if left != 1 else ''} would have to be rendered (`kling-render render`)")
    for notice in report.notices:
        invocation.say(f"note: {notice}")
    return exit_code
