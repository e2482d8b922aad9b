"""A machine with a disk and a clock, and the processes on it, which may die at any step."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from kling_render.disk.filesystem import FileSystem, Folder
from kling_render.errors import StoreFault
from kling_render.store.group_commit import BATCH, GroupCommit, _deliver, _Piece
from kling_render.store.ledger import SqliteLedger
from kling_render.store.transaction import SqliteTransaction
from tests.sim.loop import Killed

if TYPE_CHECKING:
    from kling_render.engine.run import Run
    from tests.sim.world import Sim

T = TypeVar("T")
EPOCH = 1_800_000_000.0


@dataclass(slots=True)
class Disk:
    """What the disk refuses at the moment."""

    #: "", "full" (no new block) or "dead" (no write at all).
    trouble: str = ""
    #: How many more writes of the ledger fail; None: until somebody mends it.
    writes_left: int | None = None
    #: It was in trouble at some time; it took nothing at all at some time.
    hurt: bool = False
    died: bool = False

    def breaks(self, trouble: str, writes: int | None = None) -> None:
        self.trouble, self.writes_left, self.hurt = trouble, writes, True
        self.died |= trouble == "dead"

    def mend(self) -> None:
        self.trouble, self.writes_left = "", None

    def ledger_write(self) -> None:
        """A write of the ledger: raises while there is no room."""
        if not self.trouble:
            return
        what = "the disk is full" if self.trouble == "full" else "the disk reports an input/output error"
        if self.writes_left is not None:
            self.writes_left -= 1
            if self.writes_left <= 0:
                self.mend()
        raise StoreFault(f"cannot write the ledger: {what}")

    def raises(self) -> None:
        """A write of a file that needs room."""
        if self.trouble:
            raise OSError(errno.ENOSPC if self.trouble == "full" else errno.EIO, "no room")


@dataclass(slots=True)
class Machine:
    """One computer: a store, an output folder, a clock that may be set."""

    sim: Sim
    folder: Path
    disk: Disk = field(default_factory=Disk)
    #: How far its wall clock is ahead of true time, in seconds.
    clock_off: float = 0.0

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def out(self) -> Path:
        return self.folder / "renders"

    def now(self) -> float:
        return EPOCH + self.sim.true() + self.clock_off

    def monotonic(self) -> float:
        return self.sim.loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(seconds, 0.0))


class Process:
    """One program run; every effect it has on the world is a step, and at one of them it may die."""

    def __init__(self, machine: Machine, name: str, *, kill_at: int = 0, leave_at: tuple[int, ...] = ()) -> None:
        self.machine = machine
        self.sim = machine.sim
        self.name = name
        self.kill_at = kill_at
        self.leave_at = leave_at
        self.dead = False
        self.count = 0
        #: Submitting was stopped, by whom.
        self.stopped = ""
        self.refused = False
        #: Client request id → the generation id that an answer told it.
        self.told_ids: dict[str, str] = {}
        #: Its name among the store's owners.
        self.token = ""
        self.running: Run | None = None
        self.fds: set[int] = set()
        self.connections: list[Any] = []

    def step(self, what: str) -> None:
        """One effect; raises when the process dies at it, or is dead."""
        if self.dead:
            raise Killed
        self.count += 1
        self.sim.note(self.name, what)
        if self.count == self.kill_at:
            self.die()
            raise Killed
        if self.count in self.leave_at and self.running is not None:
            self.sim.loop.call_soon(self._leave)

    async def astep(self, what: str) -> None:
        """One effect, where the process can wait: it dies here by never going on."""
        try:
            self.step(what)
        except Killed:
            await self.sim.loop.create_future()

    def die(self) -> None:
        """kill -9: files stay as they are, locks and descriptors go."""
        self.sim.note(self.name, "KILLED")
        self.dead = True
        for fd in self.fds:
            with contextlib.suppress(OSError):
                os.close(fd)
        self.fds.clear()
        self.sim.ended(self)

    def stop(self, why: str) -> None:
        """Nothing may be submitted from now on."""
        self.stopped = self.stopped or why
        self.sim.note(self.name, "stop", why)

    def _leave(self) -> None:
        from kling_render.engine.work import Stop

        if self.running is not None:
            self.stop("interrupted")
            self.running.leave(Stop.INTERRUPTED, "interrupted")


class SimFiles(FileSystem):
    """The disk under one process: each call is a step and may be refused."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def open(self, folder: Folder, name: str, flags: int, mode: int = 0o600) -> int:
        self._process.step("fs open")
        if flags & os.O_CREAT:
            self._process.machine.disk.raises()
        fd = super().open(folder, name, flags, mode)
        self._process.fds.add(fd)
        return fd

    def close(self, fd: int) -> None:
        if self._process.dead:
            return  # closed when it died
        self._process.fds.discard(fd)
        super().close(fd)

    def write(self, fd: int, data: bytes | memoryview) -> int:
        self._process.step("fs write")
        disk = self._process.machine.disk
        if disk.trouble:
            place, size = os.lseek(fd, 0, os.SEEK_CUR), os.fstat(fd).st_size
            if disk.trouble == "dead" or place + len(data) > size:
                disk.raises()
        return super().write(fd, data)

    def clone(self, target: int, source: int) -> bool:
        return False

    def copy_range(self, target: int, source: int, count: int) -> int | None:
        return None

    def fsync(self, fd: int) -> None:
        self._process.step("fs sync")
        if self._process.machine.disk.trouble == "dead":
            self._process.machine.disk.raises()

    def fsync_folder(self, folder: Folder) -> None:
        self._process.step("fs sync folder")

    def replace(self, source: Folder, name: str, target: Folder, new_name: str) -> None:
        self._process.step("fs rename")
        super().replace(source, name, target, new_name)

    def unlink(self, folder: Folder, name: str) -> None:
        self._process.step("fs unlink")
        super().unlink(folder, name)

    def mkdir(self, folder: Folder, name: str, mode: int = 0o777) -> None:
        self._process.step("fs mkdir")
        self._process.machine.disk.raises()
        super().mkdir(folder, name, mode)


