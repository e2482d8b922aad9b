"""The user's answers to what only the user can settle. Each is a step of the ledger, with who, when and why."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from kling_render.errors import DecisionNeeded, UsageError, did_you_mean
from kling_render.lifecycle.records import Attempt
from kling_render.lifecycle.states import OPEN, SPENT_NOTHING, Event, State
from kling_render.store.opening import Store
from kling_render.store.transaction import SqliteTransaction
from kling_render.workspace.doubts.evidence import (
    ANSWERABLE,
    DOUBTFUL,
    GIVEN_UP,
    UNOBTAINABLE,
    is_acknowledged,
    is_set_aside,
)

_DIED = "the process that sent it ended before an answer was recorded"
_NOTHING = {
    State.RESERVED: "nothing was sent for it yet; the next `kling-render render` lets it go",
    State.ACCEPTED: "it runs under a known id; `kling-render pull` brings the result",
    State.FETCHED: "its result is in the store; `kling-render pull` puts it in its place",
    State.DONE: "it is done",
    State.REJECTED: "it was refused and cost nothing; `kling-render render` may send it again",
    State.REMOTE_FAILED: "it failed and cost nothing; `kling-render render` may send it again",
    State.ABSENT: "it never reached the provider; `kling-render render` sends it again",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Who decides, when (seconds since the epoch) and why."""

    by: str
    at: float
    why: str = ""

    @property
    def detail(self) -> dict[str, Any]:
        """What the history keeps."""
        return {"by": self.by, "decided_at": self.at, **({"why": self.why} if self.why else {})}


