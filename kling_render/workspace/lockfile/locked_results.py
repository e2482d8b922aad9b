"""Results that the lock file names and the store does not hold: from the output folder, else from the provider by id.

Nothing is sent that costs. Who wants exactly what is locked gets those bytes or a reason; who would pay otherwise takes
what the provider has under the id, for it is paid. What was paid for another request is not believed, unless the file
says that somebody kept it.
"""

from __future__ import annotations

import asyncio
import errno
import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from kling_render.engine.work import Target
from kling_render.engine.world import Publisher
from kling_render.errors import AccountRefused, KlingRenderError, StoreFault
from kling_render.lifecycle.answers import LogRow, PollAnswer
from kling_render.lifecycle.identity import PREFIX_LENGTH, fingerprint_prefix, ulid
from kling_render.lifecycle.records import Result
from kling_render.lifecycle.schedule import backoff_s
from kling_render.planning.lock import Locked, LockFile, Promise, is_missing
from kling_render.ports import FetchFailed, LinkExpired, LogRefused, LogUnavailable
from kling_render.store.digests import StatDigests
from kling_render.store.hashing import sha256_of
from kling_render.workspace.account.account import MOST_DAYS, Account, Say, Window, open_account
from kling_render.workspace.lockfile.locked_claims import named_otherwise
from kling_render.workspace.lockfile.locked_records import LockedRecords
from kling_render.workspace.lockfile.locking import source_of_results
from kling_render.workspace.lockfile.promises import Claim, Wanted, mark, tree_proof, wanted_of
from kling_render.workspace.workspace import PREVIZ, Planned, Workspace

