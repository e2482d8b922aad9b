"""Results that the lock file names and the store does not hold: from the output folder, else from the provider by id.

Nothing is sent that costs. Who wants exactly what is locked gets those bytes or a reason; who would pay otherwise takes
what the provider has under the id, for it is paid.
"""

from __future__ import annotations

import asyncio
import errno
import random
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from kling_render.engine.work import Target
from kling_render.engine.world import Publisher
from kling_render.errors import AccountRefused, KlingRenderError, StoreFault
from kling_render.lifecycle.answers import PollAnswer
from kling_render.lifecycle.identity import ulid
from kling_render.lifecycle.records import Attempt, Result, credits_of
from kling_render.lifecycle.schedule import backoff_s
from kling_render.lifecycle.states import State
from kling_render.planning.lock import Locked, LockFile
from kling_render.planning.records import Action, PlannedJob
from kling_render.ports import FetchFailed, LinkExpired, LogUnavailable
from kling_render.store.digests import StatDigests
from kling_render.store.hashing import sha256_of
from kling_render.store.transaction import SqliteTransaction
from kling_render.workspace.account import Account, Say, open_account
from kling_render.workspace.locking import source_of_results
from kling_render.workspace.resolving import who
from kling_render.workspace.wanted import wanted_attempt
from kling_render.workspace.workspace import PREVIZ, Planned, Workspace

_DAY_S = 86_400.0
_AT_ONCE = 8
_FETCHES = 4
_MISSING = frozenset({Action.RENDER, Action.ADOPT, Action.BLOCKED})
_WHY = {"why": "the lock file names it"}


@dataclass(slots=True)
class Filled:
    """What came of looking for locked results."""

    #: Found in the store or in the output folder.
    found: int = 0
    #: Fetched from the provider.
    fetched: int = 0
    #: Adopted without their bytes: the run goes on with them.
    adopted: int = 0
    #: Result key → why it cannot be had.
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def changed(self) -> bool:
        """Whether the store knows more than before."""
        return bool(self.found or self.fetched or self.adopted)


@dataclass(frozen=True, slots=True)
class _Wanted:
    planned: PlannedJob
    entries: tuple[Locked, ...]

    @property
    def key(self) -> str:
        return self.planned.key


def filled_from_lock(
    workspace: Workspace, planned: Planned, digests: StatDigests, replan: Callable[[], Planned], say: Say
) -> Planned:
    """The plan after the lock file's results were taken in that the store did not hold: before anything is paid.

    Args:
        workspace: the project on its store.
        planned: what would be done without the lock file.
        digests: the stat cache.
        replan: makes the plan again.
        say: notices.
    """
    if planned.project.provider == PREVIZ or not any(_is_missing(job) for job in planned.plan.jobs):
        return planned
    lock = source_of_results(workspace, planned.project)
    filled = fill(workspace, planned, digests, lock, exactly=False, say=say) if lock is not None else Filled()
    for reason in dict.fromkeys(filled.failures.values()):
        say(f"note: a result of the lock file is not to be had: {reason}")
    if not filled.changed:
        return planned
    count = filled.found + filled.fetched + filled.adopted
    say(f"found by the lock file: {count} {'result' if count == 1 else 'results'}, for nothing")
    return replan()


def fill(
    workspace: Workspace, planned: Planned, digests: StatDigests, lock: LockFile, *, exactly: bool, say: Say
) -> Filled:
    """Take in what the lock file names for the plan's jobs.

    Args:
        workspace: the project on its store.
        planned: its plan.
        digests: the stat cache.
        lock: the file.
        exactly: only the locked bytes count.
        say: notices.

    Raises:
        AccountRefused: no key, or it is refused, and only the locked bytes count.
        StoreFault: the disk refused.
    """
    wanted = _wanted(planned, lock, exactly=exactly)
    if not wanted:
        return Filled()
    store = workspace.store
    owner = store.register(ulid(workspace.clock.now(), random.SystemRandom()))
    try:
        filling = _Filling(workspace, planned, digests, exactly, say)
        rest = [one for one in wanted if not filling.from_here(one)]
        if rest:
            filling.from_provider(rest)
    finally:
        owner.release()
    return filling.filled


class OnlyLocked:
    """`engine.world.Publisher` that publishes the locked bytes, and no others.

    Args:
        publisher: the real one.
        sha256: job id → the locked SHA-256.
    """

    def __init__(self, publisher: Publisher, sha256: Mapping[str, str]) -> None:
        self._publisher = publisher
        self._sha256 = sha256

    def publish(self, target: Target, result: Result, manifest: str) -> None:
        """See `engine.world.Publisher`."""
        if self._sha256.get(target.job) != result.blob:
            raise OSError(errno.EPERM, "the provider's copy differs from the one in the lock file", str(target.output))
        self._publisher.publish(target, result, manifest)


def _is_missing(planned: PlannedJob) -> bool:
    return planned.action in _MISSING and planned.result is None


