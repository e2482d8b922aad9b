"""Settled batches of what changed."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kling_render.ports import Clock
from kling_render.watch.lookout import LOOK_S, Lookout, Watched
from kling_render.watch.observer import CLOSES, NativeObserver, Observe
from kling_render.watch.scope import Scope
from kling_render.watch.settle import Settling, Sight
from kling_render.watch.stamps import Stamp, stamp


@dataclass(frozen=True, slots=True)
class Batch:
    """What changed and came to rest. It only triggers: what it means is for the fingerprints to say."""

    #: Sorted, as the project names them.
    paths: tuple[Path, ...]
    #: When the first change was seen, and when the last had settled: `clock.monotonic()`.
    first_at: float
    settled_at: float


_LOOKS = 1.5
"""Looks between which nothing may change when polling, for no two are equally far apart."""


def _nobody(_paths: frozenset[Path]) -> None:
    """Nobody wants to know."""


async def look(paths: Iterable[Path]) -> Mapping[Path, Stamp]:
    """How the paths look now; in a thread, for a drive may take its time."""
    return await asyncio.to_thread(lambda: {path: stamp(path) for path in paths})


class SettledBatches:
    """Gathers sights from any thread; hands out batches in the loop's."""

    def __init__(
        self,
        clock: Clock,
        settling: Settling,
        *,
        on_change: Callable[[frozenset[Path]], None] = _nobody,
        looking: Callable[[Iterable[Path]], Awaitable[Mapping[Path, Stamp]]] = look,
        settled: Callable[[Mapping[Path, Stamp]], None] = lambda _found: None,
    ) -> None:
        """`settled` gets the last look at a batch just before it is handed out."""
        self._clock = clock
        self._settling = settling
        self._on_change = on_change
        self._looking = looking
        self._settled = settled
        self._loop: asyncio.AbstractEventLoop | None = None
        with contextlib.suppress(RuntimeError):  # made before the loop runs: `next` will know it
            self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._seen: list[Sight] = []
        self._lock = threading.Lock()
        self._wakes_at = float("inf")

    @property
    def unsettled(self) -> frozenset[Path]:
        """What changed and has not come to rest."""
        return self._settling.paths

    @property
    def writing(self) -> frozenset[Path]:
        """Files that are being written."""
        return self._settling.writing

    def settle_for(self, seconds: float) -> None:
        """From now on nothing may change for so long."""
        self._settling.settle_s = seconds
        self._wake.set()

    def report(self, sights: Sequence[Sight]) -> None:
        """Something was seen; from any thread."""
        with self._lock:
            first = not self._seen
            self._seen += sights
        if first and self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._drain)

    async def next(self) -> Batch:
        """The next batch. Nothing is lost when it is cancelled."""
        self._loop = asyncio.get_running_loop()
        while True:
            self._drain()
            wait = self._settling.wait_s(self._clock.monotonic())
            if wait != 0.0:
                await self._wait(wait)
                continue
            found = await self._looking(self._settling.paths)
            self._drain()
            now = self._clock.monotonic()
            if self._settling.rests(found, now):
                self._settled(found)
                taken = self._settling.take()
                return Batch(tuple(sorted(taken.paths)), taken.first_at, now)

    def _drain(self) -> None:
        with self._lock:
            seen, self._seen = self._seen, []
        if not seen:
            return
        fresh = frozenset(sight.path for sight in seen if self._settling.note(sight))
        now = self._clock.monotonic()
        wait = self._settling.wait_s(now)
        if wait is not None and now + wait < self._wakes_at:
            self._wake.set()
        if fresh:
            self._on_change(fresh)

    async def _wait(self, seconds: float | None) -> None:
        """Until the time has come, or something makes it come sooner."""
        self._wake.clear()
        if seconds is None:
            self._wakes_at = float("inf")
            await self._wake.wait()
            return
        self._wakes_at = self._clock.monotonic() + seconds
        tasks = [asyncio.ensure_future(self._clock.sleep(seconds)), asyncio.ensure_future(self._wake.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()


class InputWatch:
    """Watches what a plan looked at, and says when what changed of it has settled."""

    def __init__(
        self,
        clock: Clock,
        *,
        settle_s: float,
        polling_s: float | None,
        ignored: Callable[[Path], bool],
        on_change: Callable[[frozenset[Path]], None] = _nobody,
        look_s: float = LOOK_S,
        observe: Observe = NativeObserver,
    ) -> None:
        """Nothing is watched before `look_at`.

        Args:
            clock: what times are told by.
            settle_s: how long nothing may change; when polling, a look and a half at least.
            polling_s: seconds between two looks at drives that announce nothing; None relies on announcements.
            ignored: whether a path belongs to outputs or the store; asked for folders and their entries, never for a
                file that the project names itself. Called in threads.
            on_change: called in the loop's thread with what joins the batch that is gathered, as soon as it is seen.
                A batch follows always.
            look_s: how often everything is looked at beside announcements, for those that get lost.
            observe: what announces changes.
        """
        self._least_s = _LOOKS * (polling_s or 0.0)
        self._lookout = Lookout(
            polling_s=polling_s,
            ignored=ignored,
            report=self._report,
            now=clock.monotonic,
            look_s=look_s,
            observe=observe,
        )
        settling = Settling(settle_s=max(settle_s, self._least_s), closes=CLOSES and polling_s is None)
        self._batches = SettledBatches(clock, settling, on_change=on_change, settled=self._lookout.settled)

    @property
    def watched(self) -> Watched:
        """What is watched now, how, and what the user should know about it."""
        return self._lookout.watched

    @property
    def unsettled(self) -> frozenset[Path]:
        """What changed and has not come to rest: a batch with these will follow."""
        return self._batches.unsettled

    @property
    def writing(self) -> frozenset[Path]:
        """Files that somebody is writing."""
        return self._batches.writing

    def look_at(self, scope: Scope) -> None:
        """Watch exactly this; what was seen before is kept. Any thread may call it."""
        self._lookout.look_at(scope)

    def settle_for(self, seconds: float) -> None:
        """From now on nothing may change for so long before a batch has settled; when polling, 1.5 looks at least.

        Call it in the loop's thread.
        """
        self._batches.settle_for(max(seconds, self._least_s))

    async def next(self) -> Batch:
        """The next settled batch. Nothing is lost when it is cancelled."""
        return await self._batches.next()

    def close(self) -> None:
        """End all threads and give back all handles."""
        self._lookout.close()

    def _report(self, sights: Sequence[Sight]) -> None:
        self._batches.report(sights)
