"""The account's books, three ways: what was estimated, what polls reported, and what the provider booked. Pure.

A generation is one line. Where the three do not agree, the line says in which way; `DIFFERS` holds the ways that
need somebody's attention, the others are told for completeness.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from kling_render.lifecycle.answers import LogRow
from kling_render.lifecycle.identity import fingerprint_prefix
from kling_render.lifecycle.records import Attempt
from kling_render.lifecycle.states import SPENT_NOTHING, State


class Kind(StrEnum):
    """How the three figures of one generation stand to each other."""

    #: Booked once, and as reported.
    EQUAL = "equal"
    #: The same, and more than it was estimated at.
    ABOVE_ESTIMATE = "above-estimate"
    #: Not ended yet as far as we know, and not booked.
    RUNNING = "running"
    #: Reported, and not booked yet: booking may lag.
    LATE = "late"
    #: Charged for nothing, and the user has acknowledged it.
    LOSS = "loss"
    #: Ended without a charge, and none was booked.
    FREE = "free"
    #: Booked, and still to be brought home.
    NOT_FETCHED = "not-fetched"
    #: Reported as charged, and not booked for longer than booking takes.
    NOT_BOOKED = "not-booked"
    #: Booked with another amount than was reported.
    AMOUNT = "amount"
    #: Booked more than once.
    TWICE = "booked-twice"
    #: Booked for a generation that has no result: it failed, was lost or given up.
    NO_RESULT = "charged-without-result"
    #: Booked for a request of ours whose answer never came.
    DOUBT = "in-doubt"
    #: Booked for a request of ours that this store does not know.
    LOST = "lost"
    #: Booked for a request that is not ours: another tool, another key or another person.
    UNEXPLAINED = "unexplained"
    #: Booked for a request that the store does not know, while the log that could tell whose it is cannot be read.
    UNTOLD = "untold"


#: What makes the books differ, most urgent first.
DIFFERS = (
    Kind.TWICE,
    Kind.NO_RESULT,
    Kind.AMOUNT,
    Kind.LOST,
    Kind.DOUBT,
    Kind.UNEXPLAINED,
    Kind.UNTOLD,
    Kind.NOT_BOOKED,
    Kind.NOT_FETCHED,
)

_RUNNING = frozenset({State.ACCEPTED, State.STALLED, State.IN_DOUBT, State.NEEDS_USER})
_WITHOUT_RESULT = SPENT_NOTHING | {State.PAID_LOST, State.ABANDONED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """One charge for the use of a model, as the provider's ledger shows it."""

    #: The generation's id; None when the provider names none.
    reference_id: str | None
    #: Seconds since the epoch, server time.
    at: float
    credits: int
    #: Empty when the provider could not tell.
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One generation. Amounts are credits; None: not known, or not asked for."""

    kind: Kind
    generation_id: str | None
    estimate: int | None
    reported: int | None
    booked: int | None
    #: When it was accepted or, where we do not know, booked.
    at: float
    #: The store's own record; None when it knows nothing of this generation.
    attempt: Attempt | None = None
    bookings: tuple[Booking, ...] = ()
    #: The name that the account's log gives to the request.
    client_request_id: str | None = None

    @property
    def differs(self) -> bool:
        """Whether it needs somebody's attention."""
        return self.kind in DIFFERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Sums of lines, in credits, and how many lines have no figure of a kind.

    The estimate leaves out what ended without a charge.
    """

    generations: int
    estimate: int
    reported: int
    booked: int
    unpriced: int
    unreported: int


def totals(lines: Iterable[Line]) -> Totals:
    """The sums."""
    every = tuple(lines)
    ended = [line for line in every if line.kind is not Kind.RUNNING and line.attempt is not None]
    return Totals(
        generations=len(every),
        estimate=sum(line.estimate or 0 for line in every if line.kind is not Kind.FREE),
        reported=sum(line.reported or 0 for line in every),
        booked=sum(line.booked or 0 for line in every),
        unpriced=sum(line.attempt is not None and line.estimate is None for line in every),
        unreported=sum(line.reported is None for line in ended),
    )


def own_books(attempts: Iterable[Attempt], since: float) -> list[Line]:
    """The store's side alone, oldest first: the provider was not asked, so nothing can differ."""
    return [
        Line(
            kind=_own_kind(attempt),
            generation_id=attempt.generation_id,
            estimate=attempt.hold,
            reported=attempt.charge,
            booked=None,
            at=_accepted(attempt),
            attempt=attempt,
        )
        for attempt in attempts
        if attempt.generation_id is not None and _accepted(attempt) >= since
    ]


