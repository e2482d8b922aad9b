"""What a run came to: for people, and as the document of `render --json` (`schemas/render.schema.json`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import tzinfo
from typing import Any

from kling_render.cli.job_words import LOOKS, TROUBLE, credits_text, one_line, outcome
from kling_render.cli.questions import LOSS_REMEDY, question_documents
from kling_render.cli.timestamps import iso, local
from kling_render.engine.work import Failure, JobReport, JobState, RunReport
from kling_render.lifecycle.records import Attempt, usd_of
from kling_render.planning.document import job_document, money
from kling_render.planning.records import Action, Plan, PlannedJob, ReasonCode
from kling_render.planning.text import jobs_word, visible, why_text
from kling_render.workspace.doubts.evidence import Question

FORMAT = "kling-render.render/1"
LISTED = 20
"""Jobs that are named below each heading; the rest is counted."""

EXIT_MEANINGS = {
    0: "done",
    1: "an unexpected fault",
    2: "the input has errors",
    3: "some jobs failed or were left out",
    4: "money needs a decision or a wait",
    5: "budget, allowance or consent",
    6: "the account or the connection is refused",
    7: "the store or the disk",
    10: "work is left",
    130: "interrupted",
}


def completed(report: RunReport, plan: Plan | None) -> RunReport:
    """The report with the plan's jobs that the run had no work with, in the plan's order; decides the exit code."""
    if plan is None:
        return report
    jobs = {p.job.id: report.jobs.get(p.job.id) or _untouched(p) for p in plan.jobs}
    return replace(report, jobs={**jobs, **report.jobs})


def run_text(report: RunReport, plan: Plan | None = None, *, zone: tzinfo | None = None) -> str:
    """The end of a run for people; `zone`: the time zone of times, None for the machine's own. Ends with a newline."""
    whole = completed(report, plan)
    states = Counter(job.state for job in whole.jobs.values())
    if set(states) <= {JobState.UP_TO_DATE} and not whole.stops and not whole.left_running and not whole.doubts:
        if not whole.jobs:
            return "nothing to do: nothing was sent\n"
        done = f"everything is up to date: nothing was sent ({jobs_word(len(whole.jobs))})"
        return "\n".join([done, *warning_lines(whole)]) + "\n"
    sections = [
        _head(whole, plan, states),
        _failures(whole),
        _blocked(whole),
        _doubts(whole, zone),
        _left_running(whole),
        _stops(whole),
        _end(whole),
    ]
    blocks = ("\n".join(lines) for lines in map(list, sections))
    return "\n".join(block for block in blocks if block) + "\n"


def run_document(report: RunReport, plan: Plan | None = None, questions: Sequence[Question] = ()) -> dict[str, Any]:
    """The document of `render --json`. `usd` is what this run paid; `result_usd` what the result cost whenever."""
    whole = completed(report, plan)
    planned = {p.job.id: p for p in plan.jobs} if plan else {}
    output_dir = plan.output_dir if plan else ""
    jobs = [_job_document(job, planned.get(job.job), output_dir) for job in whole.jobs.values()]
    spent = sum(job.credits or 0 for job in whole.jobs.values())
    states = Counter(job.state.value for job in whole.jobs.values())
    return {
        "format": FORMAT,
        "project": plan.project if plan else None,
        "provider": plan.provider if plan else None,
        "jobs": jobs,
        "totals": {
            "jobs": len(jobs),
            "states": {state.value: states[state.value] for state in JobState if states[state.value]},
            "submits": whole.submits,
            "usd": money(usd_of(spent)),
        },
        "stops": [{"why": why.value, "message": message} for why, message in whole.stops.items()],
        "doubts": [{"attempt": attempt, "look_at": iso(at)} for attempt, at in whole.doubts.items()],
        "questions": question_documents(questions),
        "left_running": [_left_document(attempt) for attempt in whole.left_running],
        "notices": list(whole.notices),
        "exit_code": whole.exit_code,
    }


def _untouched(planned: PlannedJob) -> JobReport:
    """What is said of a job that was planned and that the run did not come to."""
    codes = {reason.code for reason in planned.reasons}
    state, failure = JobState.WAITING, None
    if planned.action in (Action.UP_TO_DATE, Action.PINNED):
        state = JobState.UP_TO_DATE
    elif ReasonCode.NEEDS_USER in codes:
        state = JobState.NEEDS_USER
    elif planned.action is Action.BLOCKED:
        state = JobState.BLOCKED
        failure = Failure(kind=next(iter(planned.reasons)).code.value, message=why_text(planned), remedy=_remedy(codes))
    kept = planned.result if state is JobState.UP_TO_DATE else None
    attempt = planned.attempt
    return JobReport(
        job=planned.job.id,
        state=state,
        detail="" if planned.action is Action.UP_TO_DATE else why_text(planned),
        generation_id=kept.generation_id if kept else attempt.generation_id if attempt and failure else None,
        sha256=kept.blob if kept else None,
        credits=0 if kept else None,
        failure=failure,
    )


def _remedy(codes: set[ReasonCode]) -> str:
    if codes & {ReasonCode.PAID_LOST, ReasonCode.ABANDONED}:
        return LOSS_REMEDY
    if ReasonCode.HELD_BACK in codes:
        return "change its prompt, image or clip, or run `kling-render retry`"
    return "`kling-render check` says what is wrong"


