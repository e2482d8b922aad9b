"""The videos of finished generations: drawn, plain, or the uploaded clip; each one unique by a box at its end."""

from __future__ import annotations

import asyncio
import hashlib
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from kling_render.sandbox.config import SandboxConfig
from kling_render.sandbox.records import Generation
from kling_render.sandbox.spool import Spool

if TYPE_CHECKING:
    from kling_render.media.rehearsal import RehearsalPool

_WORKERS = 2


@dataclass(frozen=True, slots=True)
class Result:
    """A finished video: a file shared by equal requests, and a tail of its own."""

    file: Path
    tail: bytes
    size: int
    etag: str


class Results:
    """Makes each distinct video once, on demand. One event loop only."""

    def __init__(self, config: SandboxConfig, spool: Spool, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._config = config
        self._spool = spool
        self._folder = folder
        self._made: dict[str, asyncio.Task[Path]] = {}
        self._pool: RehearsalPool | None = None
        self._making = asyncio.Lock()

    def begin(self, generation: Generation) -> None:
        """Start making the video while the generation seems to run."""
        if self._config.answers == "rehearsal" and not generation.failed:
            self._task(generation)

    async def result(self, generation: Generation) -> Result:
        """The video, as soon as it is made."""
        file = await asyncio.shield(self._task(generation))
        tail = unique_tail(generation.id)
        etag = hashlib.sha256(f"{file.name}:{generation.id}".encode()).hexdigest()[:32]
        return Result(file, tail, file.stat().st_size + len(tail), f'"{etag}"')

    async def close(self) -> None:
        """Stop whatever is still being made."""
        for task in self._made.values():
            task.cancel()
        await asyncio.gather(*self._made.values(), return_exceptions=True)
        if self._pool is not None:
            await self._pool.close()

    def _task(self, generation: Generation) -> asyncio.Task[Path]:
        key = self._key(generation)
        task = self._made.get(key)
        if task is None or (task.done() and (task.cancelled() or task.exception())):
            task = self._made[key] = asyncio.create_task(self._make(generation, key))
        return task

    def _key(self, generation: Generation) -> str:
        """Equal keys, equal pictures."""
        g = generation
        parts = (g.image_sha256, g.video_sha256, g.prompt, g.orientation, g.model, g.keep_audio, self._config.answers)
        return hashlib.sha256(repr((parts, g.duration_s, self._config.answer_edge)).encode()).hexdigest()[:32]

    async def _make(self, generation: Generation, key: str) -> Path:
        clip, image = self._spool.path(generation.video_sha256), self._spool.path(generation.image_sha256)
        if self._config.answers == "rehearsal" and clip.exists() and image.exists():
            drawn = self._folder / f"{key}.mp4"
            if drawn.exists() or await self._draw(generation, image, clip, drawn):
                return drawn
        if self._config.answers != "canned" and clip.exists():
            return clip
        return await self._canned(generation.duration_s)

    async def _draw(self, generation: Generation, image: Path, clip: Path, target: Path) -> bool:
        from kling_render.media.rehearsal import RehearsalPool, RehearsalSpec
        from kling_render.media.work import WorkError

        orientation: Literal["image", "video"] = "image" if generation.orientation == "image" else "video"
        spec = RehearsalSpec(
            image=image,
            clip=clip,
            start=None,
            end=None,
            orientation=orientation,
            keep_audio=generation.keep_audio,
            lines=("sandbox", generation.prompt[:200]),
            max_edge=self._config.answer_edge,
        )
        self._pool = self._pool or RehearsalPool(_WORKERS)
        try:
            await self._pool.render(spec, target)
        except WorkError:
            return False
        return True

    async def _canned(self, seconds: float) -> Path:
        target = self._folder / f"canned-{seconds:.2f}.mp4"
        async with self._making:  # different requests may want the same one
            if not target.exists():
                await self._make_canned(target, seconds)
        return target

    async def _make_canned(self, target: Path, seconds: float) -> None:
        command = (sys.executable, "-m", "kling_render.sandbox.canned", str(target), f"{seconds:.2f}")
        process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.DEVNULL)
        if await process.wait() != 0:
            raise OSError("the plain clip could not be made")


def unique_tail(generation_id: str) -> bytes:
    """A `free` box with the generation's id: players skip it, and no two generations share their bytes."""
    content = f"sandbox generation {generation_id}".encode()
    return struct.pack(">I4s", 8 + len(content), b"free") + content