def who() -> str:
    """The person at this machine, `user@host`."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):  # no such account, as in some containers
        user = str(os.getuid()) if hasattr(os, "getuid") else "unknown"
    return f"{user}@{socket.gethostname() or 'unknown'}"


# -- which attempt ---------------------------------------------------------------------------------------------


def find(store: Store, namespace: str, name: str, *, folder: str | None) -> Attempt:
    """The attempt that is meant by an attempt's id, a job's id or the beginning of one.

    Args:
        store: open.
        namespace: of the provider in the settings.
        name: what the user typed.
        folder: of the project at hand: among equal names its own come first.

    Raises:
        UsageError: none is meant, several are, or there is nothing to decide.
    """
    with store.ledger.reading() as ledger:
        attempts = ledger.attempts(namespace)
        elsewhere = [other for other in ledger.namespaces() if other != namespace]
        histories = {a.id: ledger.history(a.id) for a in attempts if a.state in GIVEN_UP}
    meant = [a for a in attempts if a.id == name.upper()] or _of_job(attempts, name, folder)
    if not meant:
        raise _unknown(name, attempts, elsewhere)
    # What was set aside has had its answer; it is only meant when nothing came after it.
    aside = {name for name, history in histories.items() if is_set_aside(history)}
    waiting = [a for a in meant if a.state in ANSWERABLE and (a.id not in aside or a is meant[-1])]
    seen = aside | {name for name, history in histories.items() if is_acknowledged(history)}
    waiting = [a for a in waiting if a.id not in seen] or waiting
    if not waiting:
        newest = meant[-1]
        raise UsageError(
            f"there is nothing to decide about {newest.job}: {_NOTHING[newest.state]}", code="nothing-to-resolve"
        )
    if len(waiting) > 1:
        raise _several(name, waiting)
    return waiting[0]


def _of_job(attempts: Iterable[Attempt], name: str, folder: str | None) -> list[Attempt]:
    """Attempts of that job; else of the jobs that begin so, those to be decided first.

    A beginning ends where a part of the id ends, as everywhere: `sc1` must never be an answer for `sc10`.
    """
    exact = [a for a in attempts if a.job == name]
    begun = exact or [a for a in attempts if a.job.startswith(name.rstrip("/") + "/")]
    if not exact:
        begun = [a for a in begun if a.state in ANSWERABLE] or begun
    here = [a for a in begun if a.folder == folder]
    return here or begun


def _unknown(name: str, attempts: Sequence[Attempt], elsewhere: Sequence[str]) -> UsageError:
    jobs = dict.fromkeys(a.job for a in attempts)
    waiting = list(dict.fromkeys(a.job for a in attempts if a.state in ANSWERABLE))
    help_ = "`kling-render status` names the jobs that need a decision"
    if waiting:
        help_ = f"to be decided: {', '.join(waiting[:5])}{' …' if len(waiting) > 5 else ''}"
    elif not attempts and elsewhere:
        help_ = (
            f"the store has no attempts for this provider; it has some for {', '.join(elsewhere)} (AIMLAPI_BASE_URL)"
        )
    text = f"the store knows no job or attempt '{name}'{did_you_mean(name, waiting or jobs)}"
    return UsageError(text, help=help_, code="unknown-job")


def _several(name: str, waiting: Sequence[Attempt]) -> UsageError:
    jobs = list(dict.fromkeys(a.job for a in waiting))
    if len(jobs) > 1:
        listed = ", ".join(jobs[:5]) + (" …" if len(jobs) > 5 else "")
        return UsageError(f"'{name}' is the beginning of several jobs", help=f"name one of {listed}", code="ambiguous")
    listed = "; ".join(f"{a.id} ({a.state.value}, {a.folder})" for a in waiting[:5])
    return UsageError(
        f"several attempts of {jobs[0]} wait for a decision", help=f"name one by its id: {listed}", code="ambiguous"
    )


# -- decisions -------------------------------------------------------------------------------------------------


def wait(store: Store, attempt_id: str, decision: Decision) -> Attempt:
    """Leave the doubt to the account's log: back to IN_DOUBT. What is paid for under a known id just stays.

    Raises:
        DecisionNeeded: another process drives it now.
        UsageError: nothing can be waited for.
    """
    with store.ledger.writing() as ledger:
        attempt = _taken_up(ledger, store, attempt_id, decision)
        if attempt.state is State.NEEDS_USER:
            return ledger.record(attempt.id, Event.WAIT, decision.at, detail=decision.detail)
        if attempt.state in GIVEN_UP:
            raise _settled(attempt, "was given up; it is not looked up any more")
        return attempt


def give_up(store: Store, attempt_id: str, decision: Decision) -> Attempt:
    """Give the result up: ABANDONED while nobody knows whether it was paid, PAID_LOST where it was.

    Raises:
        DecisionNeeded: another process drives it now.
        UsageError: it was given up already.
    """
    with store.ledger.writing() as ledger:
        attempt = _taken_up(ledger, store, attempt_id, decision)
        if attempt.state in GIVEN_UP:
            raise _settled(attempt, "was given up already")
        return _given_up(ledger, attempt, decision)


def pay_again(store: Store, attempt_id: str, decision: Decision) -> Attempt:
    """Give the result up and let another attempt be paid for it. Nothing is sent here.

    Raises:
        DecisionNeeded: another process drives it now.
        UsageError: another attempt is allowed already.
    """
    with store.ledger.writing() as ledger:
        attempt = _taken_up(ledger, store, attempt_id, decision)
        if attempt.state not in GIVEN_UP:
            attempt = _given_up(ledger, attempt, decision)
        elif is_set_aside(ledger.history(attempt.id)):
            raise _settled(attempt, "was set aside already; `kling-render render` submits it again")
        return ledger.set_aside(attempt.id, decision.at, **decision.detail)


def acknowledge(store: Store, attempt_id: str, decision: Decision) -> Attempt:
    """The user has seen the loss.

    Raises:
        UsageError: nothing is lost.
    """
    with store.ledger.writing() as ledger:
        attempt = _taken_up(ledger, store, attempt_id, decision)
        if attempt.state not in GIVEN_UP:
            raise UsageError(
                f"{attempt.job} is not lost: it is {attempt.state.value}",
                help="--abandon gives it up; only then there is something to acknowledge",
                code="nothing-lost",
            )
        return ledger.acknowledge(attempt.id, decision.at, **decision.detail)


def accept(store: Store, attempt_id: str, generation_id: str, decision: Decision) -> Attempt:
    """Take a generation for the result of the attempt; it is ACCEPTED afterwards, and driven by nobody.

    Raises:
        DecisionNeeded: another process drives it now.
        UsageError: another attempt has that id, or has taken this one's place.
    """
    with store.ledger.writing() as ledger:
        attempt = _taken_up(ledger, store, attempt_id, decision)
        refuse_known(ledger, attempt, generation_id)
        if attempt.state in UNOBTAINABLE or attempt.state is State.PAID_LOST:
            raise _settled(attempt, f"was accepted as {attempt.generation_id}; no other id can be its result")
        if attempt.state is State.ABANDONED and _is_taken(ledger, attempt):
            raise _settled(attempt, "was set aside, and another attempt has taken its place")
        return ledger.record(
            attempt.id,
            Event.ACCEPT,
            decision.at,
            owner="",
            generation_id=generation_id,
            accepted_at=attempt.intent_at or attempt.reserved_at,
            ended_at=None,
            detail=decision.detail,
        )


def refuse_known(ledger: SqliteTransaction, attempt: Attempt, generation_id: str) -> None:
    """Raise UsageError when the store has a generation for another attempt."""
    other = ledger.by_generation(attempt.namespace, generation_id)
    if other is not None and other.id != attempt.id:
        raise UsageError(
            f"{generation_id} is the result of {other.job} (attempt {other.id}, {other.state.value})",
            help="one generation is one job's result",
            code="generation-taken",
        )


def _taken_up(ledger: SqliteTransaction, store: Store, attempt_id: str, decision: Decision) -> Attempt:
    """The attempt as it stands now, if nobody drives it; a dead process's intent is a doubt."""
    attempt = ledger.attempt(attempt_id)
    if attempt is None or attempt.state not in ANSWERABLE:
        state = State.RESERVED if attempt is None else attempt.state
        raise UsageError(f"it was settled meanwhile: {_NOTHING.get(state, state.value)}", code="nothing-to-resolve")
    refuse_driven(store, attempt)
    if attempt.state is State.INTENT:
        return ledger.record(attempt.id, Event.DOUBT, decision.at, message=_DIED)
    return attempt


