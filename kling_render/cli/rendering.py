"""Rendering with consent, display and a last word: what `render` and `retry` share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import click

from kling_render.cli.answering import after_run, left_to_submit
from kling_render.cli.commands.plan import show_plan
from kling_render.cli.consent import agrees_without_log, ask
from kling_render.cli.driving import Limit, Several, drive
from kling_render.cli.invocation import Invocation
from kling_render.cli.summary import completed, run_document, run_text
from kling_render.config import Settings, require_key, tightest
from kling_render.engine.work import Options, Stop
from kling_render.errors import UsageError
from kling_render.lifecycle.records import Cap, usd_of
from kling_render.planning.pilot import pilot
from kling_render.planning.prices import total_usd
from kling_render.planning.records import Action, NoteCode, ReasonCode
from kling_render.planning.saved import SavedPlan
from kling_render.planning.text import jobs_word, usd_text, visible
from kling_render.store.digests import StatDigests
from kling_render.workspace.lockfile.locked_results import filled_from_lock
from kling_render.workspace.lockfile.locking import before_paying, wants_to_pay
from kling_render.workspace.plans.applying import Narrow, load, only, parsed, refuse_departures
from kling_render.workspace.running import caps
from kling_render.workspace.session import Session
from kling_render.workspace.works import claimed_paths
from kling_render.workspace.workspace import PREVIZ, Planned, Workspace

_UNTRIED = frozenset({Action.RENDER, Action.ADOPT})
_FIRST = frozenset({ReasonCode.NEW, ReasonCode.SHARED})


def render(invocation: Invocation, select: Sequence[str], given: dict[str, Any], *, again: bool = False) -> int:
    """Bring the selected jobs up to date; returns the exit code.

    Args:
        invocation: the call.
        select: selectors.
        given: the command's own options.
        again: render requests once more that the provider refused for good.
    """
    invocation.options["jobs"] = given["jobs"]
    saved = _saved(invocation, select, given)
    settings = invocation.settings()
    with invocation.open_store(settings) as store:
        workspace = invocation.workspace(settings, store)
        project = workspace.compile()
        workspace.advises = project.provider != PREVIZ  # rehearsals cost nothing
        workspace.skips_invalid = bool(given.get("skip_invalid"))
        digests = workspace.digests(project.folder)
        inspection = workspace.inspect(project, digests)
        narrow: Narrow | None = only(saved) if saved else pilot if given.get("pilot") else None
        plan = partial(workspace.plan, project, inspection, digests, select, again=again, narrow=narrow)
        planned, told = _with_the_lock_file(invocation, workspace, plan, digests, saved)
        invocation.show_warnings(workspace.warnings)
        session = Session(workspace, planned, digests, Several(), alone=saved is not None)
        if not session.free:
            if planned.plan.totals.render:
                require_key(settings)
            _announce(invocation, session, told)
            if narrow is None:
                _suggest_pilot(invocation, planned)
            ask(planned.plan, settings, project.budget, yes=given["yes"], max_usd=_max_usd(settings, given))
        if planned.plan.totals.render:
            session.check_output()
        options = _options(session, settings, given)
        limit = _limit(session, options("").caps)
        report = drive(invocation, session, options, paying=True, events=given.get("events"), limit=limit)
        if Stop.UNREAD_LOG in report.stops and agrees_without_log(report.stops[Stop.UNREAD_LOG]):
            given["without_log"], before = True, report
            session = Session(workspace, plan(lookup=False), digests, Several(), alone=saved is not None)
            report = drive(invocation, session, options, paying=True, events=given.get("events"), limit=limit)
            report.add_earlier(before)
        questions, answers = after_run(
            invocation,
            settings,
            store,
            report,
            planned.plan,
            folder=str(project.folder),
            claimed=claimed_paths(planned.everything, project),
        )
        after = session.replanned()
        report.notices.extend(session.write_index(after))
        if given.get("prune"):
            for path in session.prune(after):
                report.notices.append(f"moved to the trash: {path}")
        elif after.stale_outputs and not invocation.quiet:
            report.notices.append(f"{len(after.stale_outputs)} stale outputs; `render --prune` moves them to the trash")
    if invocation.as_json:
        invocation.document(run_document(report, planned.plan, questions))
    else:
        click.echo(run_text(report, planned.plan), nl=False, err=given.get("events") == "-")
        for notice in report.notices:
            click.echo(f"note: {notice}", err=True)
    return completed(report, planned.plan).exit_code or left_to_submit(answers)


def _read_plan(invocation: Invocation, name: str) -> SavedPlan:
    if name != "-":
        return load(Path(name))
    if invocation.options.get("list_file") == "-":
        raise UsageError("-f - and --plan - both read standard input", help="name a file for one of the two")
    return parsed(sys.stdin.buffer.read(), "from standard input")


def _saved(invocation: Invocation, select: Sequence[str], given: dict[str, Any]) -> SavedPlan | None:
    """The plan that is to be applied; its ceiling caps the run.

    Raises:
        UsageError: it cannot be used, or something else was selected besides.
    """
    if not given.get("plan_file"):
        return None
    if select or given.get("pilot"):
        raise UsageError(
            "--plan says itself which jobs are rendered; it goes with no SELECT and no --pilot",
            help="select when the plan is saved: `kling-render plan SELECT -o FILE`",
        )
    found = _read_plan(invocation, given["plan_file"])
    given["max_usd"] = tightest(given["max_usd"], found.ceiling_usd)
    return found


def _suggest_pilot(invocation: Invocation, planned: Planned) -> None:
    """Before the first money of a project is spent: a way to see everything once for less."""
    jobs = {p.job.id: p for p in planned.plan.jobs}
    if any(p.action not in _UNTRIED or {r.code for r in p.reasons} - _FIRST for p in planned.everything.jobs):
        return
    few = [jobs[job.id] for job in pilot([job for job in planned.project.jobs if job.id in jobs])]
    if len(few) < planned.plan.totals.render:
        cost = usd_text(total_usd(p.estimate_usd for p in few))
        invocation.say(
            f"note: the first paid run of this project; --pilot renders {jobs_word(len(few))} for about {cost}, "
            "which show every character, motion and axis value once"
        )


def _with_the_lock_file(
    invocation: Invocation,
    workspace: Workspace,
    plan: Callable[..., Planned],
    digests: StatDigests,
    saved: SavedPlan | None,
) -> tuple[Planned, str]:
    """The plan after what the lock file names was brought, and why what is paid now will not be written into it.

    Raises:
        InputProblems: it is not what was agreed to, or would cost what was not.
    """
    planned = plan(trusting=True)
    if saved is not None:
        refuse_departures(workspace, planned, saved)
    told = before_paying(workspace, planned.project) if wants_to_pay(planned.plan) else ""
    sums = planned.everything.totals
    asked = bool(sums.render or sums.locked)  # for prices
    planned = filled_from_lock(workspace, planned, digests, partial(plan, lookup=not asked), invocation.say)
    if saved is not None:
        refuse_departures(workspace, planned, saved, tried=True)
    return planned, told


def _announce(invocation: Invocation, session: Session, told: str) -> None:
    """What is about to happen, before consent is asked; `told`: why the lock file will not know of it."""
    if told and session.planned.plan.totals.render:
        click.echo(f"warning: {told}", err=True)
    plan = session.planned.plan
    if sys.stderr.isatty() and not invocation.quiet and not invocation.as_json and plan.totals.render:
        show_plan(invocation, plan)
        return
    for note in plan.notes:  # a plan has them only where something is to be paid
        if note.code is NoteCode.RATE_DIFFERS:
            click.echo(f"warning: {visible(note.text)}", err=True)


def _max_usd(settings: Settings, given: dict[str, Any]) -> Decimal | None:
    limits = [limit for limit in (settings.max_usd, given["max_usd"]) if limit is not None]
    return min(limits) if limits else None


def _limit(session: Session, found: Sequence[Cap]) -> Limit | None:
    """The cap that leaves the least, for the display."""
    with session.workspace.store.ledger.reading() as ledger:
        spent = [
            (cap, ledger.spent(session.planned.plan.namespace, cap.project_folder, cap.since, cap.run)) for cap in found
        ]
    rooms = [(cap.limit - sums.committed, cap.limit, sums.committed) for cap, sums in spent]
    _, limit, committed = min(rooms, default=(0, None, 0))
    return None if limit is None else Limit(usd_of(limit), usd_of(committed))


def at_once(settings: Settings, *, free: bool) -> int:
    """How many jobs run at once; rehearsals keep to the cores of this machine."""
    if free and settings.origins.get("jobs") == "default":
        return min(settings.jobs, os.cpu_count() or 1)
    return settings.jobs


def _options(session: Session, settings: Settings, given: dict[str, Any]) -> Callable[[str], Options]:
    project, clock = session.planned.project, session.workspace.clock

    def options(run_id: str) -> Options:
        limits = caps(
            settings,
            project.budget,
            folder=project.folder,
            run_id=run_id,
            now=clock.now(),
            max_usd=_max_usd(settings, given),
        )
        return Options(
            jobs=at_once(settings, free=session.free),
            poll_s=settings.poll_seconds,
            absence_s=settings.absence_seconds,
            retries=settings.retries,
            caps=() if session.free else limits,
            fail_fast=bool(given.get("fail_fast")),
            detach=bool(given.get("detach")) and not session.free,
            stop_after_s=given.get("stop_after"),
            wait_doubts=bool(given.get("wait_doubts")),
            without_log=bool(given.get("without_log")),
        )

    return options
