"""`kling-render resolve`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click

from kling_render.cli.answering import Answered, can_ask, carry_out, nearby, read_line, said
from kling_render.cli.driving import Several
from kling_render.cli.invocation import Invocation, global_options
from kling_render.cli.job_words import credits_text, one_line
from kling_render.cli.questions import (
    Answer,
    answers_text,
    candidate_document,
    named,
    prompt,
    question_document,
    question_documents,
    question_text,
)
from kling_render.cli.summary import run_text
from kling_render.config import Settings
from kling_render.engine.work import EXIT_MONEY
from kling_render.errors import InputProblems, UsageError
from kling_render.lifecycle.records import Attempt
from kling_render.lifecycle.states import State
from kling_render.store.opening import Store
from kling_render.workspace.doubts.evidence import Nearby, Question, question_of, standing_questions
from kling_render.workspace.doubts.resolving import find
from kling_render.workspace.session import Session
from kling_render.workspace.works import claimed_paths
from kling_render.workspace.workspace import find_list

FORMAT = "kling-render.resolve/1"


@click.command("resolve")
@click.argument("job", required=False)
@click.option("--wait", is_flag=True, help="Look it up again, now and in every later run.")
@click.option("--adopt", metavar="ID", help="Take this generation of the provider for the job's result; free.")
@click.option("--resubmit", is_flag=True, help="Let the next render submit it again; needs --may-pay-twice.")
@click.option("--may-pay-twice", is_flag=True, help="With --resubmit: yes, it may be paid for a second time.")
@click.option("--abandon", is_flag=True, help="Give the job up; nothing is sent for it again.")
@click.option("--acknowledge", is_flag=True, help="A loss was seen; reports stop listing it.")
@click.option("--note", metavar="TEXT", default="", help="Why; kept with who decided and when.")
@global_options
def command(invocation: Invocation, job: str | None, note: str, **given: Any) -> int:
    """Answer what only you can answer: was a request paid whose outcome nobody knows, or is a result lost?

    JOB is a job id, the beginning of one, or an attempt's id. Without an option it shows what is known and asks;
    without a terminal it only shows it. Without JOB it lists everything that waits for an answer.

    \b
    Examples:
      kling-render resolve sc010/fox/wave/t01
      kling-render resolve sc010/fox/wave/t01 --adopt NVOeetazzu2Xlca6ghTMx
      kling-render resolve sc010/fox/wave/t01 --resubmit --may-pay-twice --note "the log is down"
    """
    answer = _answer(given)
    settings = invocation.settings()
    with invocation.open_store(settings) as store:
        if job is None:
            if answer is not None or note:
                raise UsageError("an answer needs the job it is for", help="kling-render resolve JOB --…")
            return _list(invocation, settings, store)
        session = _Project(invocation, settings, store)
        attempt = session.find(job)
        question = _question(settings, store, attempt)
        if answer is None:
            return _ask(session, question, note)
        answered = carry_out(
            invocation, settings, store, question, answer, why=note, claimed=session.claimed(answer.kind)
        )
        return _end(session, question, answer, answered)


def _answer(given: dict[str, Any]) -> Answer | None:
    """The one answer that the options give.

    Raises:
        UsageError: they give several, or half of one.
    """
    kinds = [kind for kind in ("wait", "adopt", "resubmit", "abandon", "acknowledge") if given[kind]]
    if len(kinds) > 1:
        raise UsageError(f"--{kinds[0]} and --{kinds[1]} are two answers", help="give one of them")
    if given["adopt"] == "":
        raise UsageError("--adopt needs the id of a generation")
    if given["may_pay_twice"] and kinds != ["resubmit"]:
        raise UsageError("--may-pay-twice belongs to --resubmit")
    if kinds == ["resubmit"] and not given["may_pay_twice"]:
        raise UsageError(
            "the first request may have been paid, so submitting it again may pay for it twice",
            help="if that is what you want, add --may-pay-twice",
            code="may-pay-twice",
        )
    return Answer(kinds[0], given["adopt"] or "") if kinds else None


@dataclass(slots=True)
class _Project:
    """The call, and the shot list where there is one: the ledger alone is enough for every answer."""

    invocation: Invocation
    settings: Settings
    store: Store
    _session: Session | None = None
    _tried: bool = False

    def find(self, name: str) -> Attempt:
        """The attempt; by the plan's name of its job where the ledger has another."""
        try:
            return find(self.store, self.settings.namespace, name, folder=self._folder())
        except UsageError as error:
            if error.code != "unknown-job":
                raise
            session = self.session()
            planned = [] if session is None else [p for p in session.planned.everything.jobs if p.job.id == name]
            if not planned or planned[0].attempt is None:
                raise
            return find(self.store, self.settings.namespace, planned[0].attempt.id, folder=None)

    def claimed(self, kind: str) -> dict[Any, str]:
        """Whose result belongs at which path, so that an old result takes no new job's place."""
        session = self.session() if kind in ("wait", "adopt") else None
        return {} if session is None else claimed_paths(session.planned.everything, session.planned.project)

    def write_index(self) -> list[str]:
        """`index.json` as things stand now; returns what the user should know."""
        session = self.session()
        if session is None:
            return []
        planned = session.planned
        now = session.workspace.plan(planned.project, planned.inspection, session.digests, lookup=False)
        return session.write_index(now.everything)

    def session(self) -> Session | None:
        """The planned project; None when the shot list is gone or has errors."""
        if not self._tried:
            self._tried = True
            try:
                workspace = self.invocation.workspace(self.settings, self.store)
                project = workspace.compile()
                digests = workspace.digests(project.folder)
                planned = workspace.plan(project, workspace.inspect(project, digests), digests, lookup=False)
            except (UsageError, InputProblems):
                return None
            self._session = Session(workspace, planned, digests, Several())
        return self._session

    def _folder(self) -> str | None:
        try:
            return str(find_list(self.invocation.options.get("list_file"), self.invocation.cwd, bytes).path.parent)
        except UsageError:
            return None