def _wanted(planned: Planned, lock: LockFile, *, exactly: bool) -> list[_Wanted]:
    """One per result that is missing and that the file names; a renamed job finds its own under the old id."""
    known = lock.by_fingerprint()
    found: dict[str, _Wanted] = {}
    for job in planned.plan.jobs:
        entries = lock.jobs.get(job.job.id, ())[:1] if exactly else tuple(known.get(job.key, ()))
        if entries and _is_missing(job):
            found.setdefault(job.key, _Wanted(job, entries))
    return list(found.values())


class _Filling:
    """Looks for results, nearest first."""

    def __init__(self, workspace: Workspace, planned: Planned, digests: StatDigests, exactly: bool, say: Say) -> None:
        self.filled = Filled()
        self._workspace = workspace
        self._store = workspace.store
        self._project = planned.project
        self._namespace = planned.plan.namespace
        self._digests = digests
        self._exactly = exactly
        self._say = say
        self._fault: KlingRenderError | None = None
        with self._store.ledger.reading() as ledger:
            self._by_blob = {result.blob: result for result in ledger.results(self._namespace).values()}

    # -- here --------------------------------------------------------------------------------------------------

    def from_here(self, one: _Wanted) -> bool:
        """Whether its bytes are in the store under another request, or stand in the output folder."""
        for entry in one.entries:
            if entry.sha256 in self._by_blob and self._linked(one, entry):
                self.filled.found += 1
                return True
            if self._from_tree(one, entry):
                self.filled.found += 1
                return True
        return False

    def _linked(self, one: _Wanted, entry: Locked) -> bool:
        """Let a result of the store be that of this request too, as the file says (somebody kept it, elsewhere)."""
        with self._store.ledger.writing() as ledger:
            return self._link(ledger, one, self._by_blob[entry.sha256].fingerprint)

    def _link(self, ledger: SqliteTransaction, one: _Wanted, fingerprint: str) -> bool:
        if ledger.standing(self._namespace, one.key) is not None:
            return False
        at = self._workspace.clock.now()
        return ledger.keep(self._namespace, one.key, fingerprint, at, by=who(), **_WHY) is not None

    def _from_tree(self, one: _Wanted, entry: Locked) -> bool:
        path = self._project.folder / self._project.output_dir / one.planned.job.output
        try:
            if self._digests.sha256(path) != entry.sha256:
                return False
        except OSError:
            return False
        temporary = self._store.blobs.temporary()
        try:
            shutil.copyfile(path, temporary)
            size = temporary.stat().st_size
            if sha256_of(temporary) != entry.sha256:
                return False
            self._store.blobs.adopt(temporary, entry.sha256)
        except OSError as error:
            raise StoreFault(f"{path.name} cannot be copied into the store: {error.strerror or error}") from error
        finally:
            temporary.unlink(missing_ok=True)
        return not self._recorded(one, entry, _done(entry, size, None))

    # -- there -------------------------------------------------------------------------------------------------

    def from_provider(self, wanted: list[_Wanted]) -> None:
        """Ask for the rest by their ids; what the server cannot tell, or does not have, gets a reason."""
        asked = [one for one in wanted if any(entry.generation_id for entry in one.entries)]
        for one in wanted:
            self.filled.failures[one.key] = "it was adopted from a file, so only the store that did it has it"
        try:
            if asked:
                asyncio.run(self._ask_for(asked))
        except AccountRefused as refusal:
            if self._exactly:
                raise
            self._fail(asked, refusal.message)

    async def _ask_for(self, wanted: list[_Wanted]) -> None:
        said: set[str] = set()

        def say_once(text: str) -> None:
            if text not in said:
                said.add(text)
                self._say(text)

        slots = asyncio.Semaphore(_AT_ONCE)
        done = 0

        async def bring(account: Account, one: _Wanted) -> None:
            nonlocal done
            async with slots:
                try:
                    if self._fault is None:
                        await self._bring(account, one)
                except KlingRenderError as fault:
                    self._fault = self._fault or fault
                if self._fault is not None:
                    self._fail([one], self._fault.message)
            done += 1
            self._workspace.report("locked results", done, len(wanted))

        async with open_account(self._workspace.settings, self._workspace.clock, say_once) as account:
            await asyncio.gather(*(bring(account, one) for one in wanted))
        if isinstance(self._fault, StoreFault | AccountRefused):
            raise self._fault

    async def _bring(self, account: Account, one: _Wanted) -> None:
        for entry in one.entries:
            if entry.generation_id is None:
                continue
            answer = await _polled(account, entry.generation_id)
            if answer.kind == "completed":
                why = await self._fetch(account, one, entry, answer)
            elif answer.kind == "running":
                why = "it still runs"
            else:
                lost = "the account has no generation" if answer.kind == "unknown-id" else "failed:"
                self._fail([one], f"{lost} {entry.generation_id}")
                continue
            if why and not self._exactly:
                why = await self._adopt(one, entry, why)
            if not why:
                self.filled.failures.pop(one.key, None)
                return
            self._fail([one], f"{entry.generation_id}: {why}")

    async def _adopt(self, one: _Wanted, entry: Locked, why: str) -> str:
        """It is paid, so the run goes on with it, whatever hindered us; returns why not."""
        refused = await asyncio.to_thread(self._recorded, one, entry, {"state": State.ACCEPTED})
        if not refused:
            self.filled.adopted += 1
            self._say(f"note: {one.planned.job.id}: {why}; {entry.generation_id} is paid, so the run goes on with it")
        return refused

    async def _fetch(self, account: Account, one: _Wanted, entry: Locked, answer: PollAnswer) -> str:
        """Why its bytes could not be taken in; empty when they were."""
        blobs, why = self._store.blobs, ""
        for number in range(1, _FETCHES + 1):
            temporary = blobs.temporary()
            try:
                fetched = await account.api.fetch(answer.url or "", temporary)
                if fetched.sha256 != entry.sha256:
                    return f"the provider's copy differs from the locked one ({fetched.sha256[:12]}…)"
                await asyncio.to_thread(blobs.adopt, temporary, fetched.sha256)
                facts = _done(entry, fetched.size, answer.credits)
                why = await asyncio.to_thread(self._recorded, one, entry, facts)
                self.filled.fetched += not why
            except FetchFailed as error:
                why = f"it cannot be downloaded now: {error}"
                if isinstance(error, LinkExpired):
                    answer = await _polled(account, entry.generation_id or "")
            except OSError as error:
                raise StoreFault(f"the result cannot be stored: {error.strerror or error}") from error
            else:
                return why
            finally:
                temporary.unlink(missing_ok=True)
            pause = backoff_s(number, random.SystemRandom())
            await self._workspace.clock.sleep(min(pause, self._workspace.settings.poll_seconds))
        return why

    # -- the ledger --------------------------------------------------------------------------------------------

    def _recorded(self, one: _Wanted, entry: Locked, facts: Mapping[str, object]) -> str:
        """Make the locked generation the job's result; returns why not."""
        now = self._workspace.clock.now()
        with self._store.ledger.writing() as ledger:
            known = ledger.by_generation(self._namespace, entry.generation_id) if entry.generation_id else None
            if known is not None:
                return self._of_known(ledger, one, entry, known)
            found = self._attempt(one, entry, now, facts)
            claim = ledger.adopt(found, now, by=who(), **_WHY)
        return "" if claim.attempt.id == found.id else "another attempt for it is open (`kling-render pull`)"

    def _of_known(self, ledger: SqliteTransaction, one: _Wanted, entry: Locked, known: Attempt) -> str:
        """A generation that the store knows already may be this job's too, if its bytes are the locked ones."""
        if known.is_unattached and known.is_paid and ledger.standing(self._namespace, one.key) is None:
            wanted = wanted_attempt(one.planned, self._project, self._namespace)
            ledger.give(known.id, wanted, self._workspace.clock.now(), by=who(), **_WHY)
            return ""
        if known.blob == entry.sha256 and self._link(ledger, one, known.fingerprint):
            return ""
        return f"it is the result of {known.job} in this store"

    def _attempt(self, one: _Wanted, entry: Locked, now: float, facts: Mapping[str, object]) -> Attempt:
        """Paid before, by somebody: when is not known, but this is no spending of today."""
        wanted = wanted_attempt(one.planned, self._project, self._namespace)
        paid = None if entry.usd is None else credits_of(Decimal(entry.usd))
        before = now - _DAY_S - 1.0
        made = replace(
            wanted,
            id=ulid(now, random.SystemRandom()),
            hold=wanted.hold if paid is None else paid,
            generation_id=entry.generation_id,
            reserved_at=before,
            intent_at=before,
            accepted_at=before,
            ended_at=now,
        )
        if facts["state"] is State.ACCEPTED:  # its age counts from now: it is not late
            made = replace(made, accepted_at=now, ended_at=None)
        return replace(made, **facts)  # type: ignore[arg-type]

    def _fail(self, wanted: list[_Wanted], why: str) -> None:
        for one in wanted:
            self.filled.failures[one.key] = why


def _done(entry: Locked, size: int, credits_: int | None) -> dict[str, object]:
    """Facts of a result whose bytes are safe: the plan puts them in their place."""
    told = None if entry.usd is None else credits_of(Decimal(entry.usd))
    charge = told if credits_ is None else credits_
    return {"state": State.DONE, "blob": entry.sha256, "size": size, "charge": charge}


async def _polled(account: Account, generation_id: str) -> PollAnswer:
    """The generation as the server sees it.

    Raises:
        DecisionNeeded: the server cannot tell now.
        AccountRefused: it refuses the key.
    """

    async def ask() -> PollAnswer:
        answer = await account.api.poll(generation_id)
        if answer.kind == "unavailable":
            raise LogUnavailable(f"the server cannot tell now whether {generation_id} exists: {answer.message}")
        return answer

    answer = await account.patiently(ask)
    if answer.kind == "refused":
        raise AccountRefused(answer.message, help="check the key (AIMLAPI_KEY)", code="refused")
    return answer
