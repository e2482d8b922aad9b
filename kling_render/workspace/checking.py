"""Looks at downloaded results in a child process before they are believed."""

from __future__ import annotations

import asyncio
from pathlib import Path

from kling_render.engine.world import Checked
from kling_render.media.probe import Prober

_SHORTER_S = 0.25


class ResultChecker:
    """`engine.world.Checker`; its child starts with the first result."""

    def __init__(self) -> None:
        self._prober: Prober | None = None

    async def check(self, path: Path, expected_s: float | None) -> Checked:
        """See `engine.world.Checker.check`."""
        if self._prober is None:
            self._prober = Prober()
        found = await asyncio.to_thread(self._prober.verify_result, path, expected_s)
        if not found.ok:
            return Checked(problem=found.problem)
        shorter = float(found.shorter_by_s)
        warning = f"{shorter:.1f} s shorter than its clip" if shorter > _SHORTER_S else None
        return Checked(problem=None, warning=warning)

    def close(self) -> None:
        """End the child."""
        if self._prober is not None:
            self._prober.close()
