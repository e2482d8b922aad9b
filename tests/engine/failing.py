"""A whole paid run on real files, real blobs, a real ledger and a real output tree, of which any part may fail."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import random
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from kling_render.disk.faults import FaultyFiles
from kling_render.disk.filesystem import REAL, FileSystem
from kling_render.disk.publish import is_part
from kling_render.engine.run import Run
from kling_render.engine.work import Options, RunReport, Stop, Work
from kling_render.engine.world import World
from kling_render.errors import StoreFault
from kling_render.lifecycle.identity import ulid
from kling_render.lifecycle.records import Attempt
from kling_render.lifecycle.states import OPEN, SPENT_NOTHING, State
from kling_render.outputs import sidecar
from kling_render.outputs.index import NAME, document, read_index, write_index
from kling_render.outputs.publisher import TreePublisher
from kling_render.outputs.tree import OutputTree
from kling_render.ports import Ledger, LedgerTransaction
from kling_render.store import spool
from kling_render.store.group_commit import GroupCommit
from kling_render.store.ledger import connect, version_of
from kling_render.store.opening import Store
from tests.engine.studio import Api, Believing, Crash, Preparing, Provider, Told, VirtualClock, work

T = TypeVar("T")
ROTTEN = b"rotten"
PATIENT = Options(poll_s=15.0, wait_doubts=True)


class WatchedFiles(FaultyFiles):
    """Notes which file each sync is of, and whether it failed."""

    def __init__(self, at: int, errno: int, **options: Any) -> None:
        super().__init__(at, errno, **options)
        self.syncs: list[tuple[int, bool]] = []
        counted = FaultyFiles.__getattribute__(self, "fsync")

        def fsync(fd: int) -> None:
            inode = os.fstat(fd).st_ino
            try:
                counted(fd)
            except OSError:
                self.syncs.append((inode, False))
                raise
            self.syncs.append((inode, True))

        self._watched = fsync

    def __getattribute__(self, name: str) -> Any:
        if name == "fsync":
            return super().__getattribute__("__dict__").get("_watched") or super().__getattribute__(name)
        return super().__getattribute__(name)

    def retried(self) -> list[int]:
        """Files that were synced again after a sync of them had failed."""
        failed: set[int] = set()
        again = []
        for inode, fine in self.syncs:
            if inode in failed:
                again.append(inode)
            if not fine:
                failed.add(inode)
        return again


@dataclass(slots=True)
class FailingLedger:
    """The n-th write fails (from 1), once or from then on; or it becomes durable and is reported as failed.

    With `full`, every write fails while that says so.
    """

    inner: Ledger
    at: int = 0
    lasting: bool = False
    after: bool = False
    full: Callable[[], bool] = lambda: False
    writes: int = 0

    async def write(self, work: Callable[[LedgerTransaction], T]) -> T:
        self.writes += 1
        reached = self.writes == self.at or (self.lasting and self.writes > self.at > 0)
        fails = reached or self.full()
        if fails and not self.after:
            raise StoreFault("the disk is full", code="store-full")
        value = await self.inner.write(work)
        if fails:
            raise StoreFault("the disk reports an input/output error", code="store-io")
        return value

    async def read(self, work: Callable[[LedgerTransaction], T]) -> T:
        return await self.inner.read(work)


@dataclass(slots=True)
class Outcome:
    """What became of one process."""

    #: None: it could not even start.
    report: RunReport | None
    messages: str
    ledger_writes: int = 0


@dataclass(slots=True)
class Bench:
    """One store, one project, one API; each `run` is a process."""

    folder: Path
    seed: int = 1
    clock: VirtualClock = field(default_factory=VirtualClock)
    api: Api = field(init=False)
    #: Words of the server, one per submit; see `Api.script`.
    script: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.api = Api(self.clock, script=list(self.script))
        self.project.mkdir(parents=True, exist_ok=True)

    @property
    def project(self) -> Path:
        return self.folder / "project"

    @property
    def root(self) -> Path:
        return self.project / "renders"

    def work(self, name: str) -> Work:
        """A wanted result in this bench's project."""
        made = work(name)
        (target,) = made.targets
        output, final = self.root / "takes" / f"{name}.mp4", self.root / f"{name}.mp4"
        placed = replace(target, root=self.root, folder=self.project, output=output, final=final)
        return replace(made, targets=(placed,))

    def run(
        self,
        works: list[Work],
        *,
        fs: FileSystem = REAL,
        max_pages: int | None = None,
        ledger: Callable[[Ledger], Ledger] = lambda inner: inner,
        options: Options = PATIENT,
    ) -> Outcome:
        """A whole process, from opening the store to closing it."""
        return asyncio.run(self._process(works, fs, max_pages, ledger, options))

    async def _process(
        self,
        works: list[Work],
        fs: FileSystem,
        max_pages: int | None,
        ledger: Callable[[Ledger], Ledger],
        options: Options,
    ) -> Outcome:
        try:
            with Store.open(self.folder / "store", fs=fs, max_pages=max_pages) as store:
                return await self._with(store, works, fs, ledger, options)
        except StoreFault as fault:
            return Outcome(None, f"{fault.message} {fault.help}")

    async def _with(
        self, store: Store, works: list[Work], fs: FileSystem, ledger: Callable[[Ledger], Ledger], options: Options
    ) -> Outcome:
        async with AsyncExitStack() as stack:
            world = self._world(store, fs, stack, ledger)
            known = [replace(each, result=_result(store, each.key)) for each in works]
            report = await Run(world, options, known, str(self.project)).execute()
        with contextlib.suppress(OSError):
            tree = OutputTree(root=self.root, digests=store.digests(), stamp="s", fs=fs)
            write_index(tree, document("tiny", "sandbox", ()))
        shown = [*report.stops.values(), *(job.detail for job in report.jobs.values())]
        shown += [job.failure.message for job in report.jobs.values() if job.failure]
        return Outcome(report, "\n".join(shown), getattr(world.ledger, "writes", 0))

    def _world(self, store: Store, fs: FileSystem, stack: AsyncExitStack, ledger: Callable[[Ledger], Ledger]) -> World:
        chance = random.Random(self.seed)
        self.seed += 1
        token = ulid(self.clock.now(), chance)
        stack.callback(store.register(token).release)
        store.record_spooled(self.clock.now())
        commits = GroupCommit(store.ledger)
        stack.push_async_callback(commits.aclose)
        slots = store.spool(token)
        stack.callback(slots.close)
        digests = store.digests()
        return World(
            clock=self.clock,
            chance=chance,
            ledger=ledger(commits),
            blobs=store.blobs,
            checker=Believing(),
            publisher=TreePublisher(store.blobs, digests, now=self.clock.now, tool_version="1", fs=fs),
            owners=store,
            watcher=Told(),
            owner=token,
            run=ulid(self.clock.now(), chance),
            namespace="sandbox",
            spool=slots,
            provider=Provider(self.api, Crash()),
            uploads=Preparing(),
        )

    # -- what is looked at afterwards ----------------------------------------------------------------------

    def attempts(self) -> list[Attempt]:
        """Every attempt of the store, in order."""
        path = self.folder / "store" / "ledger.sqlite3"
        if not path.exists():
            return []
        with contextlib.closing(connect(path)) as ledger:
            if version_of(ledger) == 0:
                return []  # nothing got as far as its first table
            with ledger.reading() as view:
                return view.attempts("sandbox")

    def kept(self) -> set[str]:
        """Every generation id that ledger and spool hold."""
        slots = spool.recover(self.folder / "store" / "spool", lambda _: False)
        found = {a.generation_id for a in self.attempts()} | {slot.generation_id for slot in slots}
        return {each for each in found if each}

    @property
    def answers_lost(self) -> set[str]:
        """Generations whose answer proved nothing; the id in a 5xx's header need not be one."""
        accepted = [word for word in self.script if word in ("ok", "lost", "5xx", "5xx-id")]
        return {f"gen{number}" for number, word in enumerate(accepted, 1) if word != "ok"}

    def has_accepted(self) -> bool:
        """Whether the server has taken something."""
        return bool(self.api.generations)

    def intended(self) -> int:
        """How many attempts say that money may have moved."""
        return sum(a.state not in SPENT_NOTHING and a.state is not State.RESERVED for a in self.attempts())

    def paid_once(self) -> None:
        """Nothing was accepted twice, and nothing was sent that was not meant to be."""
        assert all(count == 1 for count in self.api.accepted().values()), self.api.accepted()
        assert len(self.api.submits) == len(set(self.api.submits))

    def whole(self) -> None:
        """Every file under a final name is complete, in the tree and in the store."""
        expected = {f"https://cdn/{generation}".encode() for generation in self.api.generations}
        for path in _files(self.root):
            if path.name == NAME:
                assert read_index(self.root) is not None, path
            elif path.suffix == sidecar.SUFFIX:
                assert sidecar.is_ours(path.read_bytes()), path
            else:
                assert path.read_bytes() in expected, path
        for path in _files(self.folder / "store" / "blobs"):
            if path.read_bytes() == ROTTEN:
                continue  # by a test, and not found yet
            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name

    def finished(self, works: list[Work]) -> None:
        """Everything wanted is published, nothing is open, and every result belongs to a generation of the server."""
        self.paid_once()
        self.whole()
        found = self.attempts()
        assert not [a for a in found if a.state in OPEN], found
        done = {a.generation_id for a in found if a.state is State.DONE}
        assert done == {g.id for g in self.api.generations.values() if not g.failed}
        for each in works:
            for target in each.targets:
                assert target.output.is_file(), target.output
                assert target.final.is_file(), target.final
                assert target.output.with_name(target.output.name + sidecar.SUFFIX).is_file()


def stopped_for_the_store(outcome: Outcome) -> bool:
    """The process said that its store failed."""
    return outcome.report is None or Stop.STORE in outcome.report.stops


def _result(store: Store, key: str) -> Any:
    with store.ledger.reading() as ledger:
        return ledger.result("sandbox", key)


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not is_part(path.name):
            yield path
