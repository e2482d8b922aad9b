"""Gathers the three sides of the account's books: the store's records, the provider's charges, and its log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import compress

from kling_render.config import Settings
from kling_render.errors import DecisionNeeded
from kling_render.lifecycle.answers import LogRow
from kling_render.lifecycle.books import Line, compare, own_books, unknown_ids
from kling_render.lifecycle.records import Attempt
from kling_render.lifecycle.states import State
from kling_render.ports import Clock
from kling_render.store.opening import Store
from kling_render.workspace.account.account import Account, Say, Window, open_account
from kling_render.workspace.account.lost import is_of_our_models

_DAY_S = 86_400.0
_PRICED = frozenset({State.READY, State.FETCHED, State.DONE, State.REMOTE_FAILED, State.PAID_LOST, State.ABANDONED})
"""No poll will tell the charge of these any more."""
_DOUBTFUL = frozenset({State.INTENT, State.IN_DOUBT, State.NEEDS_USER, State.ABANDONED})

NOT_IN_STORE = "(not in the store)"
NO_JOB = "(no job known)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """The books of a window, line by line. Times are seconds since the epoch, amounts are credits."""

    namespace: str
    days: int
    start: float
    end: float
    #: One line per generation, oldest first.
    lines: tuple[Line, ...]
    #: None: the provider was asked. Else why it was not.
    unasked: str | None = None
    #: Charges for models that this tool does not use, and their sum: somebody else's affair.
    others: int = 0
    others_credits: int = 0
    #: Attempts whose payment is not known, and what they hold.
    doubts: int = 0
    doubts_held: int = 0
    #: Generations that were paid with another key, and that this account's ledger does not list.
    other_keys: int = 0
    #: Generations whose charge no answer had told, and which the store has from the provider's books now; and its sum.
    recorded: int = 0
    recorded_credits: int = 0

    @property
    def differing(self) -> list[Line]:
        """What needs somebody's attention."""
        return [line for line in self.lines if line.differs]


@dataclass(frozen=True, slots=True)
class _Own:
    """The store's side."""

    attempts: Sequence[Attempt]
    acknowledged: frozenset[str]

    def doubtful(self) -> list[Attempt]:
        return [a for a in self.attempts if a.generation_id is None and a.state in _DOUBTFUL]


def own_audit(store: Store, settings: Settings, *, now: float, days: int, why: str) -> Audit:
    """The store's own books; the provider is not asked, `why` says for what reason."""
    own = _own(store, settings.namespace)
    window = Window(start=now - days * _DAY_S, end=now, now=now)
    audit = _audit(own, settings.namespace, days, window)
    return replace(audit, lines=tuple(own_books(own.attempts, window.start)), unasked=why)


async def full_audit(store: Store, settings: Settings, clock: Clock, *, days: int, lag_s: float, say: Say) -> Audit:
    """All three sides.

    Args:
        store: open.
        settings: the user's; they name the account.
        clock: ours.
        days: how far back, at most 92.
        lag_s: how long a charge may take to be booked.
        say: notices.

    Raises:
        DecisionNeeded: the charges cannot be read.
        AccountRefused: no key, or it is refused.
    """
    own = _own(store, settings.namespace)
    async with open_account(settings, clock, say) as account:
        window = await account.window(days)
        charges = await account.charges(window)
        known = {attempt.generation_id for attempt in own.attempts}
        is_ours = [is_of_our_models(charge) or charge.reference_id in known for charge in charges]
        ours = list(compress(charges, is_ours))
        log = await _log(account, window, say) if unknown_ids(own.attempts, ours) else []
        name = account.api.account
    lines = compare(
        own.attempts,
        ours,
        log,
        account=name,
        since=window.start,
        now=window.now,
        lag_s=lag_s,
        acknowledged=own.acknowledged,
    )
    others = [charge for charge, own_one in zip(charges, is_ours, strict=True) if not own_one]
    compared = {line.attempt.id for line in lines if line.attempt is not None}
    recorded = _record(store, lines, window.now)
    elsewhere = [a for a in own.attempts if a.account != name and a.generation_id and _in(a, window)]
    return replace(
        _audit(own, settings.namespace, days, window),
        lines=tuple(lines),
        others=len(others),
        others_credits=sum(charge.credits for charge in others),
        other_keys=sum(attempt.id not in compared for attempt in elsewhere),
        recorded=len(recorded),
        recorded_credits=sum(recorded),
    )


def _record(store: Store, lines: Iterable[Line], at: float) -> list[int]:
    """Let the store know the charges that no answer told: budgets and reports held the estimate instead."""
    unknown = [
        (line.attempt.id, line.bookings[0])
        for line in lines
        if line.attempt is not None
        and line.attempt.charge is None
        and line.attempt.state in _PRICED
        and len(line.bookings) == 1  # of two charges one is to be taken back
    ]
    if not unknown:
        return []
    with store.ledger.writing() as ledger:
        return [b.credits for id_, b in unknown if ledger.book(id_, b.credits, at, booked_at=b.at)]


async def _log(account: Account, window: Window, say: Say) -> list[LogRow] | None:
    try:
        return await account.log(window)
    except DecisionNeeded as error:
        say(f"note: {error.message}; whose the unknown charges are cannot be told now")
        return None


def _own(store: Store, namespace: str) -> _Own:
    with store.ledger.reading() as ledger:
        attempts = ledger.attempts(namespace)
        open_losses = {attempt.id for attempt in ledger.unacknowledged(namespace)}
    return _Own(attempts, frozenset(a.id for a in attempts) - open_losses)


def _in(attempt: Attempt, window: Window) -> bool:
    return (attempt.accepted_at or attempt.reserved_at) >= window.start


def _audit(own: _Own, namespace: str, days: int, window: Window) -> Audit:
    """What the store alone says of a window, but for the lines."""
    doubts = own.doubtful()
    return Audit(
        namespace=namespace,
        days=days,
        start=window.start,
        end=window.now,
        lines=(),
        doubts=len(doubts),
        doubts_held=sum(attempt.hold or 0 for attempt in doubts),
    )


# -- by facet ------------------------------------------------------------------------------------------------------


def _part(number: int) -> Callable[[Line], str]:
    """A part of the job's id, `SHOT/CHARACTER/MOTION[/VALUES]/tNN`."""

    def part(line: Line) -> str:
        if line.attempt is None:
            return NOT_IN_STORE
        parts = line.attempt.job.split("/")
        return NO_JOB if line.attempt.is_unattached or len(parts) <= number else parts[number]

    return part


def _day(line: Line) -> str:
    """The day of the acceptance in UTC, as the provider's ledger counts."""
    return f"{datetime.fromtimestamp(line.at, tz=UTC):%Y-%m-%d}"


FACETS: dict[str, Callable[[Line], str]] = {"shot": _part(0), "character": _part(1), "motion": _part(2), "day": _day}


def by_facet(lines: Iterable[Line], facet: str) -> dict[str, list[Line]]:
    """The lines by the value of a facet, sorted by it; what is no value stands last."""
    of, groups = FACETS[facet], dict[str, list[Line]]()
    for line in lines:
        groups.setdefault(of(line), []).append(line)
    return dict(sorted(groups.items(), key=lambda item: (item[0] in (NOT_IN_STORE, NO_JOB), item[0])))
