"""The one clear question about a doubt: as text, as JSON, and asked on a terminal."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any

from kling_render.cli.job_words import credits_text, one_line
from kling_render.cli.timestamps import iso, local, local_seconds
from kling_render.lifecycle.records import usd_of
from kling_render.lifecycle.states import Event, State
from kling_render.planning.document import money
from kling_render.workspace.doubts.evidence import DOUBTFUL, GIVEN_UP, Candidate, Nearby, Question

SHOWN_CANDIDATES = 5
_WITHOUT_PRICE = "again"
"""What is typed to pay again where no amount is known."""

LOSS_REMEDY = "`kling-render resolve JOB --resubmit --may-pay-twice` pays for it again"

_HEADS = {
    State.INTENT: "in doubt",
    State.IN_DOUBT: "in doubt",
    State.NEEDS_USER: "needs you",
    State.STALLED: "paid, without a result",
    State.READY: "paid and not yet brought home",
    State.PAID_LOST: "paid and lost",
    State.ABANDONED: "given up",
}

#: Event of the history → what the user decided.
_DECIDED = {
    Event.ACCEPT.value: "adopted",
    Event.WAIT.value: "left to the account's log",
    Event.ABANDON.value: "given up",
    Event.LOSE.value: "given up as lost",
    "set-aside": "allowed to be submitted again",
    "acknowledge": "acknowledged",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing the user can say to a question."""

    #: `wait`, `adopt`, `resubmit`, `abandon` or `acknowledge`: the option of `resolve` that says it.
    kind: str
    words: str
    options: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the user said; `generation_id` goes with `adopt`."""

    kind: str
    generation_id: str = ""


def choices(question: Question) -> list[Choice]:
    """What can be answered, the free way first."""
    state, cost = question.attempt.state, _amount(question.stake)
    wait = Choice("wait", "look again", "--wait")
    adopt = Choice("adopt", "adopt a generation by its id (free)", "--adopt ID")
    again = Choice("resubmit", f"submit again, may pay twice ({cost})", "--resubmit --may-pay-twice")
    abandon = Choice("abandon", "give it up", "--abandon")
    if state in DOUBTFUL:
        return [wait, adopt, again, abandon]
    if state not in GIVEN_UP:
        return [wait, again, abandon]
    found = [adopt] if state is State.ABANDONED else []
    found += [] if question.set_aside else [again]
    acknowledge = Choice("acknowledge", "acknowledge the loss: reports stop listing it", "--acknowledge")
    return found + ([] if question.acknowledged else [acknowledge])


def commands(question: Question, name: str | None = None) -> list[str]:
    """The command lines that answer a question; `name`: what the attempt is called, by default its job."""
    called = shlex.quote(name or question.attempt.job)
    return [f"kling-render resolve {called} {choice.options}" for choice in choices(question)]


def named(questions: Sequence[Question]) -> list[tuple[str, Question]]:
    """Each question with a name that means it alone: its job, or its attempt where a job has several."""
    jobs = [question.attempt.job for question in questions]
    return [(q.attempt.job if q.attempt.job and jobs.count(q.attempt.job) == 1 else q.attempt.id, q) for q in questions]


def question_document(question: Question, name: str | None = None) -> dict[str, Any]:
    """One entry of `questions` in the documents of `render`, `pull`, `status` and `resolve`."""
    attempt = question.attempt
    return {
        "job": attempt.job,
        "attempt": attempt.id,
        "client_request_id": attempt.client_request_id,
        "state": attempt.state.value,
        "generation_id": attempt.generation_id,
        "at_stake_usd": None if question.stake is None else money(usd_of(question.stake)),
        "sent_at": iso(question.sent_at),
        "why": _why(question),
        "looks": question.looks,
        "looked_until": None if question.looked_until is None else iso(question.looked_until),
        "next_look": None if question.next_look is None else iso(question.next_look),
        "choices": commands(question, name),
        "decided": [{"at": iso(d.at), "what": d.what, "by": d.by, "why": d.why} for d in question.decided],
    }


def question_documents(questions: Sequence[Question]) -> list[dict[str, Any]]:
    """`questions`, with commands that mean one attempt each."""
    return [question_document(question, name) for name, question in named(questions)]


def candidate_document(candidate: Candidate) -> dict[str, Any]:
    """A paid generation that may be the one in doubt."""
    return {
        "generation_id": candidate.generation_id,
        "at": iso(candidate.at),
        "usd": None if candidate.credits is None else money(usd_of(candidate.credits)),
        "same_result": candidate.same_result,
        "booked_only": candidate.booked_only,
    }


def question_text(question: Question, nearby: Nearby | None = None, *, zone: tzinfo | None = None) -> str:
    """The question with its evidence, as lines; ends with a newline.

    Args:
        question: the doubt.
        nearby: what else was paid for about then; None: nobody asked.
        zone: the time zone of times; None: the machine's own.
    """
    attempt = question.attempt
    lines = [f"{_HEADS[attempt.state]}: {one_line(attempt.job)}  {_stake(question)}"]
    lines.append(f"  attempt {attempt.id}, request {one_line(attempt.client_request_id)}")
    lines += [f"  {line}" for line in _evidence(question, zone)]
    if attempt.state in DOUBTFUL and nearby is not None:
        lines += [f"  {line}" for line in _found(nearby, zone)]
    lines += [f"  {line}" for line in decided_lines(question, zone)]
    return "\n".join(lines) + "\n"


def question_line(question: Question) -> str:
    """The question in a few words: where it stands and what is at stake."""
    return f"{_HEADS[question.attempt.state]}, {_stake(question)}"


def decided_lines(question: Question, zone: tzinfo | None = None) -> Iterator[str]:
    """Who decided what, when and why."""
    for decided in question.decided:
        why = f": {one_line(decided.why)}" if decided.why else ""
        what = _DECIDED.get(decided.what, decided.what)
        yield f"{what} by {one_line(decided.by)}, {local(decided.at, zone)}{why}"


def answers_text(question: Question, name: str | None = None) -> str:
    """The commands that answer, one a line with what they do; empty when nothing is left to say."""
    called = shlex.quote(name or question.attempt.job)
    rows = [(f"kling-render resolve {called} {choice.options}", choice.words) for choice in choices(question)]
    width = max((len(command) for command, _ in rows), default=0)
    return "".join(f"    {command.ljust(width)}  {words}\n" for command, words in rows)


def prompt(
    question: Question, found: Sequence[Candidate], read: Callable[[str], str], *, later: bool = False
) -> Answer | None:
    """The user's answer; None: none now.

    Args:
        question: shown already.
        found: paid generations that may be the one in doubt; a single one is offered.
        read: shows a text and returns a line; it may raise `click.Abort`.
        later: somebody looked just now, so looking again is for later.
    """
    offered = [_concrete(choice, found) for choice in choices(question)]
    if question.attempt.state in GIVEN_UP:
        offered = [Choice("", "leave it as it is", ""), *offered]
    elif later:
        offered = [Choice("", "look again later", ""), *offered[1:]]
    menu = "\n".join(f"  [{n}] {c.words}{' (default)' if n == 1 else ''}" for n, c in enumerate(offered, 1))
    while True:
        line = read(f"{menu}\n  >").strip()
        if line in ("", "1"):
            return Answer(offered[0].kind) if offered[0].kind else None
        if line.isdecimal() and 1 <= int(line) <= len(offered):
            answer = _completed(offered[int(line) - 1].kind, question, found, read)
            if answer is not None:
                return answer
        # Anything else is no answer to a question about money: it is asked again.


def _concrete(choice: Choice, found: Sequence[Candidate]) -> Choice:
    """The choice to adopt names the only generation that may be it."""
    if choice.kind != "adopt" or len(found) != 1:
        return choice  # of several none is offered: another request's result is easily taken for this one's
    return replace(choice, words=f"adopt {one_line(found[0].generation_id)}, or another generation (free)")


def _completed(kind: str, question: Question, found: Sequence[Candidate], read: Callable[[str], str]) -> Answer | None:
    """The answer with what belongs to it; None when the user thought better of it."""
    if kind == "adopt":
        first = found[0].generation_id if len(found) == 1 else ""
        line = read(f"  generation id{f' [{first}]' if first else ''}:").strip() or first
        return Answer(kind, line) if line else None
    if kind == "resubmit":
        wanted = _WITHOUT_PRICE if question.stake is None else money(usd_of(question.stake)) or _WITHOUT_PRICE
        line = read(f"  this may be paid twice; type {wanted} to go on:").strip()
        return Answer(kind) if _same_amount(line, wanted) else None
    return Answer(kind)


def _same_amount(typed: str, wanted: str) -> bool:
    if typed == wanted:
        return True
    try:
        return Decimal(typed.removeprefix("$")) == Decimal(wanted)
    except InvalidOperation:
        return False


def _amount(stake: int | None) -> str:
    return "at an unknown price" if stake is None else f"up to {credits_text(stake)}"


def _stake(question: Question) -> str:
    if question.attempt.charge is not None:
        return f"{credits_text(question.attempt.charge)} charged"
    return f"{_amount(question.stake)} at stake"


def _why(question: Question) -> str:
    """What broke, and why the log has not settled it, as one sentence."""
    attempt = question.attempt
    if attempt.state is State.STALLED:
        return f"accepted as {attempt.generation_id}, and no end of it is known"
    if attempt.state is State.READY:
        return f"{attempt.generation_id} is complete, and its result was not brought home"
    return "; ".join(filter(None, (question.broke, _unsettled(question))))


def _unsettled(question: Question) -> str:
    """The question without what broke, which it repeats."""
    return question.unsettled.removeprefix(f"{question.attempt.message}; ").removeprefix(f"{question.broke}; ")


def _evidence(question: Question, zone: tzinfo | None) -> Iterator[str]:
    attempt = question.attempt
    yield f"sent {local_seconds(question.sent_at, zone)}; {one_line(_why_sent(question))}"
    if attempt.state not in DOUBTFUL:
        return
    if question.looked_until is None:
        yield "the account's log was never read completely since"
    else:
        times = "once" if question.looks == 1 else f"{question.looks} times"
        until = local(question.looked_until, zone)
        yield f"the account's log was read completely {times}, the last time {until}: it does not list the request"
    if _unsettled(question):
        yield one_line(_unsettled(question))
    if question.next_look is not None:
        yield f"worth looking again from {local(question.next_look, zone)} on"


def _why_sent(question: Question) -> str:
    return _why(question) if question.attempt.state in (State.STALLED, State.READY) else question.broke


def _found(nearby: Nearby, zone: tzinfo | None) -> Iterator[str]:
    """Unknown paid generations of that time."""
    found = nearby.found
    if not nearby.read:
        yield "the account's log and books cannot be read now, so nobody knows what else was charged"
        return
    if not found:
        read = " and ".join(nearby.read)
        yield f"the account was charged for nothing unknown about that time, as far as can be seen in its {read}"
        return
    yield "paid about that time, and not known here:"
    for candidate in found[:SHOWN_CANDIDATES]:
        yield f"  {_candidate(candidate, zone)}"
    if len(found) > SHOWN_CANDIDATES:
        yield f"  … and {len(found) - SHOWN_CANDIDATES} more"


def _candidate(candidate: Candidate, zone: tzinfo | None) -> str:
    how = "booked" if candidate.booked_only else "asked for"
    same = ", for this very result" if candidate.same_result else ""
    name, cost = one_line(candidate.generation_id), credits_text(candidate.credits)
    return f"{name}  {cost}, {how} {local_seconds(candidate.at, zone)}{same}"
