"""Publishes results: every job that wants a result gets its file; then the attempt is DONE."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from kling_render.engine.tracker import Tracker
from kling_render.engine.work import JobState, Target, Work
from kling_render.engine.world import World, result_of
from kling_render.lifecycle.records import Attempt, Result
from kling_render.lifecycle.states import Event, State
from kling_render.ports import LedgerTransaction


class Deliverer:
    """Brings stored results into output trees."""

    def __init__(self, world: World, tracker: Tracker, claimed: Mapping[Path, str]) -> None:
        self._world = world
        self._tracker = tracker
        self._claimed = claimed

    async def deliver(self, work: Work, attempt: Attempt, *, charged: bool, warning: str | None = None) -> bool:
        """Publish a FETCHED or DONE attempt for every job of the work; False when a file could not be written."""
        result = result_of(attempt)
        published = await self._publish_all(work, result, JobState.DONE, charged=charged, warning=warning)
        if published and attempt.state is State.FETCHED:
            now = self._world.now()
            await self._world.ledger.write(lambda ledger: _mark_published(ledger, attempt.id, now))
        return published

    async def restore(self, work: Work) -> bool:
        """Publish what the store has; False when the stored bytes are missing or damaged."""
        assert work.result is not None
        if await asyncio.to_thread(self._world.blobs.verified, work.result.blob) is None:
            return False
        await self._publish_all(work, work.result, JobState.RESTORED, charged=False)
        return True

    async def _publish_all(
        self, work: Work, result: Result, state: JobState, *, charged: bool, warning: str | None = None
    ) -> bool:
        done = True
        for number, target in enumerate(work.targets):
            if self._claimed.get(target.output, work.key) != work.key:
                # The cell was edited meanwhile: the paid result is kept in the store, its path belongs to the new job.
                self._tracker.kept(target, result, charged=charged and number == 0)
                continue
            # Jobs that share a result share its cost: it is shown once.
            first = charged and number == 0
            done &= await self._publish(target, work, result, state, charged=first, warning=warning)
        return done

    async def _publish(
        self, target: Target, work: Work, result: Result, state: JobState, *, charged: bool, warning: str | None
    ) -> bool:
        try:
            await asyncio.to_thread(self._world.publisher.publish, target, result, work.manifest)
        except OSError as error:
            message = f"{target.output.name} cannot be written: {error.strerror or error}"
            self._tracker.unpublished(target, result, message, charged=charged)
            return False
        self._tracker.finished(target, result, state=state, charged=charged, warning=warning)
        return True


def _mark_published(ledger: LedgerTransaction, attempt_id: str, now: float) -> None:
    """FETCHED becomes DONE. Everyone who waits for a result publishes it; the first to get here records it."""
    standing = ledger.attempt(attempt_id)
    if standing is not None and standing.state is State.FETCHED:
        ledger.record(attempt_id, Event.PUBLISH, now)
