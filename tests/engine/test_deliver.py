"""Publishing by several who wait for one result."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from kling_render.engine.attempts import work_of
from kling_render.engine.deliver import Deliverer
from kling_render.engine.tracker import Tracker
from kling_render.engine.work import JobState, Progress, RunReport, Target
from kling_render.engine.world import World
from kling_render.lifecycle.records import Attempt, Result
from kling_render.lifecycle.states import Event, State
from kling_render.ports import LedgerTransaction
from kling_render.store.group_commit import GroupCommit
from kling_render.store.opening import Store
from tests.store.support import attempt


class Clock:
    """Stands still."""

    def now(self) -> float:
        """Always the same."""
        return 2000.0


class Quiet:
    """Neither watches nor writes."""

    def tell(self, progress: Progress) -> None:
        """Forget it."""

    def publish(self, target: Target, result: Result, manifest: str) -> None:
        """As if the file stood there."""


@dataclass
class Ports:
    """What publishing needs of a world."""

    ledger: GroupCommit
    clock: Clock
    publisher: Quiet

    def now(self) -> float:
        return self.clock.now()


def _fetched(ledger: LedgerTransaction) -> Attempt:
    ledger.reserve(attempt(1), ())
    return ledger.record("A00001", Event.MAKE, 1.0, blob="b" * 64, size=3, charge=0)


def test_whoever_publishes_second_finds_the_result_done_already(tmp_path: Path) -> None:
    """Two processes wait for one result: both bring it into their trees, the first one records it."""
    report = RunReport()

    async def scene(group: GroupCommit) -> list[bool]:
        seen = await group.write(_fetched)
        world = cast(World, Ports(group, Clock(), Quiet()))
        deliverer = Deliverer(world, Tracker(cast(Any, Quiet()), report), {})
        return [await deliverer.deliver(work_of(seen), seen, charged=False) for _ in range(2)]

    with Store.open(tmp_path / "store") as store:
        group = GroupCommit(store.ledger)
        assert asyncio.run(scene(group)) == [True, True]
        group.close()
        with store.ledger.reading() as view:
            assert view.attempts("https://api.example")[0].state is State.DONE
    assert report.jobs["sc010/fox/wave/t01"].state is JobState.DONE
