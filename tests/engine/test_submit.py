"""One paid submit at each place where it can end: what the ledger holds, what was sent, what the user is told."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import pytest

from kling_render.disk.faults import FaultyFiles
from kling_render.disk.filesystem import REAL, FileSystem
from kling_render.engine.submit import NotSent, Submitter, over_budget_message
from kling_render.engine.tracker import Tracker
from kling_render.engine.work import Options, RunReport, Stop, Work
from kling_render.engine.world import Uploads, World
from kling_render.errors import StoreFault
from kling_render.lifecycle.answers import FailureClass, SubmitEvidence
from kling_render.lifecycle.records import Attempt, Cap, OverBudget, Taken
from kling_render.lifecycle.requests import SubmitRequest
from kling_render.lifecycle.states import State
from kling_render.ports import InputGone, Ledger, LogUnavailable
from kling_render.store.group_commit import GroupCommit
from kling_render.store.opening import Store
from kling_render.store.spool import Spool
from tests.engine.failing import FailingLedger
from tests.engine.studio import Api, Believing, Bench, Crash, Preparing, Provider, Told, Tree, VirtualClock, work

T = TypeVar("T")
FOX, CAT = work("fox"), work("cat")


@dataclass(slots=True)
class Scene:
    """A real store and spool, one submitter on it, and an API that keeps what it was sent."""

    folder: Path
    api: Api = field(default_factory=lambda: Api(VirtualClock()))
    report: RunReport = field(default_factory=RunReport)
    #: Files that the spool made.
    slots: int = 0

    def run(
        self,
        script: Callable[[Submitter, Tracker], Awaitable[T]],
        *,
        ledger: Callable[[Ledger], Ledger] = lambda inner: inner,
        provider: Provider | None = None,
        uploads: Uploads | None = None,
        options: Options | None = None,
        fs: FileSystem = REAL,
    ) -> T:
        """Let `script` use a submitter; `fs` is the spool's disk."""
        provider = provider or Provider(self.api, Crash())

        async def whole() -> T:
            async with self._world(ledger, provider, uploads or Preparing(), fs) as world:
                tracker = Tracker(world.watcher, self.report)
                return await script(Submitter(world, options or Options(), tracker), tracker)

        return asyncio.run(whole())

    @contextlib.asynccontextmanager
    async def _world(
        self, ledger: Callable[[Ledger], Ledger], provider: Provider, uploads: Uploads, fs: FileSystem
    ) -> AsyncIterator[World]:
        with Store.open(self.folder) as store, contextlib.closing(Spool(store.layout.spool, "me", fs=fs)) as spool:
            commits = GroupCommit(store.ledger)
            try:
                yield World(
                    clock=self.api.clock,
                    chance=random.Random(1),
                    ledger=ledger(commits),
                    blobs=store.blobs,
                    checker=Believing(),
                    publisher=Tree(store.blobs.path),
                    owners=store,
                    watcher=Told(),
                    owner="me",
                    run="run",
                    namespace="sandbox",
                    spool=spool,
                    provider=provider,
                    uploads=uploads,
                )
            finally:
                self.slots = len(list(store.layout.spool.iterdir()))
                await commits.aclose()

    def attempts(self) -> list[Attempt]:
        with Store.open(self.folder) as store, store.ledger.reading() as view:
            return view.attempts("sandbox")

    def nothing_happened(self) -> None:
        """No request, no claim, no hold."""
        assert self.api.submits == []
        assert self.attempts() == []
        assert self.report.submits == 0


@pytest.fixture
def scene(quick_path: Path) -> Scene:
    return Scene(quick_path / "store")


async def once(submitter: Submitter, _tracker: Tracker) -> Attempt | Taken | OverBudget | NotSent:
    return await submitter.submit(FOX)


class Gone(Preparing):
    """The image was deleted after it was planned."""

    async def prepare(self, work: Work, client_request_id: str) -> SubmitRequest:
        raise InputGone("a.png is gone")


class Endless(Preparing):
    """A trim that takes for ever."""

    def __init__(self) -> None:
        self.began = asyncio.Event()

    async def prepare(self, work: Work, client_request_id: str) -> SubmitRequest:
        self.began.set()
        await asyncio.Event().wait()
        return await super().prepare(work, client_request_id)


@dataclass(slots=True)
class Timeless(Provider):
    """Its server cannot be asked for its time."""

    async def know_time(self) -> None:
        raise LogUnavailable("the server's time cannot be read: ConnectError")


@dataclass(slots=True)
class Interrupted(Provider):
    """The run is told to stop while the connection is made."""

    stop: Callable[[], None] = lambda: None

    async def know_time(self) -> None:
        self.stop()


