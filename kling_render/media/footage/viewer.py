"""Has clips watched in child processes with limits; a crash or a hang is only a clip that was not seen."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from kling_render.media import limits
from kling_render.media.child import ChildError
from kling_render.media.children import Children
from kling_render.media.footage.findings import Footage, from_json

_CHILD = "kling_render.media.footage.watching_child"
_WALL_S = 180.0
_CHILDREN = 2
"""Each takes a hundred megabytes or so."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a clip that is to be watched."""

    path: Path
    start: Decimal | None
    end: Decimal | None
    #: What the names of its pictures begin with.
    stem: str


def watch_many(
    parts: Sequence[Part],
    pictures: Path | None,
    progress: Callable[[int], None] = lambda _done: None,
    *,
    command: Sequence[str] | None = None,
    wall_s: float = _WALL_S,
) -> list[Footage]:
    """What each part shows, in their order, two at once (each may use two processors).

    Args:
        parts: what to watch.
        pictures: an existing folder for strips; None: none are drawn.
        progress: called with the number of parts done so far, from any thread.
        command: the child's; for tests.
        wall_s: seconds a part may take.
    """
    workers = max(1, min(_CHILDREN, os.cpu_count() or 1, len(parts)))
    done, counting = 0, threading.Lock()

    def one(part: Part) -> Footage:
        nonlocal done
        found = _ask(children, part, pictures, wall_s)
        with counting:
            done += 1
            progress(done)
        return found

    with (
        Children(command or limits.command(_CHILD), workers) as children,
        ThreadPoolExecutor(workers, "watch-clips") as threads,
    ):
        return list(threads.map(one, parts))


def _ask(children: Children, part: Part, pictures: Path | None, wall_s: float) -> Footage:
    question = {
        "path": os.fspath(part.path),
        "start": None if part.start is None else str(part.start),
        "end": None if part.end is None else str(part.end),
        "pictures": None if pictures is None else os.fspath(pictures),
        "stem": part.stem,
    }
    try:
        return from_json(children.ask(question, wall_s))
    except (ChildError, ValueError):
        return Footage(seen=False)