def refuse_driven(store: Store, attempt: Attempt) -> None:
    """Raise DecisionNeeded when a living process drives the attempt."""
    if attempt.state not in OPEN or not attempt.owner or not store.is_alive(attempt.owner):
        return
    number = store.process_of(attempt.owner)
    process = "another process" if number is None else f"process {number}"
    raise DecisionNeeded(
        f"{process} drives {attempt.job} now",
        help="wait until it has ended, or end it; what it finds may settle the matter",
        code="driven",
    )


def _given_up(ledger: SqliteTransaction, attempt: Attempt, decision: Decision) -> Attempt:
    if attempt.state in UNOBTAINABLE:
        return ledger.record(attempt.id, Event.LOSE, decision.at, detail=decision.detail)
    assert attempt.state in DOUBTFUL
    if attempt.state is State.IN_DOUBT:
        ledger.record(attempt.id, Event.ASK, decision.at)
    return ledger.record(attempt.id, Event.ABANDON, decision.at, detail=decision.detail)


def _is_taken(ledger: SqliteTransaction, attempt: Attempt) -> bool:
    """Whether another attempt may have paid for the same result."""
    return any(
        other.id != attempt.id and other.state not in SPENT_NOTHING
        for other in ledger.attempts(attempt.namespace)
        if other.fingerprint == attempt.fingerprint and not is_set_aside(ledger.history(other.id))
    )


def _settled(attempt: Attempt, how: str) -> UsageError:
    return UsageError(f"{attempt.job} {how}", code="nothing-to-resolve")