@dataclass(slots=True)
class Unconnected(Provider):
    """No connection comes about, so no intent is asked for."""

    untrusted: bool = False

    async def submit(self, request: SubmitRequest, before_first_byte: Callable[[], Awaitable[None]]) -> SubmitEvidence:
        broken = "ConnectError: CERTIFICATE_VERIFY_FAILED" if self.untrusted else "ConnectError: refused"
        return SubmitEvidence(intended=False, body_sent=0, body_declared=9, broken=broken, untrusted=self.untrusted)


def test_an_input_that_is_gone_gives_the_claim_back(scene: Scene) -> None:
    """Nothing was sent; the same request cannot be sent in this run."""
    refusal = scene.run(once, uploads=Gone())
    assert isinstance(refusal, NotSent)
    assert (refusal.failure, refusal.message, refusal.again) == (FailureClass.INPUT_CHANGED, "a.png is gone", False)
    scene.nothing_happened()


def test_a_spool_without_room_sends_nothing(scene: Scene) -> None:
    """An id that could not be kept would be paid for and lost: so the request does not leave."""
    with pytest.raises(StoreFault) as full:
        scene.run(once, fs=FaultyFiles(1, errno.ENOSPC, only={"write"}, persistent=True))
    assert full.value.code == "store-full"
    scene.nothing_happened()


def test_a_submit_that_is_cancelled_while_it_prepares_gives_the_claim_back(scene: Scene) -> None:
    """A second Ctrl-C during a trim leaves no hold behind."""
    slow = Endless()

    async def cancelled(submitter: Submitter, _tracker: Tracker) -> None:
        task = asyncio.create_task(submitter.submit(FOX))
        await slow.began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    scene.run(cancelled, uploads=slow)
    scene.nothing_happened()


def test_a_stop_while_the_connection_is_made_sends_nothing(scene: Scene) -> None:
    """The last look is before the intent; it is no failure of the job, and its slot serves the next one."""
    provider = Interrupted(scene.api, Crash())

    async def stopped(submitter: Submitter, tracker: Tracker) -> list[object]:
        provider.stop = lambda: tracker.stop(Stop.INTERRUPTED, "now")
        first = await submitter.submit(FOX)
        tracker.report.stops.clear()
        return [first, await submitter.submit(CAT)]

    for outcome in scene.run(stopped, provider=provider):
        assert isinstance(outcome, NotSent)
        assert (outcome.stopped, outcome.again) == (True, False)
    scene.nothing_happened()
    assert scene.slots == 1


def test_a_time_that_is_not_known_sends_nothing_and_may_be_tried_again(scene: Scene) -> None:
    """Without the server's time a lost answer could not be looked for; each try uses the same slot."""

    async def thrice(submitter: Submitter, _tracker: Tracker) -> list[object]:
        return [await submitter.submit(FOX) for _ in range(3)]

    for outcome in scene.run(thrice, provider=Timeless(scene.api, Crash())):
        assert isinstance(outcome, NotSent)
        assert (outcome.failure, outcome.again, outcome.stopped) == (FailureClass.NOT_SENT, True, False)
    scene.nothing_happened()
    assert scene.slots == 1


@pytest.mark.parametrize(("untrusted", "stops"), [(False, []), (True, [Stop.ACCOUNT])])
def test_a_connection_that_never_stood_gives_the_claim_back(scene: Scene, untrusted: bool, stops: list[Stop]) -> None:
    """There was no intent to refuse; a server that does not prove who it is stops everything."""
    refusal = scene.run(once, provider=Unconnected(scene.api, Crash(), untrusted=untrusted))
    assert isinstance(refusal, NotSent)
    assert refusal.again is not untrusted
    assert list(scene.report.stops) == stops
    scene.nothing_happened()


def test_an_intent_that_cannot_be_written_sends_nothing(scene: Scene) -> None:
    """The ledger takes the claim and its release, but not the intent."""
    with pytest.raises(StoreFault):
        scene.run(once, ledger=lambda inner: FailingLedger(inner, at=2))
    scene.nothing_happened()


def test_a_claim_that_cannot_be_released_is_left_to_the_next_run(scene: Scene) -> None:
    """Neither the intent nor its undoing can be written: the claim stands, and provably nothing was sent."""
    with pytest.raises(StoreFault):
        scene.run(once, ledger=lambda inner: FailingLedger(inner, at=2, lasting=True))
    assert ([a.state for a in scene.attempts()], scene.api.submits) == ([State.RESERVED], [])


def test_an_intent_that_is_durable_although_it_was_called_failed_stands(scene: Scene) -> None:
    """It is not taken back, for nobody would know; nothing was sent, and the next run looks it up."""
    with pytest.raises(StoreFault):
        scene.run(once, ledger=lambda inner: FailingLedger(inner, at=2, after=True))
    assert ([a.state for a in scene.attempts()], scene.api.submits) == ([State.INTENT], [])


