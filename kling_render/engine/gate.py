"""The gate that submits pass: so many jobs in flight, pauses after 429, closed for good by a stop."""

from __future__ import annotations

import asyncio
from collections import deque

from kling_render.lifecycle.schedule import Concurrency
from kling_render.ports import Clock


class Gate:
    """Lets jobs into flight in the order they came."""

    def __init__(self, ceiling: int, clock: Clock) -> None:
        self.concurrency = Concurrency(ceiling)
        self.in_flight = 0
        self.closed = False
        self._paused = False
        self._clock = clock
        self._not_before = 0.0
        self._waiting: deque[asyncio.Future[bool]] = deque()
        self._wake: asyncio.Task[None] | None = None

    async def enter(self) -> bool:
        """Wait for a place; False once the gate is closed."""
        if self.closed:
            return False
        place: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        self._admit()
        try:
            return await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.result():
                self.leave()
            raise

    def occupy(self) -> None:
        """Count a job that is in flight already."""
        self.in_flight += 1

    def leave(self) -> None:
        """A job is no longer in flight."""
        self.in_flight -= 1
        self._admit()

    def limited(self, wait_s: float) -> None:
        """The server asked to slow down: fewer at once, and none for a while."""
        self.concurrency.limited(self.in_flight)
        self._not_before = max(self._not_before, self._clock.monotonic() + wait_s)

    def pause(self, paused: bool) -> None:
        """Let nobody in for a while; who is in flight goes on."""
        self._paused = paused
        self._admit()

    def close(self) -> None:
        """Let nobody in any more."""
        self.closed = True
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(False)
        if self._wake:
            self._wake.cancel()

    def _admit(self) -> None:
        pause = self._not_before - self._clock.monotonic()
        if pause > 0:
            self._wake_after(pause)
            return
        while self._waiting and not self._paused and self.in_flight < self.concurrency.allowed:
            place = self._waiting.popleft()
            if not place.done():
                self.in_flight += 1
                place.set_result(True)

    def _wake_after(self, seconds: float) -> None:
        if self._wake is None or self._wake.done():
            self._wake = asyncio.create_task(self._sleep_then_admit(seconds))

    async def _sleep_then_admit(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self._wake = None
        self._admit()


class Slot:
    """A place in flight, given back once; without a gate it is nothing."""

    def __init__(self, gate: Gate | None) -> None:
        self._gate = gate
        self._held = False

    @classmethod
    def taken(cls, gate: Gate) -> Slot:
        """The place of a job that is in flight already."""
        slot = cls(gate)
        gate.occupy()
        slot._held = True
        return slot

    async def enter(self) -> bool:
        """Wait for the place; False once the gate is closed."""
        assert self._gate is not None
        self._held = await self._gate.enter()
        return self._held

    def leave(self) -> None:
        """Give the place back."""
        if self._held and self._gate is not None:
            self._held = False
            self._gate.leave()
