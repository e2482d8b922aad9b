"""Makes what exists already a job's result: a generation of the account, or a video file. Never sends what costs."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

from kling_render.config import Settings
from kling_render.errors import DecisionNeeded, StoreFault, UsageError
from kling_render.lifecycle.answers import LogRow
from kling_render.lifecycle.identity import PREFIX_LENGTH, fingerprint_prefix, ulid
from kling_render.lifecycle.records import Attempt, Reserved
from kling_render.lifecycle.states import Event, State
from kling_render.planning.records import PlannedJob
from kling_render.ports import Clock
from kling_render.store.hashing import sha256_of
from kling_render.store.opening import Store
from kling_render.store.transaction import SqliteTransaction
from kling_render.workspace.account.account import MOST_DAYS, Account, Say, open_account
from kling_render.workspace.doubts.resolving import Decision, refuse_driven
from kling_render.workspace.results.checking import ResultChecker
from kling_render.workspace.workspace import PREVIZ, Planned

_CHUNK = 1 << 20
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


@dataclass(slots=True)
class Adopted:
    """The attempt that holds the result now, and what the user should know."""

    attempt: Attempt
    notes: list[str] = field(default_factory=list)


def one_job(planned: Planned, name: str) -> PlannedJob:
    """The job that a name means.

    Raises:
        UsageError: it means several, or this shot list is not paid for.
    """
    if planned.project.provider == PREVIZ:
        raise UsageError(
            "this shot list is rendered by previz: rehearsals are made, never adopted",
            help="add --provider aimlapi to adopt a result of the model",
        )
    jobs = [job for job in planned.everything.jobs if job.job.id == name] or list(planned.plan.jobs)
    if len(jobs) != 1:
        shown = ", ".join(job.job.id for job in jobs[:5]) + (" …" if len(jobs) > 5 else "")
        raise UsageError(f"'{name}' means {len(jobs)} jobs", help=f"name one of {shown}", code="ambiguous")
    return jobs[0]


def source(text: str, cwd: Path) -> Path | str:
    """A file when one stands there, else the id of a generation.

    Raises:
        UsageError: it is neither.
    """
    path = cwd / Path(text).expanduser()
    with contextlib.suppress(OSError, ValueError):
        if path.is_file():
            return path
    if _ID.fullmatch(text):
        return text
    raise UsageError(
        f"'{text}' is no video file, and no generation's id",
        help="an id has letters, digits, _ and - only; a file must exist",
    )


# -- a generation --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopter:
    """What an adoption works with, and who decided it."""

    store: Store
    settings: Settings
    clock: Clock
    decision: Decision
    say: Say


async def adopt_generation(by: Adopter, wanted: Attempt, generation_id: str) -> Adopted:
    """Make a generation of the account the result of a job; it is polled first, which is free.

    Raises:
        UsageError: the generation or the job has another partner; or there is no such generation.
        DecisionNeeded: the job has to be settled first; or the server cannot tell now.
        AccountRefused: no key, or it is refused.
    """
    with by.store.ledger.writing() as ledger:
        held = _held(ledger, by, wanted, generation_id)
    if held is not None:
        return held
    async with open_account(by.settings, by.clock, by.say) as account:
        await _refuse_without_result(account, generation_id)
        row, notes = await _listed(account, generation_id)
        now = by.clock.now() + account.api.server_ahead_s()
        name = account.api.account
    made_at = row.created if row is not None else now
    found = replace(
        wanted,
        id=ulid(now, random.SystemRandom()),
        account=name,
        state=State.ACCEPTED,
        hold=(row.credits if row is not None else None) or wanted.hold,
        generation_id=generation_id,
        reserved_at=made_at,
        intent_at=made_at,
        accepted_at=made_at,
    )
    if row is not None and fingerprint_prefix(row.client_request_id) not in (None, wanted.fingerprint[:PREFIX_LENGTH]):
        notes.append("it was paid for another request than this job's; it is the job's result by your word")
    return Adopted(_recorded(by, found, sent_as=row.client_request_id if row else None), notes)


def _held(ledger: SqliteTransaction, by: Adopter, wanted: Attempt, generation_id: str) -> Adopted | None:
    """What the store knows of the generation already; None when it may be adopted."""
    known = ledger.by_generation(wanted.namespace, generation_id)
    if known is not None and known.fingerprint == wanted.fingerprint and known.is_paid:
        if known.state in (State.IN_DOUBT, State.NEEDS_USER):
            raise _unsettled(known)
        return Adopted(known, [f"{generation_id} is the result of {wanted.job} already"])
    if known is not None and not known.is_unattached:
        how = (
            "failed, and was not charged"
            if not known.is_paid
            else f"is the result of {known.job} ({known.state.value})"
        )
        raise UsageError(f"{generation_id} {how}", help="one generation is one job's result", code="generation-taken")
    _make_room(ledger, by, wanted)
    if known is None:
        return None
    given = ledger.give(known.id, wanted, by.decision.at, **by.decision.detail)
    return Adopted(given, [f"{generation_id} was in the store, without a job"])


async def _refuse_without_result(account: Account, generation_id: str) -> None:
    """Refuse a generation that the account does not have, or that failed; it may still run."""
    answer = await account.generation(generation_id)
    if answer.kind == "unknown-id":
        raise UsageError(
            f"the account has no generation {generation_id}",
            help="check the id, and that the key is of the account that paid for it",
            code="unknown-generation",
        )
    if answer.kind == "failed":
        why = ": ".join(filter(None, (answer.error_name, answer.message)))
        raise UsageError(
            f"{generation_id} failed ({why}); failed generations are not charged, and have no result",
            code="failed-generation",
        )


async def _listed(account: Account, generation_id: str) -> tuple[LogRow | None, list[str]]:
    """The generation's row of the account's log: when it was made, and what for."""
    try:
        rows = await account.log(await account.window(MOST_DAYS))
    except DecisionNeeded as error:
        return None, [f"{error.message}; when it was made is not known"]
    return next((row for row in rows if row.inference_id == generation_id), None), []


# -- a file --------------------------------------------------------------------------------------------------------


def adopt_file(by: Adopter, wanted: Attempt, path: Path) -> Adopted:
    """Make a video file the result of a job: checked like a download, and copied into the store.

    Raises:
        UsageError: it is not a complete video, or the job has another result.
        DecisionNeeded: the job has to be settled first.
        StoreFault: the disk refused.
    """
    store, now = by.store, by.clock.now()
    with store.ledger.writing() as ledger:
        _make_room(ledger, by, wanted)
    owner = store.register(ulid(now, random.SystemRandom()))
    temporary = store.blobs.temporary()
    try:
        _copy(path, temporary)
        warning = _checked(path.name, temporary, wanted.duration_s)
        digest, size = sha256_of(temporary), temporary.stat().st_size
        store.blobs.adopt(temporary, digest)
    finally:
        temporary.unlink(missing_ok=True)
        owner.release()
    found = replace(
        wanted,
        id=ulid(now, random.SystemRandom()),
        state=State.DONE,  # its bytes are safe; the plan puts them in their place, like those of a deleted output
        hold=0,
        charge=0,
        blob=digest,
        size=size,
        reserved_at=now,
        ended_at=now,
    )
    return Adopted(_recorded(by, found, file=str(path)), [f"warning: {warning}"] if warning else [])


def _copy(path: Path, temporary: Path) -> None:
    """What is checked is what is stored: the copy."""
    try:
        reader = path.open("rb")
    except OSError as error:
        raise UsageError(f"{path.name} cannot be read: {error.strerror or error}") from None
    try:
        with reader, temporary.open("xb") as writer:
            shutil.copyfileobj(reader, writer, _CHUNK)
    except OSError as error:
        raise StoreFault(f"{path.name} cannot be copied into the store: {error.strerror or error}") from error


def _checked(name: str, copy: Path, expected_s: float | None) -> str | None:
    """What to say of a complete video, if anything.

    Raises:
        UsageError: it is none.
    """
    checker = ResultChecker()
    try:
        checked = asyncio.run(checker.check(copy, expected_s))
    finally:
        checker.close()
    if checked.problem:
        raise UsageError(
            f"{name} is not a complete video: {checked.problem}",
            help="an mp4 file that decodes to its end is expected",
            code="not-a-video",
        )
    return checked.warning


# -- the ledger ----------------------------------------------------------------------------------------------------


def _recorded(by: Adopter, found: Attempt, **more: str | None) -> Attempt:
    detail = by.decision.detail | {name: value for name, value in more.items() if value}
    with by.store.ledger.writing() as ledger:
        _make_room(ledger, by, found)  # somebody may have been faster
        claim = ledger.adopt(found, by.decision.at, **detail)
        assert isinstance(claim, Reserved)
        return claim.attempt


def _make_room(ledger: SqliteTransaction, by: Adopter, wanted: Attempt) -> None:
    """Refuse unless nothing would be lost; what was given up is set aside for what is found.

    Raises:
        UsageError: the job has a result.
        DecisionNeeded: another attempt for it lives, or its payment is not known.
    """
    standing = ledger.standing(wanted.namespace, wanted.fingerprint)
    if standing is None:
        return
    if standing.state in (State.PAID_LOST, State.ABANDONED):
        ledger.set_aside(standing.id, by.decision.at, **by.decision.detail)
        return
    refuse_driven(by.store, standing)
    if standing.state is State.RESERVED:  # nothing was sent, and nobody drives it any more
        ledger.record(standing.id, Event.RELEASE, by.decision.at)
        return
    if standing.state in (State.DONE, State.FETCHED):
        made = f" ({standing.generation_id})" if standing.generation_id else ""
        raise UsageError(
            f"{wanted.job} has a result already{made}",
            help="it stays; for another one add a take to the shot list and adopt it there",
            code="has-result",
        )
    raise _unsettled(standing)


def _unsettled(standing: Attempt) -> DecisionNeeded:
    if standing.generation_id is not None and standing.state not in (State.IN_DOUBT, State.NEEDS_USER):
        return DecisionNeeded(
            f"{standing.job} runs as {standing.generation_id} already, and is paid for",
            help=f"`kling-render pull` brings it home; `kling-render resolve {standing.job} --abandon` gives it up",
            code="runs-already",
        )
    return DecisionNeeded(
        f"whether {standing.job} was paid for is not known yet, so nothing else can be its result",
        help=f"`kling-render resolve {standing.job} --adopt ID` says which generation it is",
        code="in-doubt",
    )