@pytest.mark.parametrize(
    ("failing", "told", "found"),
    [(0, "is kept in the spool", ["gen1"]), (2, "could not be kept anywhere", [])],
    ids=["spool", "nowhere"],
)
def test_an_id_that_the_ledger_refuses_goes_to_the_spool_and_to_the_user(
    scene: Scene, failing: int, told: str, found: list[str]
) -> None:
    """The run stops for its store, and the message names the paid generation."""
    disk = FaultyFiles(failing, errno.EIO, only={"write"})
    with pytest.raises(StoreFault):
        scene.run(once, ledger=lambda inner: FailingLedger(inner, at=3, lasting=True), fs=disk)
    assert f"the paid generation gen1 of {FOX.targets[0].job} {told}" in scene.report.stops[Stop.STORE]
    with Store.open(scene.folder) as store:
        recorded, _unknown = store.record_spooled(2e9)
    assert [a.generation_id for a in recorded] == found


@pytest.mark.parametrize(("word", "said"), [("5xx-id", True), ("lost", False)])
def test_a_doubt_that_the_ledger_refuses_tells_its_id_if_it_has_one(scene: Scene, word: str, said: bool) -> None:
    """What may have been accepted is shown; a lost answer has nothing to show, and its intent stands."""
    scene.api.script = [word]
    with pytest.raises(StoreFault):
        scene.run(once, ledger=lambda inner: FailingLedger(inner, at=3, lasting=True))
    assert ("may have been accepted as gen1" in scene.report.stops.get(Stop.STORE, "")) is said
    assert [a.state for a in scene.attempts()] == [State.INTENT]


@pytest.mark.parametrize(
    ("word", "state", "generation"),
    [
        ("ok", State.ACCEPTED, "gen1"),
        ("lost", State.IN_DOUBT, None),
        ("5xx-id", State.IN_DOUBT, "gen1"),
        ("refused", State.REJECTED, None),
    ],
)
def test_each_answer_is_durable_when_the_submit_returns(
    scene: Scene, word: str, state: State, generation: str | None
) -> None:
    """The attempt that comes back is the one on the disk, and its slot is empty again."""
    scene.api.script = [word]
    outcome = scene.run(once)
    (attempt,) = scene.attempts()
    assert (attempt.state, attempt.generation_id) == (state, generation)
    assert outcome == attempt if state is not State.REJECTED else isinstance(outcome, NotSent)
    assert list((scene.folder / "spool").iterdir()) == []


def test_a_fingerprint_that_somebody_holds_is_not_sent(scene: Scene) -> None:
    """The second submit is told whose it is."""

    async def twice(submitter: Submitter, _tracker: Tracker) -> list[object]:
        return [await submitter.submit(FOX) for _ in range(2)]

    first, second = scene.run(twice)
    assert second == Taken(attempt=first)  # type: ignore[arg-type]
    assert len(scene.api.submits) == 1


def test_what_waits_for_an_upload_is_let_go_when_the_account_is_refused(quick_path: Path) -> None:
    """One upload at a time: the second job has its claim already, and gives it back instead of being refused too."""
    bench = Bench(quick_path / "store")
    bench.api.script = ["unauthorized", "unauthorized"]
    report = bench.run([FOX, CAT], Options(uploads=1))
    assert report is not None
    assert (report.exit_code, report.submits, len(bench.api.submits)) == (6, 1, 1)
    assert [a.state for a in bench.attempts()] == [State.REJECTED]


CAP = Cap(name="budget.run_usd", limit=2_000_000)


@pytest.mark.parametrize(
    ("asked", "committed", "in_doubt", "said"),
    [
        (None, 0, 0, "the price is unknown, so nothing can be sent under budget.run_usd"),
        (1_000_000, 1_500_000, 0, "the next job costs $0.5, but only $0.25 is left of $1 (budget.run_usd)"),
        (4_000_000, 0, 0, "the next job costs $2, but budget.run_usd leaves only $1"),
        (20_000_000, 3_000_000, 0, "the next job costs $10, but only $0 is left of $1 (budget.run_usd)"),
        (
            1_000_000,
            1_500_000,
            500_000,
            "the next job costs $0.5, but only $0.25 is left of $1 (budget.run_usd) (in doubt: $0.25)",
        ),
    ],
)
def test_a_cap_without_room_says_what_is_left(asked: int | None, committed: int, in_doubt: int, said: str) -> None:
    """In dollars, with what is held by doubts; never less than nothing."""
    assert over_budget_message(OverBudget(cap=CAP, committed=committed, in_doubt=in_doubt, asked=asked)) == said


def test_a_cap_without_room_sends_nothing(scene: Scene) -> None:
    """The ledger's refusal comes out as it is."""
    refusal = scene.run(once, options=Options(caps=(replace(CAP, limit=99),)))
    assert isinstance(refusal, OverBudget)
    assert (refusal.asked, refusal.committed) == (100, 0)
    scene.nothing_happened()
