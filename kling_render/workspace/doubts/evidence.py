"""What is known of an attempt that only the user can settle: when it was sent, what broke, where it was looked for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from kling_render.lifecycle.answers import LogRow
from kling_render.lifecycle.books import Booking
from kling_render.lifecycle.identity import fingerprint_prefix
from kling_render.lifecycle.records import Attempt, Transition
from kling_render.lifecycle.states import Event, State
from kling_render.store.opening import Store
from kling_render.store.transaction import SqliteTransaction

DOUBTFUL = frozenset({State.INTENT, State.IN_DOUBT, State.NEEDS_USER})
"""Nobody here knows whether the server took the request."""
UNOBTAINABLE = frozenset({State.STALLED, State.READY})
"""Paid for under a known id, and not brought home."""
GIVEN_UP = frozenset({State.PAID_LOST, State.ABANDONED})
ANSWERABLE = DOUBTFUL | UNOBTAINABLE | GIVEN_UP
"""States in which the user's word can change something."""

PREFIX_LENGTH = 32
"""Hex digits of a fingerprint that a client request id names."""

_ASKED = (State.IN_DOUBT, State.NEEDS_USER)
_SET_ASIDE, _ACKNOWLEDGE = "set-aside", "acknowledge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A decision of the user, as the history keeps it. `at` is in seconds since the epoch."""

    at: float
    what: str
    by: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """An attempt and everything the ledger knows about its doubt. Times are seconds since the epoch."""

    attempt: Attempt
    #: What happened when it was sent.
    broke: str
    #: Why the account's log has not settled it.
    unsettled: str
    #: Complete reads of the paying account's log that cover it and did not show it, and up to when.
    looks: int
    looked_until: float | None
    #: When a look is worth while again; None: at any time.
    next_look: float | None
    #: The user allowed another attempt for the same result.
    set_aside: bool
    acknowledged: bool
    decided: tuple[Decided, ...]
    #: The process that drives it now, as far as it is known; None when nobody does.
    driven: str | None

    @property
    def sent_at(self) -> float:
        """When its first byte may have left."""
        return self.attempt.intent_at or self.attempt.reserved_at

    @property
    def stake(self) -> int | None:
        """Credits that it may have cost; None when its price was not known."""
        return self.attempt.charge if self.attempt.charge is not None else self.attempt.hold

    @property
    def open(self) -> bool:
        """Whether an answer is still awaited."""
        if self.attempt.state in GIVEN_UP:
            return not (self.acknowledged or self.set_aside)
        return self.attempt.state in ANSWERABLE


def question_of(
    ledger: SqliteTransaction, store: Store, attempt: Attempt, *, absence_s: float, next_look: float | None = None
) -> Question:
    """The question about one attempt.

    Args:
        ledger: inside a transaction.
        store: tells which process drives it.
        attempt: as it stands.
        absence_s: the settle time; looks are worth while a twelfth of it apart.
        next_look: when the run that looked last wants to look again.
    """
    history = ledger.history(attempt.id)
    sent = attempt.intent_at or attempt.reserved_at
    reads = [
        read
        for read in ledger.log_reads(attempt.namespace, attempt.account, sent)
        if read.start <= sent <= read.end and read.at > sent
    ]
    until = reads[-1].at if reads else None
    if next_look is None and until is not None and attempt.state in DOUBTFUL:
        next_look = until + absence_s / 12
    alive = attempt.state not in GIVEN_UP and attempt.owner != "" and store.is_alive(attempt.owner)
    return Question(
        attempt=attempt,
        broke=_broke(history) or attempt.message or "its outcome was not recorded",
        unsettled=_asked(history) if attempt.state is State.NEEDS_USER else "",
        looks=len(reads),
        looked_until=until,
        next_look=next_look,
        set_aside=is_set_aside(history),
        acknowledged=is_acknowledged(history),
        decided=tuple(decisions(history)),
        driven=_driver(store, attempt.owner) if alive else None,
    )


