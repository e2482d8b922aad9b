"""The real clock."""

from __future__ import annotations

import time


class SystemClock:
    """`ports.Clock` over the machine's clocks."""

    def now(self) -> float:
        """Seconds since the epoch, UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        import asyncio  # a plan only asks for the time

        await asyncio.sleep(max(seconds, 0.0))
