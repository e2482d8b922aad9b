"""Looks at downloaded results in a child process before they are believed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from kling_render.engine.world import Checked
from kling_render.media.look import Look
from kling_render.media.probe import Prober
from kling_render.media.verdict import shorter


class ResultChecker:
    """`engine.world.Checker`; its child starts with the first result.

    `watched` is told the SHA-256 of a small result that was watched to its end on the way, and what it shows.
    """

    def __init__(self, watched: Callable[[str, Look], None] = lambda _sha256, _look: None) -> None:
        self._prober: Prober | None = None
        self._watched = watched

    async def check(self, path: Path, expected_s: float | None) -> Checked:
        """See `engine.world.Checker.check`."""
        if self._prober is None:
            self._prober = Prober()
        found = await asyncio.to_thread(self._prober.verify_result, path, expected_s)
        if not found.ok:
            return Checked(problem=found.problem, complete=found.complete)
        if found.look is not None and found.sha256 is not None:
            self._watched(found.sha256, found.look)
        return Checked(problem=None, warning=shorter(float(found.shorter_by_s)))

    def close(self) -> None:
        """End the child."""
        if self._prober is not None:
            self._prober.close()
