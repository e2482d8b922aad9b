"""Carries the user's answers out, and asks for them after a run."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import click

from kling_render.cli.driving import Several, display, heed_signals
from kling_render.cli.invocation import Invocation
from kling_render.cli.job_words import credits_text, one_line
from kling_render.cli.questions import LOSS_REMEDY, Answer, prompt, question_text
from kling_render.cli.summary import completed
from kling_render.config import Settings, require_key
from kling_render.engine.work import Failure, JobReport, JobState, Options, RunReport, Stop
from kling_render.errors import AccountRefused, KlingRenderError, StoreFault
from kling_render.lifecycle.records import Attempt
from kling_render.lifecycle.states import State
from kling_render.planning.records import Plan
from kling_render.store.opening import Store
from kling_render.workspace.doubts import resolving
from kling_render.workspace.doubts.evidence import DOUBTFUL, Nearby, Question, open_questions
from kling_render.workspace.doubts.resolving import Decision, who
from kling_render.workspace.doubts.settling import check_generation, finish_one, paid_nearby
from kling_render.workspace.times import SystemClock

_NONE: Mapping[Path, str] = MappingProxyType({})
EXIT_LEFT = 10
"""Something is to be submitted again, by the next render."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What an answer led to."""

    #: As it stands now.
    attempt: Attempt
    #: What looking and fetching came to; None where nothing was asked of the provider.
    report: RunReport | None = None
    note: str = ""


def carry_out(
    invocation: Invocation,
    settings: Settings,
    store: Store,
    question: Question,
    answer: Answer,
    *,
    why: str = "",
    claimed: Mapping[Path, str] = _NONE,
) -> Answered:
    """Record the answer; look and fetch where it asks for that.

    Raises:
        UsageError: the answer does not fit.
        DecisionNeeded: another process drives the attempt, or the server cannot say now.
        AccountRefused: the answer needs the key.
    """
    decision = Decision(by=who(), at=SystemClock().now(), why=why)
    attempt_id = question.attempt.id
    if answer.kind == "adopt":
        resolving.refuse_driven(store, question.attempt)
        note = asyncio.run(check_generation(store, settings, question, answer.generation_id, SystemClock()))
        attempt = resolving.accept(store, attempt_id, answer.generation_id, decision)
        return _finished(invocation, settings, store, attempt, claimed=claimed, note=note)
    if answer.kind == "wait":
        attempt = resolving.wait(store, attempt_id, decision)
        try:
            require_key(settings)
        except AccountRefused as refusal:
            return Answered(attempt, note=f"{refusal.message}: the next `kling-render pull` or `render` looks it up")
        return _finished(invocation, settings, store, attempt, claimed=claimed, note="")
    record = {
        "resubmit": resolving.pay_again,
        "abandon": resolving.give_up,
        "acknowledge": resolving.acknowledge,
    }[answer.kind]
    return Answered(record(store, attempt_id, decision))


def _finished(
    invocation: Invocation,
    settings: Settings,
    store: Store,
    attempt: Attempt,
    *,
    claimed: Mapping[Path, str],
    note: str,
) -> Answered:
    """Look the attempt up, or bring it home, as `pull` does."""
    watchers, clock = Several(), SystemClock()

    def options(_run_id: str) -> Options:
        return Options(poll_s=settings.poll_seconds, absence_s=settings.absence_seconds)

    with display(invocation, watchers, None, clock, None):
        report = asyncio.run(
            finish_one(
                store,
                settings,
                attempt,
                options,
                watcher=watchers,
                clock=clock,
                claimed=claimed,
                on_start=heed_signals,
            )
        )
    with store.ledger.reading() as ledger:
        after = ledger.attempt(attempt.id)
    return Answered(after or attempt, report, note)


def nearby(settings: Settings, store: Store, question: Question) -> Nearby | None:
    """What else the account paid for about then; None where that is no question, or is not to be asked."""
    if question.attempt.state not in DOUBTFUL or settings.offline:
        return None
    return asyncio.run(paid_nearby(store, settings, question, SystemClock()))


def said(question: Question, answer: Answer) -> str:
    """What a decision means, in one sentence."""
    job, stake = question.attempt.job, question.stake
    amount = "an unknown price" if stake is None else credits_text(stake)
    if answer.kind == "resubmit":
        return (
            f"{job}: `kling-render render` submits it again; if the first request was paid after all, it is paid twice "
            f"({amount})"
        )
    if answer.kind == "abandon":
        counts = "its charge" if question.attempt.charge is not None else "its hold"
        return f"{job}: given up; {counts} of {amount} goes on counting against your budgets"
    return f"{job}: acknowledged; reports stop listing it"


def can_ask(invocation: Invocation) -> bool:
    """Whether a person sits there."""
    return sys.stdin.isatty() and sys.stderr.isatty() and not invocation.as_json


def read_line(text: str) -> str:
    """One line from the terminal; the text goes to stderr."""
    line: str = click.prompt(text, default="", show_default=False, prompt_suffix=" ", err=True)
    return line