class SimLedger(SqliteLedger):
    """The real ledger; its process may die before, inside and after a transaction, and the disk may refuse it."""

    def __init__(self, opened: SqliteLedger, process: Process) -> None:
        super().__init__(opened.path, opened.connection)
        self._host = process

    @contextlib.contextmanager
    def writing(self) -> Iterator[SqliteTransaction]:
        host = self._host
        host.step("ledger write")
        try:
            with super().writing() as transaction:
                yield transaction
                host.step("ledger commit")
                host.machine.disk.ledger_write()
        except StoreFault:
            host.sim.note(host.name, "store fault")
            raise
        host.sim.committed(host)
        host.step("ledger committed")

    @contextlib.contextmanager
    def reading(self) -> Iterator[SqliteTransaction]:
        self._host.step("ledger read")
        with super().reading() as transaction:
            yield transaction


class LoopCommit(GroupCommit):
    """The real group commit without its thread: what came until the loop gets to it shares a transaction."""

    def __init__(self, ledger: SimLedger, process: Process, chance: random.Random) -> None:
        self._ledger = ledger
        self._batch = BATCH
        self._check_first = False
        self._closed = False
        self._process = process
        self._chance = chance
        self._pieces: list[_Piece] = []

    def _submit(self, work: Callable[[Any], T], *, writes: bool) -> asyncio.Future[T]:
        if self._closed:
            raise StoreFault("the store is already closed", code="store-closed")
        loop = self._process.sim.loop
        future: asyncio.Future[T] = loop.create_future()
        if not self._pieces:
            loop.call_later(self._chance.random() * 0.01, self._serve_some)
        self._pieces.append(_Piece(work, writes, future.get_loop(), future))
        return future

    def _serve_some(self) -> None:
        pieces, self._pieces = self._pieces, []
        self._run_writes([piece for piece in pieces if piece.writes])
        if not self._process.dead:
            self._run_reads([piece for piece in pieces if not piece.writes])
        if self._process.dead:
            raise Killed
        _deliver(pieces)

    def close(self) -> None:
        self._closed = True
        if self._pieces:
            self._serve_some()
