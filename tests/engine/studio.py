"""The engine on a real store, a clock of its own and an API that is a small program with state."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from kling_render.engine.run import Run
from kling_render.engine.work import Options, Progress, RunReport, Target, Work
from kling_render.engine.world import Checked, Checker, World
from kling_render.errors import Place, StoreFault
from kling_render.lifecycle.answers import LogRow, PollAnswer, SubmitEvidence
from kling_render.lifecycle.identity import fingerprint_prefix, ulid
from kling_render.lifecycle.records import Attempt, Result
from kling_render.lifecycle.requests import SubmitRequest
from kling_render.lifecycle.states import OPEN, State
from kling_render.ports import Fetched, LedgerTransaction, LinkExpired
from kling_render.shotlist.records import InputRef, Request
from kling_render.store.group_commit import GroupCommit
from kling_render.store.opening import Store

T = TypeVar("T")
FOLDER = Path("/project")


class VirtualClock:
    """Time passes when somebody sleeps. `off` is how wrong this machine's wall clock is, in seconds."""

    def __init__(self, at: float = 1_800_000_000.0) -> None:
        self.at = at
        self.off = 0.0

    def now(self) -> float:
        return self.at + self.off

    def monotonic(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += max(seconds, 0.0)
        await asyncio.sleep(0)


@dataclass(slots=True)
class Crash:
    """Ends a process at its n-th step: from then on nothing of it has any effect."""

    at: int = 0
    count: int = 0
    happened: asyncio.Event = field(default_factory=asyncio.Event)

    async def step(self) -> None:
        if self.happened.is_set():
            raise asyncio.CancelledError  # what is still tidied up in a dead process reaches nobody
        self.count += 1
        if self.count == self.at:
            self.happened.set()
            await asyncio.Future()


class MortalLedger:
    """A ledger whose process may die before and after each commit; `full` makes every write fail."""

    def __init__(self, inner: GroupCommit, crash: Crash) -> None:
        self._inner = inner
        self._crash = crash
        self.full: Callable[[], bool] = lambda: False

    async def write(self, work: Callable[[LedgerTransaction], T]) -> T:
        await self._crash.step()
        if self.full():
            raise StoreFault("the disk is full")
        value = await self._inner.write(work)
        await self._crash.step()
        return value

    async def read(self, work: Callable[[LedgerTransaction], T]) -> T:
        await self._crash.step()
        return await self._inner.read(work)


@dataclass(slots=True)
class Generation:
    """One accepted request."""

    id: str
    client_request_id: str
    made: float
    failed: str = ""


@dataclass(slots=True)
class Api:
    """What the server and its network do; survives every process."""

    clock: VirtualClock
    #: One word per submit, in order: ok, lost, 5xx, 5xx-id, drop, limited, refused, unauthorized. Then always ok.
    script: list[str] = field(default_factory=list)
    #: What becomes of accepted generations, in order: "", upstream, content. Then always "".
    fates: list[str] = field(default_factory=list)
    takes_s: float = 60.0
    lists_running: bool = True
    log_lag_s: float = 0.0
    log_works: bool = True
    #: Reads of the log that still work.
    log_reads: int = 1_000_000
    expired_links: int = 0
    #: Credits; None when the server does not say.
    balance: int | None = None
    generations: dict[str, Generation] = field(default_factory=dict)
    submits: list[str] = field(default_factory=list)

    def has_ended(self, generation: Generation) -> bool:
        """A generation ends by time, whether anybody looks or not."""
        return self.clock.at - generation.made >= self.takes_s

    def accepted(self) -> Counter[str]:
        """How often each fingerprint's prefix was accepted and did not fail."""
        return Counter(str(fingerprint_prefix(g.client_request_id)) for g in self.generations.values() if not g.failed)


@dataclass(slots=True)
class Provider:
    """One process's connection to the API."""

    api: Api
    crash: Crash
    namespace: str = "sandbox"
    account: str = "acc"
    ahead: float = 0.0

    async def submit(self, request: SubmitRequest, before_first_byte: Callable[[], Awaitable[None]]) -> SubmitEvidence:
        await self.crash.step()
        await before_first_byte()
        await self.crash.step()
        api = self.api
        api.submits.append(request.client_request_id)
        word = api.script.pop(0) if api.script else "ok"
        generation_id = ""
        if word in ("ok", "lost", "5xx", "5xx-id"):
            generation_id = f"gen{len(api.generations) + 1}"
            fate = api.fates.pop(0) if api.fates else ""
            made = Generation(generation_id, request.client_request_id, api.clock.at, failed=fate)
            api.generations[generation_id] = made
        await self.crash.step()  # accepted, and the answer never read
        return _evidence(word, generation_id)

    async def poll(self, generation_id: str) -> PollAnswer:
        await self.crash.step()
        generation = self.api.generations.get(generation_id)
        if generation is None:
            return PollAnswer(kind="unknown-id")
        if not self.api.has_ended(generation):
            return PollAnswer(kind="running", status="generating")
        if generation.failed:
            name = "ContentPolicyViolation" if generation.failed == "content" else "Upstream"
            return PollAnswer(kind="failed", status="error", error_name=name, message="no")
        return PollAnswer(kind="completed", status="completed", url=f"https://cdn/{generation_id}", credits=100)

    async def fetch(self, url: str, target: Path) -> Fetched:
        await self.crash.step()
        if self.api.expired_links:
            self.api.expired_links -= 1
            raise LinkExpired("410")
        data = url.encode()
        await asyncio.to_thread(target.write_bytes, data)
        return Fetched(sha256=hashlib.sha256(data).hexdigest(), size=len(data))

    async def log(self, start: float, end: float) -> list[LogRow]:
        await self.crash.step()
        from kling_render.ports import LogUnavailable

        self.api.log_reads -= 1
        if not self.api.log_works or self.api.log_reads < 0:
            raise LogUnavailable("503")
        rows = [_row(g) for g in self.api.generations.values() if self._listed(g)]
        return [row for row in reversed(rows) if start <= row.created <= end]

    def _listed(self, generation: Generation) -> bool:
        ended = self.api.has_ended(generation)
        late = self.api.clock.at - generation.made < self.api.log_lag_s
        return (ended or self.api.lists_running) and not late

    async def balance(self) -> int | None:
        await self.crash.step()
        return self.api.balance

    def server_ahead_s(self) -> float:
        return self.ahead

    async def know_time(self) -> None:
        self.ahead = -self.api.clock.off


def _row(generation: Generation) -> LogRow:
    return LogRow(
        created=generation.made,
        failed=bool(generation.failed),
        credits=None,
        inference_id=generation.id,
        client_request_id=generation.client_request_id,
    )


def _evidence(word: str, generation_id: str) -> SubmitEvidence:
    known: dict[str, dict[str, Any]] = {
        "ok": {"status": 201, "body": f'{{"id": "{generation_id}"}}'},
        "lost": {"broken": "ReadError"},
        "drop": {"broken": "ReadError"},
        "5xx": {"status": 502, "body": "<html>"},
        "5xx-id": {"status": 502, "inference_id": generation_id},
        "limited": {"status": 429, "retry_after": "5"},
        "refused": {"status": 400, "body": '{"message": "bad", "statusCode": 400}'},
        "unauthorized": {"status": 401},
    }
    return SubmitEvidence(intended=True, body_sent=10, body_declared=10, **known[word])


@dataclass(slots=True)
class Tree:
    """Where results are published: path → bytes."""

    blobs: Callable[[str], Path]
    files: dict[Path, bytes] = field(default_factory=dict)

    def publish(self, target: Target, result: Result, manifest: str) -> None:
        del manifest
        self.files[target.output] = self.blobs(result.blob).read_bytes()


class Believing:
    """Takes every file for a video."""

    async def check(self, path: Path, expected_s: float | None) -> Checked:
        del path, expected_s
        return Checked(problem=None)


@dataclass(slots=True)
class Doubting:
    """Finds the same fault with every file; some are files to their last byte, in the order they are looked at."""

    complete: list[bool]

    async def check(self, path: Path, expected_s: float | None) -> Checked:
        del path, expected_s
        return Checked(problem="its end cannot be decoded", complete=self.complete.pop(0))


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


@dataclass(slots=True)
class Told:
    """Keeps what happened."""

    heard: list[Progress] = field(default_factory=list)

    def tell(self, progress: Progress) -> None:
        self.heard.append(progress)


@dataclass(slots=True)
class Bench:
    """One store and one API; each `run` is a process."""

    folder: Path
    seed: int = 1
    clock: VirtualClock = field(default_factory=VirtualClock)
    api: Api = field(init=False)
    files: dict[Path, bytes] = field(default_factory=dict)
    #: Whose key the processes use.
    account: str = "acc"
    told: Told = field(default_factory=Told)
    checker: Checker = field(default_factory=Believing)

    def __post_init__(self) -> None:
        self.api = Api(self.clock)

    def run(
        self,
        works: list[Work],
        options: Options | None = None,
        *,
        crash_at: int = 0,
        full: Callable[[], bool] | None = None,
        on_start: Callable[[Run], None] = lambda _run: None,
        claimed: dict[Path, str] | None = None,
    ) -> RunReport | None:
        """A whole run in a process of its own; None when it crashed at step `crash_at`."""
        chosen = options or Options(poll_s=15.0)
        return asyncio.run(
            self._run(works, chosen, crash_at=crash_at, full=full, on_start=on_start, claimed=claimed or {})
        )

    def steps(self, works: list[Work]) -> int:
        """How many steps a run takes."""
        counted: list[int] = []
        self.run(works, crash_at=-1, on_start=lambda _run: counted.append(0))
        return self._last_steps

    _last_steps: int = 0

    async def _run(
        self,
        works: list[Work],
        options: Options,
        *,
        crash_at: int,
        full: Callable[[], bool] | None,
        on_start: Callable[[Run], None],
        claimed: dict[Path, str],
    ) -> RunReport | None:
        chance = random.Random(self.seed)
        self.seed += 1
        crash = Crash(crash_at)
        store = Store.open(self.folder)
        token = ulid(self.clock.now(), chance)
        owner = store.register(token)
        store.record_spooled(self.clock.now())
        commits = GroupCommit(store.ledger)
        ledger = MortalLedger(commits, crash)
        ledger.full = full or ledger.full
        spool = store.spool(token)
        world = World(
            clock=self.clock,
            chance=chance,
            ledger=ledger,
            blobs=store.blobs,
            checker=self.checker,
            publisher=Tree(store.blobs.path, self.files),
            owners=store,
            watcher=self.told,
            owner=token,
            run=ulid(self.clock.now(), chance),
            namespace="sandbox",
            spool=spool,
            provider=Provider(self.api, crash, account=self.account),
            uploads=Preparing(),
        )
        run = Run(world, options, self._known(store, works), str(FOLDER), claimed)
        on_start(run)
        try:
            return await _until_it_dies(run, crash)
        finally:
            self._last_steps = crash.count
            await commits.aclose()
            if not crash.happened.is_set():
                spool.close()
            owner.release()
            store.close()

    @staticmethod
    def _known(store: Store, works: list[Work]) -> list[Work]:
        """Works with the results that the store has, as a plan gives them."""
        from dataclasses import replace

        with store.ledger.reading() as ledger:
            return [replace(work, result=ledger.result("sandbox", work.key)) for work in works]

    def attempts(self) -> list[Attempt]:
        """Every attempt of the store."""
        store = Store.open(self.folder)
        try:
            with store.ledger.reading() as ledger:
                return ledger.attempts("sandbox")
        finally:
            store.close()

    def sound(self, works: list[Work]) -> None:
        """Everything wanted is there, was accepted once, and nothing is open."""
        assert all(count == 1 for count in self.api.accepted().values()), self.api.accepted()
        assert {work.targets[0].output for work in works} <= set(self.files)
        found = self.attempts()
        assert not [a for a in found if a.state in OPEN], found
        done = {a.generation_id for a in found if a.state is State.DONE}
        assert done == {g.id for g in self.api.generations.values() if not g.failed}


async def _until_it_dies(run: Run, crash: Crash) -> RunReport | None:
    running = asyncio.create_task(run.execute())
    dying = asyncio.create_task(crash.happened.wait())
    await asyncio.wait({running, dying}, return_when=asyncio.FIRST_COMPLETED)
    if not crash.happened.is_set():
        dying.cancel()
        return await running
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    return None


def work(name: str, *, hold: int | None = 100) -> Work:
    """One wanted result."""
    place = Place("shotlist.yaml", 1, 1)
    root = FOLDER / "renders"
    target = Target(
        job=f"sc010/{name}/t01",
        take=1,
        output=root / "takes" / f"{name}.mp4",
        final=root / f"{name}.mp4",
        root=root,
        project="tiny",
        folder=FOLDER,
    )
    request = Request(
        model="m",
        image=InputRef(shown="a.png", path=FOLDER / "a.png", place=place),
        video=InputRef(shown="a.mp4", path=FOLDER / "a.mp4", place=place),
        start=None,
        end=None,
        prompt=name,
        orientation="image",
        keep_audio=True,
        params=(),
        take=1,
    )
    key = hashlib.sha256(name.encode()).hexdigest()
    return Work(key=key, manifest="{}", targets=(target,), request=request, model="m", hold=hold)