def _question(settings: Settings, store: Store, attempt: Attempt) -> Question:
    with store.ledger.reading() as ledger:
        return question_of(ledger, store, attempt, absence_s=settings.absence_seconds)


def _list(invocation: Invocation, settings: Settings, store: Store) -> int:
    """Everything that waits for an answer, of every project on the store."""
    questions = standing_questions(store, settings.namespace, folder=None, absence_s=settings.absence_seconds)
    code = EXIT_MONEY if questions else 0
    if invocation.as_json:
        invocation.document(_document(question_documents(questions), code))
        return code
    for name, question in named(questions):
        click.echo(question_text(question), nl=False)
        click.echo(answers_text(question, name), nl=False)
    if not questions:
        click.echo("nothing waits for an answer")
    return code


def _ask(session: _Project, question: Question, note: str) -> int:
    """Show the question; on a terminal take the answer."""
    invocation = session.invocation
    found = nearby(session.settings, session.store, question)
    code = EXIT_MONEY if question.open else 0
    if invocation.as_json:
        invocation.document(_document([question_document(question)], code, found=found))
        return code
    text = question_text(question, found)
    if not can_ask(invocation) or question.driven:
        click.echo(text, nl=False)
        click.echo(f"  {question.driven} drives it now" if question.driven else answers_text(question).rstrip("\n"))
        return code
    click.echo(text, nl=False, err=True)
    answer = prompt(question, found.found if found else (), read_line)
    if answer is None:
        return code
    answered = carry_out(
        invocation,
        session.settings,
        session.store,
        question,
        answer,
        why=note,
        claimed=session.claimed(answer.kind),
    )
    return _end(session, question, answer, answered)


def _end(session: _Project, question: Question, answer: Answer, answered: Answered) -> int:
    """What the answer led to, and the exit code."""
    invocation, report = session.invocation, answered.report
    after = _question(session.settings, session.store, answered.attempt)
    notices = [answered.note] if answered.note else []
    if report is not None:
        notices += [*report.notices, *session.write_index()]
    code = _exit_code(answered)
    if invocation.as_json:
        invocation.document(_document([question_document(after)], code, answer=answer, notices=notices))
        return code
    if report is None and answer.kind != "wait":
        click.echo(said(question, answer))
    else:
        click.echo(_outcome(after, answered), nl=False)
    for notice in notices:
        invocation.say(f"note: {one_line(notice)}")
    return code


def _exit_code(answered: Answered) -> int:
    """An answer that is carried out is a success; what is still in doubt, running or failed is not."""
    state, report = answered.attempt.state, answered.report
    if report is None:
        return EXIT_MONEY if state in (State.IN_DOUBT, State.NEEDS_USER) else 0
    return 0 if state is State.ABSENT and not report.stops else report.exit_code


def _outcome(after: Question, answered: Answered) -> str:
    attempt = after.attempt
    if attempt.state is State.ABSENT:
        return f"{attempt.job}: it never reached the provider; `kling-render render` sends it again\n"
    if answered.report is not None:
        return run_text(answered.report, None)
    stake = credits_text(after.stake)
    return f"{attempt.job}: in doubt, up to {stake}; it is looked up by every run\n"


def _document(
    questions: list[dict[str, Any]],
    code: int,
    *,
    found: Nearby | None = None,
    answer: Answer | None = None,
    notices: list[str] | None = None,
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "questions": questions,
        "candidates": [candidate_document(one) for one in found.found] if found is not None and found.read else None,
        "answer": answer and {"kind": answer.kind, "generation_id": answer.generation_id or None},
        "notices": notices or [],
        "exit_code": code,
    }
