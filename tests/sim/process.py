"""One run of the program: the real engine between the simulated ports, wired as the program wires it."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import random
from collections.abc import Iterator
from contextvars import copy_context
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kling_render.disk.publish import make_folders, publish_copy
from kling_render.engine.run import Run
from kling_render.engine.work import JobState, Options, Progress, RunReport, Stop, Target, Work
from kling_render.engine.world import Checked, World
from kling_render.errors import Place, StoreFault
from kling_render.lifecycle.identity import ulid
from kling_render.lifecycle.records import Result
from kling_render.lifecycle.requests import SubmitRequest
from kling_render.shotlist.records import InputRef, Request
from kling_render.store.opening import Store
from tests.sim.loop import PROCESS
from tests.sim.machine import LoopCommit, Machine, Process, SimFiles, SimLedger
from tests.sim.server import Connection, whole
from tests.sim.weather import PRICE

if TYPE_CHECKING:
    import asyncio

FOLDER = Path("/project")
_PLACE = Place("shotlist.yaml", 1, 1)
_NAMES = ("fox", "cat", "owl", "elk", "bee", "yak")
_KEYS = {name: hashlib.sha256(name.encode()).hexdigest() for name in _NAMES}
_DELIVERED = (JobState.DONE, JobState.RESTORED, JobState.UP_TO_DATE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A program that is started: when, as what, and what becomes of it."""

    at: float = 0.0
    name: str = "p1"
    #: "render" or "pull".
    command: str = "render"
    #: How many of the jobs its shot list has; `pull` may know none.
    jobs: int = 6
    options: Options
    kill_at: int = 0
    leave_at: tuple[int, ...] = ()
    #: Not before the earlier ones have ended.
    after: bool = False


class Tree:
    """Publishes as the program does: a temporary file, synced and renamed."""

    def __init__(self, process: Process, store: Store, chance: random.Random) -> None:
        self._process = process
        self._store = store
        self._chance = chance

    def publish(self, target: Target, result: Result, manifest: str) -> None:
        del manifest
        self._process.step(f"publish {target.output.name}")
        if self._chance.random() < self._process.sim.server.weather.unwritable:
            raise PermissionError(errno.EACCES, "the output folder refuses it")
        files = self._store.fs
        blob = self._store.blobs.path(result.blob)
        for path in (target.output, target.final):
            make_folders(path.parent, fs=files)
            with files.folder(path.parent) as folder:
                publish_copy(folder, path.name, blob, fs=files)


class Looking:
    """Knows a complete video when it sees one."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def check(self, path: Path, expected_s: float | None) -> Checked:
        del expected_s
        await self._process.astep("check video")
        return Checked(problem=None if _is_whole(path) else "no end")


def _is_whole(path: Path) -> bool:
    return whole(path.read_bytes()) is not None


class Preparing:
    """Nothing has to be uploaded."""

    async def prepare(self, work: Work, client_request_id: str) -> SubmitRequest:
        return SubmitRequest(
            client_request_id=client_request_id,
            model=work.model,
            image="https://x/a.png",
            video="https://x/a.mp4",
            prompt="",
            orientation="image",
            keep_audio=True,
            params={},
        )


class Told:
    """Writes down what the run says, and notices when it says that it stops."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def tell(self, progress: Progress) -> None:
        if self._process.dead:
            return
        if progress.event == "stop":
            self._process.stop(str(progress.facts.get("why")))
        elif progress.event == "job":
            report = progress.facts["report"]
            self._process.sim.note(self._process.name, f"  {report.job} {report.state.value}", report.detail)
        else:
            self._process.sim.note(self._process.name, f"  {progress.event}", str(progress.facts.get("text", "")))


def works(machine: Machine, count: int) -> list[Work]:
    """The first jobs of the shot list."""
    return [_work(machine, name) for name in _NAMES[:count]]


def _work(machine: Machine, name: str) -> Work:
    target = Target(
        job=f"sc010/{name}/t01",
        take=1,
        output=machine.out / "takes" / f"{name}.mp4",
        final=machine.out / f"{name}.mp4",
        root=machine.out,
        project="tiny",
        folder=FOLDER,
    )
    owners = machine.sim.watch.owners_of
    owners[target.output] = owners[target.final] = _KEYS[name]
    return Work(key=_KEYS[name], manifest="{}", targets=(target,), request=_request(name), model="m", hold=PRICE)


def _request(name: str) -> Request:
    return Request(
        model="m",
        image=InputRef(shown="a.png", path=FOLDER / "a.png", place=_PLACE),
        video=InputRef(shown="a.mp4", path=FOLDER / "a.mp4", place=_PLACE),
        start=None,
        end=None,
        prompt=name,
        orientation="image",
        keep_audio=True,
        params=(),
        take=1,
    )


@dataclass(slots=True)
class Program:
    """One started process, and how it ended."""

    process: Process
    start: Start
    task: asyncio.Task[None] | None = None
    report: RunReport | None = None
    #: 0–130 as the shell would see it; None: killed, or still running.
    code: int | None = None
    submits: int = 0
    #: True time.
    begun: float = 0.0

    @property
    def over(self) -> bool:
        return self.process.dead or (self.task is not None and self.task.done())


