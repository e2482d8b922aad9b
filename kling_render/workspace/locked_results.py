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
from dataclasses import dataclass, field

from kling_render.engine.work import Target
from kling_render.engine.world import Publisher
from kling_render.errors import AccountRefused, KlingRenderError, StoreFault
from kling_render.lifecycle.answers import PollAnswer
from kling_render.lifecycle.identity import ulid
from kling_render.lifecycle.records import Result
from kling_render.lifecycle.schedule import backoff_s
from kling_render.lifecycle.states import SPENT_NOTHING
from kling_render.planning.lock import Locked, LockFile
from kling_render.planning.records import Action, PlannedJob
from kling_render.ports import FetchFailed, LinkExpired, LogUnavailable
from kling_render.store.digests import StatDigests
from kling_render.store.hashing import sha256_of
from kling_render.workspace.account import Account, Say, open_account
from kling_render.workspace.locked_records import LockedRecords
from kling_render.workspace.locking import source_of_results
from kling_render.workspace.workspace import PREVIZ, Planned, Workspace

_AT_ONCE = 8
_FETCHES = 4
_MISSING = frozenset({Action.RENDER, Action.ADOPT, Action.BLOCKED})


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
    """Nothing is known of it that is or may be paid: what only the user can settle stays with the user."""
    attempt = planned.attempt
    open_to_all = attempt is None or planned.action is not Action.BLOCKED or attempt.state in SPENT_NOTHING
    return planned.action in _MISSING and planned.result is None and open_to_all


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
        self._records = LockedRecords(workspace.store, workspace.clock, planned.project, planned.plan.namespace)
        self._digests = digests
        self._exactly = exactly
        self._say = say
        self._fault: KlingRenderError | None = None
        with self._store.ledger.reading() as ledger:
            self._by_blob = {result.blob: result for result in ledger.results(planned.plan.namespace).values()}

    # -- here --------------------------------------------------------------------------------------------------

    def from_here(self, one: _Wanted) -> bool:
        """Whether its bytes are in the store under another request, or stand in the output folder."""
        for entry in one.entries:
            if entry.sha256 in self._by_blob and self._records.link(
                one.planned.key, self._by_blob[entry.sha256].fingerprint
            ):
                self.filled.found += 1
                return True
            if self._from_tree(one, entry):
                self.filled.found += 1
                return True
        return False

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
        return not self._records.done(one.planned, entry, size, None)

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
        refused = await asyncio.to_thread(self._records.running, one.planned, entry)
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
                why = await asyncio.to_thread(self._records.done, one.planned, entry, fetched.size, answer.credits)
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

    def _fail(self, wanted: list[_Wanted], why: str) -> None:
        for one in wanted:
            self.filled.failures[one.key] = why


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