def after_run(
    invocation: Invocation,
    settings: Settings,
    store: Store,
    report: RunReport,
    plan: Plan | None,
    *,
    folder: str | None,
    claimed: Mapping[Path, str] = _NONE,
) -> tuple[list[Question], list[Answer]]:
    """What a run left for the user: asked on a terminal, and returned as far as it is still open.

    Args:
        invocation: the call.
        settings: the user's.
        store: open.
        report: of the run; answers are entered.
        plan: of the run; None without a shot list.
        folder: of the project; None: every project was finished.
        claimed: see `engine.run.Run`.
    """
    whole = completed(report, plan)
    unsettled = [job.job for job in whole.jobs.values() if job.state in (JobState.IN_DOUBT, JobState.NEEDS_USER)]
    if not unsettled and not report.doubts:
        return [], []
    sharing: dict[str, list[str]] = {}
    for planned in plan.jobs if plan else ():
        sharing.setdefault(planned.key, []).append(planned.job.id)

    def left() -> list[Question]:
        return open_questions(
            store,
            plan.namespace if plan else settings.namespace,
            folder=folder,
            keys=sharing,
            jobs=unsettled,
            absence_s=settings.absence_seconds,
            looks=report.doubts,
        )

    questions = left()
    answers = ask_about(invocation, settings, store, questions, report, sharing=sharing, claimed=claimed)
    return left() if answers else questions, answers


def left_to_submit(answers: Sequence[Answer]) -> int:
    """The exit code of a run whose only leftover is what the user lets the next render submit again."""
    return EXIT_LEFT if any(answer.kind == "resubmit" for answer in answers) else 0


def ask_about(
    invocation: Invocation,
    settings: Settings,
    store: Store,
    questions: Sequence[Question],
    report: RunReport,
    *,
    sharing: Mapping[str, Sequence[str]] = MappingProxyType({}),
    claimed: Mapping[Path, str] = _NONE,
) -> list[Answer]:
    """Ask each question once, on a terminal; the answers are carried out and entered into the run's report.

    Args:
        invocation: the call.
        settings: the user's.
        store: open; the run is over.
        questions: what the run left open.
        report: of the run.
        sharing: fingerprint → jobs of the plan that want that result.
        claimed: see `engine.run.Run`.
    """
    if not questions or not can_ask(invocation) or Stop.INTERRUPTED in report.stops or Stop.STORE in report.stops:
        return []
    one = len(questions) == 1
    count = "A question" if one else f"{len(questions)} questions"
    click.echo(f"\n{count} about money. Enter leaves it to the next look; Ctrl-C asks no more.", err=True)
    answers = []
    try:
        for question in questions:
            answer, answered = _ask_one(invocation, settings, store, question, claimed)
            if answer is not None and answered is not None:
                jobs = dict.fromkeys([question.attempt.job, *sharing.get(question.attempt.fingerprint, ())])
                _enter(report, question, answer, answered, list(jobs))
                answers.append(answer)
    except click.Abort:
        click.echo("", err=True)
    return answers


def _ask_one(
    invocation: Invocation, settings: Settings, store: Store, question: Question, claimed: Mapping[Path, str]
) -> tuple[Answer | None, Answered | None]:
    found = nearby(settings, store, question)
    click.echo(f"\n{question_text(question, found)}", nl=False, err=True)
    while True:
        answer = prompt(question, found.found if found else (), read_line, later=True)
        if answer is None:
            return None, None
        try:
            answered = carry_out(invocation, settings, store, question, answer, claimed=claimed)
        except StoreFault:
            raise
        except KlingRenderError as error:
            click.echo(f"  {one_line(error.message)}{f' ({one_line(error.help)})' if error.help else ''}", err=True)
            continue
        if answered.report is None:
            click.echo(f"  {said(question, answer)}", err=True)
        if answered.note:
            click.echo(f"  note: {one_line(answered.note)}", err=True)
        return answer, answered


def _enter(report: RunReport, question: Question, answer: Answer, answered: Answered, jobs: Sequence[str]) -> None:
    """Put what an answer changed into the run's report."""
    report.doubts.pop(question.attempt.id, None)
    if answered.report is not None:
        more = answered.report
        report.jobs |= {job: JobReport(job=job, state=JobState.WAITING, detail="found again") for job in jobs}
        report.jobs |= {job: _paid_here(told, answered.attempt, report.run) for job, told in more.jobs.items()}
        report.doubts |= more.doubts
        report.stops |= more.stops
        report.left_running += more.left_running
        report.notices += more.notices
        return
    for job in jobs:
        report.jobs[job] = _decided(job, answer, answered.attempt)


def _paid_here(told: JobReport, attempt: Attempt, run: str) -> JobReport:
    """With its charge, where the request was of this run: for the one that brought it home it had cost nothing."""
    mine = bool(run) and attempt.run == run and told.job == attempt.job
    return replace(told, credits=attempt.charge) if mine and told.sha256 is not None else told


def _decided(job: str, answer: Answer, attempt: Attempt) -> JobReport:
    if answer.kind == "resubmit":
        return JobReport(job=job, state=JobState.WAITING, detail="to be submitted again by the next render")
    lost = attempt.state is State.PAID_LOST
    failure = Failure(
        kind=attempt.state.value,
        message="charged, and given up without a result" if lost else "given up while its outcome was unknown",
        remedy=LOSS_REMEDY,
    )
    return JobReport(job=job, state=JobState.BLOCKED, detail=failure.message, failure=failure)
