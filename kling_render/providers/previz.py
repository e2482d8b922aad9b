"""The free local provider: rehearsals that show timing, framing and labels before a cent is spent. Not the model."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from kling_render.media.rehearsal import RehearsalPool, RehearsalSpec
from kling_render.media.work import WorkError
from kling_render.ports import InputGone
from kling_render.shotlist.records import InputRef, Request
from kling_render.store.hashing import sha256_of

MAX_EDGE = 1920
"""Pixels of the longer edge: rehearsals have the clip's own size up to Full HD."""


def workers() -> int:
    """How many rehearsals are made side by side: one per core, up to four."""
    return max(1, min(4, os.cpu_count() or 1))


class Previz:
    """Renders rehearsals in worker processes. Close it when done.

    Args:
        files: the local file that holds an input's bytes, or None.
    """

    def __init__(self, files: Callable[[InputRef], Path | None]) -> None:
        self._files = files
        self._pool = RehearsalPool(workers())

    async def make(self, request: Request, label: tuple[str, ...], target: Path) -> str:
        """See `engine.world.LocalRenderer.make`."""
        image, clip = self._files(request.image), self._files(request.video)
        if image is None or clip is None:
            missing = request.image if image is None else request.video
            raise InputGone(f"{missing.shown} is not at hand: a rehearsal needs its bytes (leave out --offline)")
        spec = RehearsalSpec(
            image=image,
            clip=clip,
            start=request.start,
            end=request.end,
            orientation=request.orientation,
            keep_audio=request.keep_audio,
            lines=label,
            max_edge=MAX_EDGE,
        )
        try:
            await self._pool.render(spec, target)
        except WorkError as error:
            raise InputGone(error.message) from error
        return await asyncio.to_thread(sha256_of, target)

    async def close(self) -> None:
        """End the workers."""
        await self._pool.close()
