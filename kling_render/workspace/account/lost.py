"""Paid generations that the store does not hold: found in the account's log, adopted, and brought home.

A machine that lost everything, a second laptop, a fresh runner: the log names every request of ours by the first 32
hex of the fingerprint it paid for. What a job or an older attempt is known for goes there; the rest is kept in the
store until a plan wants it. Nothing is ever sent that costs.
"""

from __future__ import annotations

import random
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from kling_render.config import Settings
from kling_render.engine.account_log import remember
from kling_render.errors import DecisionNeeded
from kling_render.lifecycle.answers import LogRow
from kling_render.lifecycle.books import Booking
from kling_render.lifecycle.identity import PREFIX_LENGTH, fingerprint_prefix, ulid
from kling_render.lifecycle.reconcile import LogRead
from kling_render.lifecycle.records import Attempt, Reserved
from kling_render.lifecycle.states import Event, State
from kling_render.models import MODELS
from kling_render.ports import Clock
from kling_render.store.opening import Store
from kling_render.store.transaction import SqliteTransaction
from kling_render.workspace.account.account import Account, Say, Window, open_account
from kling_render.workspace.doubts.resolving import who

_ULID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")
_HEX = re.compile(r"[0-9a-f]+")
#: Attempts of ours whose request the log lists as accepted after all.
_UNSETTLED = frozenset({State.INTENT, State.IN_DOUBT})
_CONTRADICTED = frozenset({State.NEEDS_USER, State.ABANDONED, State.REJECTED, State.ABSENT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a walk through the account's log and charges came to. Amounts are credits."""

    days: int
    requests: int
    #: None: they could not be read.
    charges: int | None
    #: Attempts that are ours now, oldest first; `Attempt.is_unattached` where no job is known.
    adopted: tuple[Attempt, ...] = ()
    #: Unattached generations of earlier walks that a job of this shot list wants.
    attached: tuple[Attempt, ...] = ()
    #: Generation id → what the provider's ledger booked for it.
    booked: Mapping[str, int] = field(default_factory=dict)
    #: Charges for generations that neither the store nor the log knows as ours.
    unexplained: tuple[Booking, ...] = ()

    def cost(self, attempt: Attempt) -> int | None:
        """What a generation cost, as far as anybody says."""
        told = (self.booked.get(attempt.generation_id or ""), attempt.charge, attempt.hold)
        return next((amount for amount in told if amount is not None), None)


async def find_lost(
    store: Store, settings: Settings, clock: Clock, *, days: int, wanted: Mapping[str, Attempt], say: Say
) -> Found:
    """Walk the log, adopt what the store does not hold.

    Args:
        store: open.
        settings: the user's; they name the account.
        clock: ours.
        days: how far back, at most 92.
        wanted: prefix of a fingerprint → the job it stands for; see `wanted.by_prefix`.
        say: notices.

    Raises:
        DecisionNeeded: the log cannot be read.
        AccountRefused: no key, or it is refused.
    """
    async with open_account(settings, clock, say) as account:
        window = await account.window(days)
        rows = await account.log(window)
        charges = await _charges(account, window, say)
        api = account.api
        read = LogRead(
            namespace=settings.namespace,
            account=api.account,
            start=window.start,
            end=window.end,
            at=window.now,
            newest_own=max((row.created - 1.0 for row in rows if _is_ours(row)), default=None),
        )
    booked: dict[str, int] = {}
    for charge in charges or ():
        if charge.reference_id is not None:
            booked[charge.reference_id] = booked.get(charge.reference_id, 0) + charge.credits
    adoption = Adoption(store, read, wanted, booked)
    attached, adopted = adoption.of(rows)
    return Found(
        days=days,
        requests=len(rows),
        charges=None if charges is None else len(charges),
        adopted=tuple(adopted),
        attached=tuple(attached),
        booked=booked,
        unexplained=tuple(_unexplained(store, settings.namespace, charges or ())),
    )


async def _charges(account: Account, window: Window, say: Say) -> list[Booking] | None:
    try:
        return await account.charges(window)
    except DecisionNeeded as error:
        say(f"note: {error.message}; what the found generations cost is told by their polls")
        return None


def _unexplained(store: Store, namespace: str, charges: Iterable[Booking]) -> list[Booking]:
    with store.ledger.reading() as ledger:
        known = ledger.known_generations(namespace)
    return [charge for charge in charges if charge.reference_id not in known and is_of_our_models(charge)]


def is_of_our_models(charge: Booking) -> bool:
    """Whether one of this tool's models, or nobody knows which, was charged."""
    names = {*MODELS, *(model.rpartition("/")[2] for model in MODELS), ""}
    return charge.model in names


def _is_ours(row: LogRow) -> bool:
    prefix = fingerprint_prefix(row.client_request_id)
    return prefix is not None and _HEX.fullmatch(prefix) is not None


class Adoption:
    """Takes rows of the log into the ledger, all in one transaction.

    Args:
        store: open.
        read: of the log; it names the account and the server's time.
        wanted: prefix of a fingerprint → the job it stands for.
        booked: generation id → credits, as far as they are known.
    """

    def __init__(self, store: Store, read: LogRead, wanted: Mapping[str, Attempt], booked: Mapping[str, int]) -> None:
        self._store = store
        self._read = read
        self._wanted = wanted
        self._booked = booked
        self._detail = {"by": who(), "why": "found in the account's request log"}

    def of(self, rows: Sequence[LogRow]) -> tuple[list[Attempt], list[Attempt]]:
        """What was attached and what was adopted, oldest first."""
        paid = sorted((row for row in rows if _is_ours(row) and not row.failed), key=lambda row: row.created)
        with self._store.ledger.writing() as ledger:
            remember(ledger, self._read, rows)
            attached = self._attach(ledger)
            known = set(ledger.known_generations(self._read.namespace))
            adopted = []
            for row in paid:
                if row.inference_id not in known:
                    known.add(row.inference_id)
                    adopted.append(self._adopt(ledger, row))
        return attached, [attempt for attempt in adopted if attempt is not None]

    def _attach(self, ledger: SqliteTransaction) -> list[Attempt]:
        """What earlier walks found, and this shot list wants."""
        prefixes = {each.fingerprint[:PREFIX_LENGTH] for each in ledger.unattached(self._read.namespace)}
        jobs = [self._wanted[prefix] for prefix in prefixes if prefix in self._wanted]
        return [given for job in jobs if (given := ledger.attach(job, self._read.at, **self._detail)) is not None]

    def _adopt(self, ledger: SqliteTransaction, row: LogRow) -> Attempt | None:
        """One generation; None when another process is about to record it."""
        own = ledger.attempt(_name(row))
        if own is not None and own.client_request_id == row.client_request_id and own.generation_id is None:
            if own.state is State.RESERVED or (own.state in _UNSETTLED and self._store.is_alive(own.owner)):
                return None
            if own.state in _UNSETTLED | _CONTRADICTED and _is_free(ledger, own):
                return self._accept(ledger, own, row)
        found = self._attempt(ledger, row, taken=own is not None)
        claim = ledger.adopt(found, self._read.at, **self._detail)
        assert isinstance(claim, Reserved)
        return claim.attempt

    def _accept(self, ledger: SqliteTransaction, own: Attempt, row: LogRow) -> Attempt:
        return ledger.record(
            own.id,
            Event.ACCEPT,
            self._read.at,
            owner="",
            generation_id=row.inference_id,
            accepted_at=row.created,
            ended_at=None,
            failure=None,
            message=None,
            detail=self._detail,
        )

    def _attempt(self, ledger: SqliteTransaction, row: LogRow, *, taken: bool) -> Attempt:
        prefix = fingerprint_prefix(row.client_request_id) or ""
        name = _name(row)
        if taken or not _ULID.fullmatch(name):
            name = ulid(row.created, random.SystemRandom())
        job = self._wanted.get(prefix) or _earlier(ledger.of_prefix(self._read.namespace, prefix))
        if job is None or not _is_free(ledger, job):
            job = _jobless(self._read.namespace, f"{prefix}:{name}", row)
        return replace(
            job,
            id=name,
            client_request_id=row.client_request_id or "",
            account=self._read.account,
            state=State.ACCEPTED,
            hold=self._booked.get(row.inference_id) or row.credits or job.hold,
            generation_id=row.inference_id,
            reserved_at=row.created,
            intent_at=row.created,
            accepted_at=row.created,
        )


def _name(row: LogRow) -> str:
    """The attempt that a request names itself after."""
    return (row.client_request_id or "").rpartition(":")[2]


def _is_free(ledger: SqliteTransaction, attempt: Attempt) -> bool:
    """Whether no other attempt stands for its fingerprint."""
    standing = ledger.standing(attempt.namespace, attempt.fingerprint)
    return standing is None or standing.id == attempt.id


def _earlier(attempts: Collection[Attempt]) -> Attempt | None:
    """What the newest attempt of a prefix knows of its job, and nothing of how it ended."""
    known = [attempt for attempt in attempts if not attempt.is_unattached]
    if not known:
        return None
    newest = known[-1]
    return replace(_jobless(newest.namespace, newest.fingerprint, None), **{n: getattr(newest, n) for n in _OF_JOBS})


_OF_JOBS = ("job", "project", "folder", "output", "final", "root", "manifest", "model", "hold", "duration_s")


def _jobless(namespace: str, fingerprint: str, row: LogRow | None) -> Attempt:
    """An attempt of which only its fingerprint, or the beginning of it, is known."""
    return Attempt(
        id="",
        namespace=namespace,
        fingerprint=fingerprint,
        client_request_id="",
        account="",
        state=State.ACCEPTED,
        owner="",
        run="",
        job=f"no job known for {row.inference_id}" if row else "",
        project="",
        folder="",
        output="",
        final="",
        root="",
        manifest="",
        model="",
        hold=None,
    )
