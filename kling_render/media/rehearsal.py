"""The free rehearsal of a render: what it shows, and the worker processes that make it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from kling_render.media import limits
from kling_render.media.work import WorkError, part_path

_CHILD = "kling_render.media.work_child"


@dataclass(frozen=True, slots=True, kw_only=True)
class RehearsalSpec:
    """One rehearsal: a character on a clip, with the words to burn in."""

    image: Path
    clip: Path
    #: Seconds into the clip; None: its beginning or end.
    start: Decimal | None
    end: Decimal | None
    orientation: Literal["image", "video"]
    keep_audio: bool
    #: The job's id, its prompt, and what else there is to say (take, price).
    lines: tuple[str, ...]
    #: The longer edge of the result in pixels, if the clip is larger.
    max_edge: int = 720

    def to_json(self) -> dict[str, Any]:
        """Plain values for the worker's pipe."""
        return {
            "image": os.fspath(self.image),
            "clip": os.fspath(self.clip),
            "start": None if self.start is None else str(self.start),
            "end": None if self.end is None else str(self.end),
            "orientation": self.orientation,
            "keep_audio": self.keep_audio,
            "lines": list(self.lines),
            "max_edge": self.max_edge,
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> RehearsalSpec:
        """The inverse of `to_json`."""
        return RehearsalSpec(
            image=Path(data["image"]),
            clip=Path(data["clip"]),
            start=None if data["start"] is None else Decimal(data["start"]),
            end=None if data["end"] is None else Decimal(data["end"]),
            orientation=data["orientation"],
            keep_audio=data["keep_audio"],
            lines=tuple(data["lines"]),
            max_edge=data["max_edge"],
        )


def render_rehearsal(spec: RehearsalSpec, target: Path) -> None:
    """Render in this process, which then has PyAV, numpy and Pillow loaded: for workers and experiments."""
    from kling_render.media.compose import Backgrounds, compose

    part = part_path(target)
    compose(spec, part, Backgrounds())
    part.replace(target)


class _Worker:
    """A worker process and the clip it has in memory."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self.clip: Path | None = None

    async def work(self, question: Mapping[str, Any]) -> None:
        """Do one piece of work; the process is killed when this is cancelled."""
        process = self._process
        try:
            if process is None or process.returncode is not None:
                process = self._process = await _start()
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(question).encode() + b"\n")
            await process.stdin.drain()
            reply = await process.stdout.readline()
        except (ConnectionError, ValueError):
            reply = b""
        except BaseException:
            await self.close()
            raise
        if not reply:
            await self.close()
            raise WorkError("the worker process died", help="try again; if it stays, the clip may be damaged")
        problem = json.loads(reply).get("problem")
        if problem:
            raise WorkError(problem)

    async def close(self) -> None:
        """Kill the process, if there is one."""
        process, self._process, self.clip = self._process, None, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await asyncio.shield(process.wait())


async def _start() -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *limits.command(_CHILD),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=limits.environment(),
    )


class RehearsalPool:
    """A few worker processes that stay alive, so that libraries and clips are loaded once. One event loop only."""

    def __init__(self, workers: int = 2) -> None:
        self._idle = [_Worker() for _ in range(max(1, workers))]
        self._all = list(self._idle)
        self._free = asyncio.Semaphore(len(self._idle))

    async def render(self, spec: RehearsalSpec, target: Path, timeout_s: float | None = 300) -> None:
        """Write the rehearsal to `target`, whole or not at all; cancelling kills the worker.

        Raises:
            WorkError: the inputs cannot be rendered, or it took longer than `timeout_s`.
        """
        question = {"do": "rehearse", "spec": spec.to_json(), "target": os.fspath(target)}
        async with self._free:
            worker = self._take(spec.clip)
            try:
                async with asyncio.timeout(timeout_s):
                    await worker.work(question)
                worker.clip = spec.clip
            except TimeoutError as error:
                part_path(target).unlink(missing_ok=True)
                raise WorkError(f"the rehearsal took longer than {timeout_s:g} s") from error
            except BaseException:
                part_path(target).unlink(missing_ok=True)
                raise
            finally:
                self._idle.append(worker)

    def _take(self, clip: Path) -> _Worker:
        """The worker that has the clip in memory, else one that has none, else the one that waited longest."""
        best = min(self._idle, key=lambda worker: (worker.clip != clip, worker.clip is not None))
        self._idle.remove(best)
        return best

    async def close(self) -> None:
        """End the worker processes."""
        for worker in self._all:
            await worker.close()


async def render_in_child(spec: RehearsalSpec, target: Path, timeout_s: float | None = 300) -> None:
    """Render in a worker of its own; for more than one keep a `RehearsalPool`."""
    pool = RehearsalPool(1)
    try:
        await pool.render(spec, target, timeout_s)
    finally:
        await pool.close()
