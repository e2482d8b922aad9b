"""`render --locked`: exactly the results that the lock file names, or a failure; never a payment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from kling_render.cli.driving import Several, drive
from kling_render.cli.invocation import Invocation
from kling_render.cli.summary import completed, run_document, run_text
from kling_render.config import Settings
from kling_render.engine.work import Failure, JobReport, JobState, Options
from kling_render.errors import Diagnostic, InputProblems, UsageError
from kling_render.planning.lock import LockFile, differences
from kling_render.planning.pilot import pilot
from kling_render.planning.records import Action
from kling_render.planning.text import why_text
from kling_render.store.digests import StatDigests
from kling_render.workspace.lockfile.locked_results import Filled, OnlyLocked, fill
from kling_render.workspace.lockfile.locking import lock_path, read_lock
from kling_render.workspace.session import Session
from kling_render.workspace.workspace import Planned, Workspace

_WRITES_IT = "`kling-render render` writes it anew; look at what it would pay for first: `kling-render plan`"
_REMEDY = "`kling-render render` without --locked takes what is there, asks before it pays, and writes the file anew"


def render_locked(invocation: Invocation, select: Sequence[str], given: dict[str, Any]) -> int:
    """Bring the tree of the lock file about; returns the exit code.

    Raises:
        UsageError: there is no such file, or it cannot be relied on.
        InputProblems: the shot list is not that of the file; nothing was done.
        AccountRefused: something has to be fetched, and no key is set or it is refused.
    """
    if given.get("plan_file"):
        raise UsageError("--locked and --plan say two things about what is to be there", help="leave one of them out")
    settings = invocation.settings()
    with invocation.open_store(settings) as store:
        workspace = invocation.workspace(settings, store)
        project = workspace.compile()
        digests = workspace.digests(project.folder)
        inspection = workspace.inspect(project, digests)
        narrow = pilot if given.get("pilot") else None
        planned = workspace.plan(project, inspection, digests, select, lookup=False, narrow=narrow)
        invocation.show_warnings(workspace.warnings)
        lock = _reliable(workspace, planned, settings)
        _compare(planned, lock, whole=not select and narrow is None)
        filled = fill(workspace, planned, digests, lock, exactly=True, say=invocation.say)
        if filled.changed:
            planned = workspace.plan(project, inspection, digests, select, lookup=False, narrow=narrow)
        session = _session(workspace, planned, digests, lock)
        if any(work.result is not None for work in session.works(paying=False)):
            session.check_output()
        report = drive(invocation, session, _options(settings), paying=False, events=given.get("events"))
        report.jobs |= _missing(planned, filled)
        after = session.replanned()
        report.notices.extend(session.write_index(after))
        if given.get("prune"):
            report.notices.extend(f"moved to the trash: {path}" for path in session.prune(after))
    if invocation.as_json:
        invocation.document(run_document(report, planned.plan))
    else:
        click.echo(run_text(report, planned.plan), nl=False, err=given.get("events") == "-")
        for notice in report.notices:
            click.echo(f"note: {notice}", err=True)
    return completed(report, planned.plan).exit_code


def _reliable(workspace: Workspace, planned: Planned, settings: Settings) -> LockFile:
    path = lock_path(workspace, planned.project)
    if path is None:
        raise UsageError("--locked is for a shot list in a file and for results that were paid for", help=_REMEDY)
    try:
        lock = read_lock(path)
    except OSError as error:
        raise UsageError(f"{path.name} cannot be read: {error.strerror or error}", help=_WRITES_IT) from None
    if lock is None:
        raise UsageError(f"there is no {path.name} beside the shot list", help=_WRITES_IT, code="no-lock")
    unread = f"has an entry that cannot be read: {next(iter(lock.unread))}" if lock.unread else ""
    if problem := lock.problem or lock.foreign or unread:
        mends = "`kling-render plan` writes it anew, as far as it can tell" if lock.problem else _WRITES_IT
        mends = "correct it, or take it out" if problem is unread else mends
        raise UsageError(f"{path.name} {problem}", help=mends, code="broken-lock")
    if lock.api not in (None, settings.namespace):
        said = f"{path.name} is of {lock.api}, and this run is of {settings.namespace}"
        raise UsageError(said, help="set the base URL that it was written with", code="other-lock")
    return lock


def _compare(planned: Planned, lock: LockFile, *, whole: bool) -> None:
    """Refuse a shot list that is not the one of the file: all differences at once."""
    found = differences(planned.plan, lock, whole=whole)
    if found:
        raise InputProblems(
            [Diagnostic("locked", text, help=_WRITES_IT if n == 0 else "") for n, text in enumerate(found)]
        )


def _session(workspace: Workspace, planned: Planned, digests: StatDigests, lock: LockFile) -> Session:
    sha256 = {job: entries[0].sha256 for job, entries in lock.jobs.items()}
    return Session(
        workspace, planned, digests, Several(), alone=True, guarded=lambda publisher: OnlyLocked(publisher, sha256)
    )


def _options(settings: Settings) -> Any:
    options = Options(jobs=settings.jobs, poll_s=settings.poll_seconds, absence_s=settings.absence_seconds)
    return lambda _run_id: options


def _missing(planned: Planned, filled: Filled) -> dict[str, JobReport]:
    """Jobs whose locked result is not to be had now, each with the reason."""
    found = {}
    for job in planned.plan.jobs:
        if job.result is None and job.action is not Action.RESUME:
            why = filled.failures.get(job.key) or why_text(job)
            failure = Failure(kind="locked", message=f"its locked result cannot be had: {why}", remedy=_REMEDY)
            found[job.job.id] = JobReport(job=job.job.id, state=JobState.FAILED, failure=failure)
    return found