def open_questions(
    store: Store,
    namespace: str,
    *,
    folder: str | None,
    keys: Collection[str] = (),
    jobs: Collection[str] = (),
    absence_s: float,
    looks: Mapping[str, float] | None = None,
) -> list[Question]:
    """What a run left for the user to decide, oldest first; not what another process drives.

    Args:
        store: open.
        namespace: of the provider.
        folder: of the project; None: of every project.
        keys: fingerprints that matter besides, whichever project paid for them.
        jobs: jobs whose paid generation could not be brought home.
        absence_s: see `question_of`.
        looks: attempt → when the run wants to look again.
    """
    with store.ledger.reading() as ledger:
        found = [
            question_of(ledger, store, attempt, absence_s=absence_s, next_look=(looks or {}).get(attempt.id))
            for attempt in ledger.open_attempts(namespace)
            if folder is None or attempt.folder == folder or attempt.fingerprint in keys
            if attempt.state in _ASKED or (attempt.state in UNOBTAINABLE and attempt.job in jobs)
        ]
    return [question for question in found if question.driven is None]


def standing_questions(store: Store, namespace: str, *, folder: str | None, absence_s: float) -> list[Question]:
    """Everything that awaits an answer, losses included that were not acknowledged yet; for `status`."""
    with store.ledger.reading() as ledger:
        waiting = [a for a in ledger.open_attempts(namespace) if a.state in _ASKED]
        attempts = [*waiting, *ledger.unacknowledged(namespace)]
        found = [
            question_of(ledger, store, attempt, absence_s=absence_s)
            for attempt in attempts
            if folder is None or attempt.folder == folder
        ]
    return [question for question in found if question.open]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A paid generation that this store does not know, made about when the doubtful request was sent."""

    generation_id: str
    #: Seconds since the epoch, server time: when it was asked for, or booked.
    at: float
    credits: int | None
    #: The log says that it was asked for under the very same fingerprint, by another machine.
    same_result: bool = False
    #: Known from a charge in the account's books; the log does not show it.
    booked_only: bool = False


@dataclass(frozen=True, slots=True)
class Nearby:
    """What the account paid for about the time of a request, and where that was read."""

    found: tuple[Candidate, ...] = ()
    #: Which of `log` and `books` could be read; neither: nobody knows what was paid for.
    read: tuple[str, ...] = ()


def candidates(
    question: Question, rows: Iterable[LogRow], bookings: Iterable[Booking], known: Collection[str]
) -> list[Candidate]:
    """Which of the account's paid generations may be the one in doubt, oldest first.

    Args:
        question: about the doubt.
        rows: of the account's log around the request.
        bookings: charges since then.
        known: generation ids that this store holds already.
    """
    wanted, model = question.attempt.fingerprint[:PREFIX_LENGTH], question.attempt.model
    found: dict[str, Candidate] = {}
    others = set(known)
    for row in rows:
        prefix = fingerprint_prefix(row.client_request_id)
        if row.failed or prefix not in (None, wanted):
            others.add(row.inference_id)
        elif row.inference_id not in known:
            same = prefix == wanted
            found[row.inference_id] = Candidate(
                generation_id=row.inference_id, at=row.created, credits=row.credits, same_result=same
            )
    for booking in bookings:
        name = booking.reference_id
        if name is not None and name not in others and name not in found and booking.model in ("", model):
            found[name] = Candidate(generation_id=name, at=booking.at, credits=booking.credits, booked_only=True)
    return sorted(found.values(), key=lambda candidate: (candidate.at, candidate.generation_id))


def decisions(history: Sequence[Transition]) -> list[Decided]:
    """Who decided what, when and why."""
    return [
        Decided(at=step.at, what=step.event, by=str(step.detail["by"]), why=str(step.detail.get("why") or ""))
        for step in history
        if "by" in step.detail
    ]


def is_set_aside(history: Sequence[Transition]) -> bool:
    """Whether the user allowed another attempt although this one may have been paid."""
    return _stands(history, _SET_ASIDE)


def is_acknowledged(history: Sequence[Transition]) -> bool:
    """Whether the user has seen the loss."""
    return _stands(history, _ACKNOWLEDGE)


def _broke(history: Sequence[Transition]) -> str:
    """What was said when it came into doubt."""
    messages = [
        str(step.detail["message"]) for step in history if step.event == Event.DOUBT if "message" in step.detail
    ]
    return messages[-1] if messages else ""


def _asked(history: Sequence[Transition]) -> str:
    asked = [str(step.detail["question"]) for step in history if "question" in step.detail]
    return asked[-1] if asked else ""


def _stands(history: Sequence[Transition], event: str) -> bool:
    """Whether it was decided and not overtaken: what is found after all is accepted again."""
    relevant = [step.event for step in history if step.event in (event, Event.ACCEPT.value)]
    return bool(relevant) and relevant[-1] == event


def _driver(store: Store, owner: str) -> str:
    number = store.process_of(owner)
    return "another process" if number is None else f"process {number}"
