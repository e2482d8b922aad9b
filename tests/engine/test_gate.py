"""The gate that submits pass."""

from __future__ import annotations

import asyncio

from kling_render.engine.gate import Gate
from tests.engine.studio import VirtualClock


def test_a_paused_gate_lets_nobody_in_until_it_goes_on() -> None:
    """Who is in flight stays; who waits is let in afterwards, in order."""

    async def story() -> None:
        gate = Gate(2, VirtualClock())
        assert await gate.enter()
        gate.pause(True)
        waiting = [asyncio.create_task(gate.enter()) for _ in range(2)]
        await asyncio.sleep(0)
        gate.leave()
        await asyncio.sleep(0)
        assert gate.in_flight == 0
        assert not any(task.done() for task in waiting)
        gate.pause(False)
        assert await asyncio.gather(*waiting) == [True, True]
        assert gate.in_flight == 2

    asyncio.run(story())


def test_a_paused_gate_can_be_closed() -> None:
    """Nobody waits for ever."""

    async def story() -> None:
        gate = Gate(1, VirtualClock())
        gate.pause(True)
        waiting = asyncio.create_task(gate.enter())
        await asyncio.sleep(0)
        gate.close()
        assert await waiting is False

    asyncio.run(story())