def begin(machine: Machine, start: Start) -> Program:
    """Start a program."""
    process = Process(machine, start.name, kill_at=start.kill_at, leave_at=start.leave_at)
    program = Program(process, start, begun=machine.sim.true())
    context = copy_context()
    context.run(PROCESS.set, process)
    program.task = machine.sim.loop.create_task(_main(program), context=context)
    return program


async def _main(program: Program) -> None:
    process, sim = program.process, program.process.sim
    chance = random.Random(f"{sim.seed} {process.name}")
    sim.note(process.name, f"starts: {program.start.command}")
    try:
        with _opened(process, chance) as world:
            await _run(program, world)
    except StoreFault as fault:
        if process.dead:
            return
        program.code = 7
        sim.note(process.name, "store fault at the start or the end", fault.message)
        if not process.machine.disk.hurt:
            sim.fail("I17 exit codes", f"{process.name} blames the store: {fault.message}")
    except Exception as bug:
        sim.fail("no bug", f"{process.name}: {bug!r}")
    if not process.dead:
        sim.note(process.name, f"ends: {program.code}")
        sim.ended(process)


@contextlib.contextmanager
def _opened(process: Process, chance: random.Random) -> Iterator[World]:
    """The store and all ports of one process."""
    machine = process.machine
    with contextlib.ExitStack() as stack:
        store = Store.open(machine.store, mounts="", fs=SimFiles(process))
        process.connections.append(store)
        stack.callback(_unless_dead, process, store.close)
        ledger = SimLedger(store.ledger, process)
        store.ledger = ledger
        token = ulid(machine.now(), chance)
        process.token = token
        owner = store.register(token)
        stack.callback(_unless_dead, process, owner.release)
        store.record_spooled(machine.now())
        commits = LoopCommit(ledger, process, chance)
        stack.callback(_unless_dead, process, commits.close)
        spool = store.spool(token)
        stack.callback(_unless_dead, process, spool.close)
        yield World(
            clock=machine,
            chance=chance,
            ledger=commits,
            blobs=store.blobs,
            checker=Looking(process),
            publisher=Tree(process, store, chance),
            owners=store,
            watcher=Told(process),
            owner=token,
            run=ulid(machine.now(), chance),
            namespace="sandbox",
            spool=spool,
            provider=Connection(process, chance),
            uploads=Preparing(),
        )


def _unless_dead(process: Process, close: Any) -> None:
    """A process that was killed tidies nothing up."""
    if not process.dead:
        close()


async def _run(program: Program, world: World) -> None:
    process, start = program.process, program.start
    wanted = await _wanted(program, world)
    process.running = Run(world, start.options, wanted, str(FOLDER), {})
    report = await process.running.execute()
    process.running = None
    program.report, program.code, program.submits = report, report.exit_code, report.submits
    _check_report(program, wanted)


async def _wanted(program: Program, world: World) -> list[Work]:
    """What a plan would hand to the engine: jobs that are not up to date, with the results that the store has."""
    start, machine = program.start, program.process.machine
    results = await world.ledger.read(lambda ledger: ledger.results("sandbox"))
    found = []
    for work in works(machine, start.jobs):
        result = results.get(work.key)
        if result is not None and all(p.exists() for p in (work.targets[0].output, work.targets[0].final)):
            continue
        known = replace(work, result=result)
        found.append(replace(known, request=None) if start.command == "pull" else known)
    return found


def _check_report(program: Program, wanted: list[Work]) -> None:
    """I17: the exit code and the report agree with what is durable."""
    report, process = program.report, program.process
    assert report is not None
    sim, start, code = process.sim, program.start, program.code

    def claim(holds: object, text: str) -> None:
        if not holds:
            sim.fail("I17 exit codes", f"{process.name} ends with {code}, but {text}")

    open_doubts = [row for row in sim.watch.rows(process.machine) if row.state in ("in-doubt", "needs-user")]
    own = [row for row in open_doubts if row.owner == process.token]
    if code == 0:
        for work in wanted:
            told = report.jobs.get(work.targets[0].job)
            claim(told, f"says nothing of {work.targets[0].job}")
            assert told is not None
            left = start.command == "pull" or (start.options.detach and told.state is JobState.RUNNING)
            claim(told.state in _DELIVERED or left, f"{told.job} is {told.state}: {told.detail}")
            claim(told.state not in _DELIVERED or work.targets[0].final.exists(), f"{told.job} has no file")
    keys = {work.key for work in wanted}
    if any(row.fingerprint in keys for row in own):
        claim(code in (4, 6, 7, 130), "a job is in doubt")
    if code == 4:
        stalled = any(told.state is JobState.NEEDS_USER for told in report.jobs.values())
        doubted = sim.watch.doubted_at >= program.begun
        claim(doubted or open_doubts or stalled or "unread-log" in report.stops, "nothing is in doubt")
    claim(code != 5 or start.options.caps, "no cap was set")
    claim(code != 6 or process.refused, "nobody refused the account")
    claim(code != 7 or process.machine.disk.hurt, "the store was well")
    claim(code != 130 or Stop.INTERRUPTED in report.stops, "nobody interrupted it")
    claim(code != 10 or start.options.stop_after_s is not None, "no time was set")
