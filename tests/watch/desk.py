"""A small project on the real disk, and a watch over what a plan would have looked at."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kling_render.disk.project_files import DiskFiles
from kling_render.watch.batches import Batch, InputWatch
from kling_render.watch.observer import NativeObserver, Observe
from kling_render.watch.scope import RecordedFiles, Scope
from kling_render.workspace.times import SystemClock

SETTLE_S = 0.05
QUIET_S = 0.12
"""Long enough for a batch that must not come."""
LONG_S = 20.0


@dataclass(slots=True)
class Desk:
    """`shotlist.yaml`, two characters, clips in two folders, outputs in `renders`."""

    folder: Path
    polling_s: float | None = None
    settle_s: float = SETTLE_S
    observe: Observe = NativeObserver
    changes: list[frozenset[Path]] = field(default_factory=list)
    globs: tuple[str, ...] = ("clips/**/*.mp4",)
    also: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.folder = self.folder.resolve() / "project"
        for name in ("characters/fox.png", "clips/a.mp4", "clips/deep/b.mp4", "renders/out.mp4", "shotlist.yaml"):
            self.write(name)

    def write(self, name: str, data: bytes = b"first") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def scope(self) -> Scope:
        """What a plan looks at."""
        files = RecordedFiles(DiskFiles())
        for name in ("shotlist.yaml", "characters/fox.png", "characters/owl.png", *self.also):
            files.kind(files.resolve(self.folder / name))
        for pattern in self.globs:
            for found in files.glob(self.folder, pattern):
                if self.folder / "renders" not in found.parents:
                    files.kind(files.resolve(found))
        return files.scope()

    @contextmanager
    def watched(self, look_s: float = 60.0) -> Iterator[InputWatch]:
        """Watch the scope as it is."""
        watch = InputWatch(
            SystemClock(),
            settle_s=self.settle_s,
            polling_s=self.polling_s,
            ignored=lambda path: self.folder / "renders" in (path, *path.parents),
            on_change=self.changes.append,
            look_s=look_s,
            observe=self.observe,
        )
        try:
            watch.look_at(self.scope())
            yield watch
        finally:
            watch.close()

    def run(self, story: Callable[[InputWatch], Awaitable[None]], look_s: float = 60.0) -> None:
        """Watch while the story happens."""

        async def told() -> None:
            with self.watched(look_s) as watch:
                await story(watch)

        asyncio.run(told())

    def named(self, batch: Batch) -> set[str]:
        """The batch's paths as the project writes them."""
        return {os.path.relpath(path, self.folder) for path in batch.paths}

    async def batch(self, watch: InputWatch) -> set[str]:
        """The next batch; after it the plan is made anew."""
        batch = await asyncio.wait_for(watch.next(), LONG_S)
        watch.look_at(self.scope())
        return self.named(batch)

    async def until(self, watch: InputWatch, names: set[str]) -> bool:
        """Whether batches with all of these and nothing else come: a slow machine may see them apart."""
        seen: set[str] = set()
        while not names <= seen:
            seen |= await self.batch(watch)
        return seen == names

    async def calm(self, watch: InputWatch) -> set[str]:
        """All that is in batches until no more come; the first one is awaited."""
        seen = await self.batch(watch)
        while True:
            try:
                batch = await asyncio.wait_for(watch.next(), QUIET_S)
            except TimeoutError:
                return seen
            seen |= self.named(batch)
            watch.look_at(self.scope())

    async def nothing(self, watch: InputWatch) -> bool:
        """Whether no batch comes."""
        try:
            await asyncio.wait_for(watch.next(), QUIET_S)
        except TimeoutError:
            return True
        return False
