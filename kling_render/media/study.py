"""Watches whole films in child processes: what is wrong with them, and pictures of them."""

from __future__ import annotations

import os
import queue
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from kling_render.media import limits
from kling_render.media.child import Child, ChildError
from kling_render.media.look import Look, from_json

WALL_S = 120.0
"""Seconds a film may take."""

_CHILD = "kling_render.media.study_child"


class Studies:
    """A few watching processes, started when first needed. Safe to use from several threads."""

    def __init__(self, workers: int = 1, wall_s: float = WALL_S, *, command: Sequence[str] | None = None) -> None:
        self._wall_s = wall_s
        self._children = [Child(command or limits.command(_CHILD)) for _ in range(workers)]
        self._idle: queue.LifoQueue[Child] = queue.LifoQueue()
        for child in self._children:
            self._idle.put(child)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the children."""
        for child in self._children:
            child.close()

    def look(self, film: Path, *, calm: bool = False) -> Look | None:
        """What a film shows from its first frame to its last; None when it cannot be told.

        `calm`: where only noise moves is told too, which is for clips.
        """
        return self._ask({"path": os.fspath(film), "calm": calm})

    def picture(self, film: Path, poster: Path, preview: Path) -> Look | None:
        """The same, and a poster and a moving preview of it; None: they could not be made."""
        return self._ask({"path": os.fspath(film), "poster": os.fspath(poster), "preview": os.fspath(preview)})

    def _ask(self, question: dict[str, Any]) -> Look | None:
        child = self._idle.get()
        try:
            return from_json(child.ask(question, self._wall_s))
        except (ChildError, ValueError):
            return None
        finally:
            self._idle.put(child)