def _job_document(report: JobReport, planned: PlannedJob | None, output_dir: str) -> dict[str, Any]:
    failure = report.failure
    output = report.output.as_posix() if report.output else None
    base: dict[str, Any] = {"id": report.job, "output": output}
    if planned is not None:
        base = job_document(planned, output_dir)
    result = planned.result if planned else None
    paid = result.charge if result and result.blob == report.sha256 else report.credits
    return base | {
        "state": report.state.value,
        "detail": report.detail,
        "generation_id": report.generation_id,
        "sha256": report.sha256,
        "usd": _usd(report.credits),
        "result_usd": _usd(paid) if report.sha256 else None,
        "warning": report.warning,
        "error": failure and {"class": failure.kind, "message": failure.message, "remedy": failure.remedy},
    }


def _left_document(attempt: Attempt) -> dict[str, Any]:
    return {
        "job": attempt.job,
        "generation_id": attempt.generation_id,
        "state": attempt.state.value,
        "held_usd": _usd(attempt.hold if attempt.charge is None else attempt.charge),
    }


def _usd(credits: int | None) -> str | None:  # noqa: A002 - the vendor's word
    return None if credits is None else money(usd_of(credits))


def _head(report: RunReport, plan: Plan | None, states: Counter[JobState]) -> Iterator[str]:
    """Counts and money."""
    counts = ", ".join(f"{states[state]} {look.word}" for state, look in LOOKS.items() if states[state])
    name = f"{visible(plan.project)}: " if plan else ""
    yield f"{name}{counts or 'nothing to do'}"
    unknown = sum(job.credits is None and job.sha256 is not None for job in report.jobs.values())
    spent = sum(job.credits or 0 for job in report.jobs.values())
    if spent or unknown or report.submits:
        more = f", and {jobs_word(unknown)} whose charge was not reported" if unknown else ""
        sent = f"{report.submits} request{'' if report.submits == 1 else 's'} sent"
        yield f"spent in this run: {credits_text(spent)}{more} ({sent})"
    elif plan is not None and not _is_free(plan):
        yield "spent in this run: $0.00 (nothing was sent)"
    yield from warning_lines(report)


def warning_lines(report: RunReport) -> Iterator[str]:
    """What may be wrong with results; nothing is paid again for it."""
    warned = [f"{job.job}: {one_line(job.warning)}" for job in report.jobs.values() if job.warning]
    yield from (f"warning: {line}" for line in _some(warned))


def _is_free(plan: Plan) -> bool:
    return bool(plan.prices) and all(price.source == "free" for price in plan.prices)


def _failures(report: RunReport) -> Iterator[str]:
    """Failures by class: the remedy once, then who and why."""
    classes: dict[tuple[str, str], list[JobReport]] = {}
    for job in report.jobs.values():
        if job.failure is not None and job.state is JobState.FAILED:
            classes.setdefault((job.failure.kind, job.failure.remedy), []).append(job)
    for (kind, remedy), members in classes.items():
        yield f"failed, {kind} ({jobs_word(len(members))}): {one_line(remedy)}"
        yield from _named(members)


def _blocked(report: RunReport) -> Iterator[str]:
    blocked = [job for job in report.jobs.values() if job.state is JobState.BLOCKED]
    if blocked:
        remedies = dict.fromkeys(job.failure.remedy for job in blocked if job.failure)
        yield f"blocked ({jobs_word(len(blocked))}){': ' + '; '.join(remedies) if remedies else ''}"
        yield from _named(blocked)


def _doubts(report: RunReport, zone: tzinfo | None) -> Iterator[str]:
    """What may have been paid; when it is looked up again; what only the user can answer."""
    doubtful = [job for job in report.jobs.values() if job.state is JobState.IN_DOUBT]
    if doubtful or report.doubts:
        look_at = min(report.doubts.values(), default=None)
        when = f"; worth looking again from {local(look_at, zone)} on" if look_at else ""
        yield (
            f"in doubt ({jobs_word(max(len(doubtful), len(report.doubts)))}): perhaps paid, so never sent again "
            f"before that is known; `kling-render pull` looks it up{when}"
        )
        yield from _named(doubtful)
    asked = [job for job in report.jobs.values() if job.state is JobState.NEEDS_USER]
    if asked:
        count = jobs_word(len(asked))
        yield f"needs you ({count}): nothing is sent again; `kling-render resolve JOB` says what is known and asks"
        yield from _named(asked)


def _left_running(report: RunReport) -> Iterator[str]:
    """What goes on without us: paid for, and to be had for nothing."""
    left = report.left_running
    if left:
        yield f"left running ({jobs_word(len(left))}): `kling-render pull` brings the results; nothing is paid again"
        yield from (f"  {line}" for line in _some([_left_line(attempt) for attempt in left]))


def _left_line(attempt: Attempt) -> str:
    cost = credits_text(attempt.hold if attempt.charge is None else attempt.charge)
    return f"{attempt.job}  {attempt.generation_id or 'its id is not known yet'}  {cost}"


def _stops(report: RunReport) -> Iterator[str]:
    for message in report.stops.values():
        yield f"stopped: {one_line(message)}"


def _end(report: RunReport) -> Iterator[str]:
    if report.exit_code:
        yield f"exit {report.exit_code}: {EXIT_MEANINGS.get(report.exit_code, 'not done')}"


def _named(jobs: list[JobReport]) -> Iterator[str]:
    yield from (f"  {line}" for line in _some([_named_job(job) for job in jobs]))


def _named_job(job: JobReport) -> str:
    said = one_line(job.failure.message) if job.failure else outcome(job)
    generation = f" [{job.generation_id}]" if job.generation_id and job.state in TROUBLE else ""
    return f"{job.job}{generation}  {said}".rstrip()


def _some(lines: list[str]) -> Iterator[str]:
    """As many as are listed, then how many more there are."""
    yield from lines[:LISTED]
    if len(lines) > LISTED:
        yield f"… and {len(lines) - LISTED} more"