def compare(
    attempts: Sequence[Attempt],
    bookings: Iterable[Booking],
    log: Iterable[LogRow] | None,
    *,
    account: str,
    since: float,
    now: float,
    lag_s: float,
    acknowledged: Collection[str] = (),
) -> list[Line]:
    """One line per generation of the window, oldest first.

    Args:
        attempts: everything the store holds in the namespace.
        bookings: the account's charges from `since` on.
        log: rows of the account's request log, to tell whose an unknown charge is; None: it cannot be read.
        account: of the key that asked; what another key paid is only compared where this account booked it.
        since: the window's beginning, seconds since the epoch.
        now: its end.
        lag_s: how long after its end a generation may take to be booked.
        acknowledged: attempts whose loss the user has seen.
    """
    booked: dict[str | None, list[Booking]] = {}
    for booking in bookings:
        booked.setdefault(booking.reference_id, []).append(booking)
    lines = []
    for attempt in attempts:
        mine = booked.pop(attempt.generation_id, []) if attempt.generation_id else []
        if mine or (attempt.generation_id and attempt.account == account and _accepted(attempt) >= since):
            kind = _kind(attempt, mine, now - lag_s, acknowledged)
            lines.append(_known(attempt, mine, kind))
    names = None if log is None else {row.inference_id: row.client_request_id for row in log}
    doubts = {attempt.client_request_id: attempt for attempt in attempts if attempt.client_request_id}
    lines += _unknown(booked, names, doubts)
    return sorted(lines, key=lambda line: line.at)


def unknown_ids(attempts: Iterable[Attempt], bookings: Iterable[Booking]) -> set[str]:
    """Generations that were booked and that the store does not know: only the log can tell whose they are."""
    known = {attempt.generation_id for attempt in attempts}
    return {b.reference_id for b in bookings if b.reference_id is not None and b.reference_id not in known}


def _known(attempt: Attempt, bookings: Sequence[Booking], kind: Kind) -> Line:
    return Line(
        kind=kind,
        generation_id=attempt.generation_id,
        estimate=attempt.hold,
        reported=attempt.charge,
        booked=sum(booking.credits for booking in bookings),
        at=_accepted(attempt),
        attempt=attempt,
        bookings=tuple(bookings),
        client_request_id=attempt.client_request_id or None,
    )


def _kind(attempt: Attempt, bookings: Sequence[Booking], settled: float, acknowledged: Collection[str]) -> Kind:
    if not bookings:
        return _unbooked(attempt, settled)
    if len(bookings) > 1:
        return Kind.TWICE
    amount = bookings[0].credits
    if attempt.state in _WITHOUT_RESULT and amount:
        return Kind.LOSS if attempt.id in acknowledged else Kind.NO_RESULT
    if attempt.charge is None and attempt.state in _RUNNING:
        return Kind.NOT_FETCHED
    if attempt.charge is not None and attempt.charge != amount:
        return Kind.AMOUNT
    return Kind.ABOVE_ESTIMATE if attempt.hold is not None and amount > attempt.hold else Kind.EQUAL


def _own_kind(attempt: Attempt) -> Kind:
    """Where nothing is known of the provider's side."""
    if attempt.state in _RUNNING:
        return Kind.RUNNING
    return Kind.FREE if attempt.state in SPENT_NOTHING else Kind.EQUAL


def _unbooked(attempt: Attempt, settled: float) -> Kind:
    """The provider's ledger says nothing of it; that proves little before `settled`."""
    if attempt.state in _RUNNING:
        return Kind.RUNNING
    if attempt.charge == 0 or (attempt.charge is None and attempt.state in _WITHOUT_RESULT):
        return Kind.FREE
    return Kind.NOT_BOOKED if (attempt.ready_at or _accepted(attempt)) <= settled else Kind.LATE


def _unknown(
    booked: Mapping[str | None, Sequence[Booking]],
    names: Mapping[str, str | None] | None,
    doubts: Mapping[str, Attempt],
) -> Iterator[Line]:
    """Charges for what the store holds no id of. Without an id each charge is a line of its own."""
    for reference, bookings in booked.items():
        name = names.get(reference) if names is not None and reference is not None else None
        attempt = doubts.get(name) if name is not None else None
        kind = Kind.UNTOLD if names is None and reference is not None else Kind.UNEXPLAINED
        if fingerprint_prefix(name) is not None:
            kind = Kind.LOST if attempt is None or attempt.generation_id is not None else Kind.DOUBT
        for part in [tuple(bookings)] if reference is not None else [(booking,) for booking in bookings]:
            yield Line(
                kind=kind,
                generation_id=reference,
                estimate=attempt.hold if attempt is not None and kind is Kind.DOUBT else None,
                reported=None,
                booked=sum(booking.credits for booking in part),
                at=part[0].at,
                attempt=attempt if kind is Kind.DOUBT else None,
                bookings=part,
                client_request_id=name,
            )


def _accepted(attempt: Attempt) -> float:
    return attempt.accepted_at or attempt.reserved_at
