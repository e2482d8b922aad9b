"""`kling-render adopt`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click

from kling_render.cli.driving import Several, drive
from kling_render.cli.invocation import Invocation, global_options
from kling_render.cli.job_words import credits_text, one_line
from kling_render.cli.summary import run_text
from kling_render.cli.timestamps import iso
from kling_render.config import Settings
from kling_render.engine.work import Options, RunReport
from kling_render.errors import InputProblems, UsageError
from kling_render.lifecycle.records import Attempt, usd_of
from kling_render.lifecycle.states import State
from kling_render.planning.document import money
from kling_render.store.opening import Store
from kling_render.workspace.account.adopting import Adopted, Adopter, adopt_file, adopt_generation, one_job, source
from kling_render.workspace.account.wanted import wanted_attempt
from kling_render.workspace.doubts.resolving import Decision, who
from kling_render.workspace.session import Session

FORMAT = "kling-render.adopt/1"


@click.command("adopt")
@click.argument("job", metavar="JOB")
@click.argument("what", metavar="GENERATION_ID|FILE")
@click.option("--note", default="", metavar="TEXT", help="Why; kept with who decided and when.")
@global_options
def command(invocation: Invocation, job: str, what: str, note: str) -> int:
    """Make an existing result the job's result: a generation of the account, or a video file. Sends nothing that costs.

    A generation is asked for first, which is free; a file is checked like a download and copied into the store. Who did
    it, when and why is kept.

    \b
    Examples:
      kling-render adopt sc010/fox/wave/t01 NVOeetazzu2Xlca6ghTMx
      kling-render adopt sc010/fox/wave/t01 ../old/fox_wave.mp4 --note "from the first machine"
    """
    settings = invocation.settings()
    with invocation.open_store(settings) as store:
        workspace = invocation.workspace(settings, store)
        project = workspace.compile()
        digests = workspace.digests(project.folder)
        workspace.skips_invalid = True  # another job's input hinders no adoption
        inspection = workspace.inspect(project, digests)
        planned = workspace.plan(project, inspection, digests, [job], lookup=False)
        invocation.show_warnings(workspace.warnings)
        chosen = one_job(planned, job)
        if refused := inspection.refused(chosen.job.request):
            raise InputProblems(refused)
        wanted = wanted_attempt(chosen, project, planned.plan.namespace)
        decision = Decision(by=who(), at=workspace.clock.now(), why=note)
        by = Adopter(store=store, settings=settings, clock=workspace.clock, decision=decision, say=invocation.say)
        adopted = _adopt(by, wanted, source(what, invocation.cwd))
        planned = workspace.plan(project, inspection, digests, [chosen.job.id], lookup=False)
        session = Session(workspace, planned, digests, Several(), alone=True)
        report = drive(invocation, session, _options(settings), paying=False, events=None)
        report.notices.extend(session.write_index(session.replanned()))
        attempt = _now(store, adopted.attempt)
    return _end(invocation, attempt, adopted, decision, report)


def _adopt(by: Adopter, wanted: Attempt, what: Path | str) -> Adopted:
    if isinstance(what, Path):
        return adopt_file(by, wanted, what)
    return asyncio.run(adopt_generation(by, wanted, what))


def _options(settings: Settings) -> Any:
    options = Options(jobs=settings.jobs, poll_s=settings.poll_seconds, absence_s=settings.absence_seconds)
    return lambda _run_id: options


def _now(store: Store, attempt: Attempt) -> Attempt:
    with store.ledger.reading() as ledger:
        found = ledger.attempt(attempt.id)
    if found is None:
        raise UsageError(f"{attempt.job} was let go meanwhile")
    return found


def _end(invocation: Invocation, attempt: Attempt, adopted: Adopted, decision: Decision, report: RunReport) -> int:
    if invocation.as_json:
        invocation.document(_document(attempt, adopted, decision, report))
        return report.exit_code
    for note in [*adopted.notes, *report.notices]:
        invocation.say(f"note: {one_line(note)}")
    name = one_line(attempt.generation_id or "the file")
    if attempt.state in (State.FETCHED, State.DONE):
        cost = "it costs nothing" if attempt.charge == 0 else f"paid before: {credits_text(attempt.charge)}"
        click.echo(f"{attempt.job}: {name} is its result; {cost}")
    else:
        click.echo(f"{attempt.job}: {name} is its generation now ({attempt.state.value})")
    if report.jobs:
        click.echo(run_text(report, None), nl=False)
    return report.exit_code


def _document(attempt: Attempt, adopted: Adopted, decision: Decision, report: RunReport) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "job": attempt.job,
        "fingerprint": attempt.fingerprint,
        "attempt": attempt.id,
        "generation_id": attempt.generation_id,
        "state": attempt.state.value,
        "sha256": attempt.blob,
        "usd": None if attempt.charge is None else money(usd_of(attempt.charge)),
        "output": attempt.output,
        "final": attempt.final,
        "by": decision.by,
        "at": iso(decision.at),
        "why": decision.why,
        "notices": [*adopted.notes, *report.notices],
        "exit_code": report.exit_code,
    }
