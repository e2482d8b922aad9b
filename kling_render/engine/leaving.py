"""How a run is told to leave: tasks that only wait are dropped at once, uploads and downloads get a little time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from kling_render.errors import StoreFault

GRACE_S = 30.0
"""Seconds that uploads, answers and downloads under way are given when the run is told to leave."""


class Tasks:
    """The tasks of a run; knows which of them may be cancelled at any moment without losing anything."""

    def __init__(self, on_fault: Callable[[StoreFault], None]) -> None:
        self.leaving = False
        self._on_fault = on_fault
        #: The first fault of the store or the disk, and the first bug.
        self.store_fault: StoreFault | None = None
        self._bug: Exception | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._parked: set[asyncio.Task[Any]] = set()
        self._following: set[asyncio.Task[Any]] = set()
        self._one_ended = asyncio.Event()

    def start(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run it beside the others."""
        task = asyncio.create_task(self._guarded(work))
        self._running.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._one_ended.set()

    async def _guarded(self, work: Coroutine[Any, Any, Any]) -> None:
        try:
            await work
        except StoreFault as fault:
            self.store_fault = self.store_fault or fault
            self._on_fault(fault)
        except asyncio.CancelledError:
            if not self.leaving:
                raise
        except Exception as bug:
            self._bug = self._bug or bug

    @contextmanager
    def parked(self) -> Iterator[None]:
        """While inside, the current task only waits: leaving cancels it."""
        task = asyncio.current_task()
        assert task is not None
        if self.leaving:
            raise asyncio.CancelledError
        self._parked.add(task)
        try:
            yield
        finally:
            self._parked.discard(task)

    @contextmanager
    def following(self) -> Iterator[None]:
        """While inside, the current task waits for what another process does."""
        task = asyncio.current_task()
        assert task is not None
        self._following.add(task)
        try:
            yield
        finally:
            self._following.discard(task)

    def leave(self) -> None:
        """Cancel what only waits; called again, cancel everything."""
        hard, self.leaving = self.leaving, True
        for task in list(self._running if hard else self._parked):
            task.cancel()

    async def all_done(self, *, but_followers: bool = False, unless: Callable[[], object] = lambda: None) -> None:
        """Wait for every task, those started meanwhile too.

        Args:
            but_followers: except those who wait for other processes.
            unless: no longer than until this is true.

        Raises:
            Exception: the first bug of a task.
        """
        # After a fault of the store nothing is waited for that another process does: it may wait for us.
        while self._running - (self._following if but_followers or self.store_fault else set()):
            left = self.leaving  # a wait that began before it is no grace
            done = await self._one_ends(GRACE_S if left else 1.0)
            if self._bug is not None:
                raise self._bug
            if unless() or (not done and left):
                return

    async def _one_ends(self, within_s: float) -> bool:
        """Whether a task ends in time. `asyncio.wait` would look at every task each time one ends."""
        self._one_ended.clear()
        try:
            async with asyncio.timeout(within_s):
                await self._one_ended.wait()
        except TimeoutError:
            return False
        return True

    async def drain(self) -> None:
        """Leave nothing running in this process."""
        self.leaving = True
        tasks = list(self._running)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