_AT_ONCE = 8
_FETCHES = 4
_WEEK_S = 7 * 86_400.0


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
    if planned.project.provider == PREVIZ or not any(map(is_missing, planned.plan.jobs)):
        return planned
    lock = source_of_results(workspace, planned.project)
    filled = fill(workspace, planned, digests, lock, exactly=False, say=say) if lock is not None else Filled()
    for reason in dict.fromkeys(filled.failures.values()):
        say(f"note: a result of the lock file is not to be had: {reason}")
    if not filled.changed and not any(job.is_promised for job in planned.plan.jobs):
        return planned
    if count := filled.found + filled.fetched + filled.adopted:
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
    store = workspace.store
    wanted = wanted_of(store, planned.plan, lock, exactly=exactly)
    if not wanted:
        return Filled()
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
        #: Generation → the beginning of the fingerprint that the account's log has it under; only those it names.
        self._names: dict[str, str] = {}
        self._dead: set[str] = set()
        self._alive: set[str] = set()

    # -- here --------------------------------------------------------------------------------------------------

    def from_here(self, one: Wanted) -> bool:
        """Whether its bytes are in the store under another request, or stand in the output folder."""
        for claim in one.claims:
            if claim.against:
                self._fail([one], claim.against)
            elif self._from_store(one, claim) or self._from_tree(one, claim.entry):
                self.filled.found += 1
                self.filled.failures.pop(one.key, None)
                return True
        return one.key in self._workspace.awaited or all(claim.against for claim in one.claims)

    def _from_store(self, one: Wanted, claim: Claim) -> bool:
        """Whether the store has it as the result of the request that it was kept from."""
        entry, known = claim.entry, claim.known
        if known is None or not known.is_paid or known.fingerprint == one.key:
            return False
        if known.blob is None:
            self._workspace.awaited[one.key] = Promise(entry, here=False)
            self._fail([one], f"{known.generation_id}, which it was kept from, is not here yet (`kling-render pull`)")
            return False
        if self._exactly and known.blob != entry.sha256:
            self._fail([one], f"the store's copy of {known.generation_id} differs from the locked one")
            return False
        why = self._records.of_store(one.planned, entry, known)
        if why:
            self._fail([one], why)
        return not why

    def _from_tree(self, one: Wanted, entry: Locked) -> bool:
        proof = tree_proof(self._project, one.planned, entry, self._digests)
        if proof is None:
            return False
        path = self._project.folder / self._project.output_dir / one.planned.job.output
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
        return not self._records.done(one.planned, entry, size=size, credits=None, proof=proof)

    # -- there -------------------------------------------------------------------------------------------------

    def from_provider(self, wanted: list[Wanted]) -> None:
        """Ask for the rest by their ids; what the server cannot tell, or does not have, gets a reason."""
        asked = [one for one in wanted if any(claim.entry.generation_id for claim in one.claims)]
        for one in wanted:
            text = "it was adopted from a file, so only the store that did it has it"
            self.filled.failures.setdefault(one.key, text)
        try:
            if asked:
                asyncio.run(self._ask_for(asked))
        except AccountRefused as refusal:
            if self._exactly:
                raise
            self._fail(asked, refusal.message)

    async def _ask_for(self, wanted: list[Wanted]) -> None:
        said: set[str] = set()

        def say_once(text: str) -> None:
            if text not in said:
                said.add(text)
                self._say(text)

        slots = asyncio.Semaphore(_AT_ONCE)
        done = 0

        async def bring(account: Account, one: Wanted) -> None:
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
            ids = [claim.entry.generation_id for one in wanted for claim in one.claims if not claim.against]
            self._names = await _names(account, [name for name in ids if name], self._workspace, say_once)
            await asyncio.gather(*(bring(account, one) for one in wanted))
        mark(self._store.cache, self._dead, dead=True)
        mark(self._store.cache, self._alive, dead=False)
        if isinstance(self._fault, StoreFault | AccountRefused):
            raise self._fault

    async def _bring(self, account: Account, one: Wanted) -> None:
        for entry in [claim.entry for claim in one.claims if not claim.against]:
            if entry.generation_id is None:
                continue
            if why := named_otherwise(entry, self._names.get(entry.generation_id)):
                self._fail([one], why)
                continue
            answer = await account.generation(entry.generation_id)
            if answer.kind in ("completed", "running"):
                self._alive.add(entry.generation_id)
            if answer.kind == "completed":
                why = await self._fetch(account, one, entry, answer)
            elif answer.kind == "running":
                why = "it still runs"
            else:
                lost = "the account has no generation" if answer.kind == "unknown-id" else "failed:"
                self._dead.add(entry.generation_id)
                self._fail([one], f"{lost} {entry.generation_id}")
                continue
            if why and not self._exactly:
                why = await self._adopt(one, entry, why)
            if not why:
                self.filled.failures.pop(one.key, None)
                return
            self._fail([one], f"{entry.generation_id}: {why}")

    def _proof(self, entry: Locked) -> str:
        """What says, besides the file, what a generation was paid for."""
        named = self._names.get(entry.generation_id or "")
        if named is None:
            return ""
        if entry.kept is None or named == entry.fingerprint[:PREFIX_LENGTH]:
            return "the account's log says that it was paid for this request"
        by = entry.kept.by or "somebody"
        return f"the account's log says that it was paid for {named[:12]}…, which {by} kept it from"

    async def _adopt(self, one: Wanted, entry: Locked, why: str) -> str:
        """It is paid, so the run goes on with it, whatever hindered us; returns why not."""
        proof = self._proof(entry)
        refused = await asyncio.to_thread(self._records.running, one.planned, entry, proof=proof)
        if not refused:
            self.filled.adopted += 1
            if (
                entry.kept is not None
            ):  # paid as another request's: nothing stands for this one until its bytes are here
                self._workspace.awaited[one.key] = Promise(entry, here=False)
            self._say(f"note: {one.planned.job.id}: {why}; {entry.generation_id} is paid, so the run goes on with it")
        return refused

    async def _fetch(self, account: Account, one: Wanted, entry: Locked, answer: PollAnswer) -> str:
        """Why its bytes could not be taken in; empty when they were."""
        blobs, why = self._store.blobs, ""
        for number in range(1, _FETCHES + 1):
            temporary = blobs.temporary()
            try:
                fetched = await account.api.fetch(answer.url or "", temporary)
                if fetched.sha256 != entry.sha256:
                    return f"the provider's copy differs from the locked one ({fetched.sha256[:12]}…)"
                await asyncio.to_thread(blobs.adopt, temporary, fetched.sha256)
                why = await asyncio.to_thread(
                    self._records.done,
                    one.planned,
                    entry,
                    size=fetched.size,
                    credits=answer.credits,
                    proof=self._proof(entry),
                )
                self.filled.fetched += not why
            except FetchFailed as error:
                why = f"it cannot be downloaded now: {error}"
                if isinstance(error, LinkExpired):
                    answer = await account.generation(entry.generation_id or "")
            except OSError as error:
                raise StoreFault(f"the result cannot be stored: {error.strerror or error}") from error
            else:
                return why
            finally:
                temporary.unlink(missing_ok=True)
            pause = backoff_s(number, random.SystemRandom())
            await self._workspace.clock.sleep(min(pause, self._workspace.settings.poll_seconds))
        return why

    def _fail(self, wanted: list[Wanted], why: str) -> None:
        for one in wanted:
            self.filled.failures[one.key] = why


async def _names(account: Account, wanted: Sequence[str], workspace: Workspace, say: Say) -> dict[str, str]:
    """Generation → the beginning of the fingerprint that it was paid for, of those that the account's log names.

    Newest part first, and no further than needed. A log that cannot be read is no reason to pay again: it is said.
    """
    found: dict[str, str] = {}
    missing = set(wanted)
    try:
        await account.api.know_time()
        whole = await account.window(MOST_DAYS)
        end = whole.end
        while missing and end > whole.start:
            start = max(end - _WEEK_S, whole.start)
            for row in await _rows(account, replace(whole, start=start, end=end), workspace):
                missing.discard(row.inference_id)
                if prefix := fingerprint_prefix(row.client_request_id):
                    found[row.inference_id] = prefix
            end = start
    except LogUnavailable as error:
        say(f"note: nobody can say now what the lock file's results were paid for, so it is taken at its word: {error}")
    return {name: prefix for name, prefix in found.items() if name in wanted}


async def _rows(account: Account, window: Window, workspace: Workspace) -> list[LogRow]:
    """A part of the log; a server that does not answer is asked once more.

    Raises:
        AccountRefused: it refuses the key.
        LogUnavailable: there was no answer.
    """
    try:
        return await account.api.log(window.start, window.end)
    except LogRefused as error:
        raise AccountRefused(str(error), help="check the key (AIMLAPI_KEY) and the account", code="refused") from None
    except LogUnavailable:
        await workspace.clock.sleep(min(workspace.settings.poll_seconds, 4.0))
        return await account.api.log(window.start, window.end)
