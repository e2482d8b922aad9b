"""Watches whole films in child processes: what is wrong with them, and pictures of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from kling_render.media import limits
from kling_render.media.child import ChildError
from kling_render.media.children import Children
from kling_render.media.look import SOUNDS, Look, Sound, from_json

WALL_S = 120.0
"""Seconds a film may take."""

_CHILD = "kling_render.media.study_child"


class Studies(Children):
    """A few watching processes, started when first needed. Safe to use from several threads."""

    def __init__(self, workers: int = 1, wall_s: float = WALL_S, *, command: Sequence[str] | None = None) -> None:
        super().__init__(command or limits.command(_CHILD), workers)
        self._wall_s = wall_s

    def look(self, film: Path, *, calm: bool = False) -> Look | None:
        """What a film shows from its first frame to its last; None when it cannot be told.

        `calm`: where only noise moves is told too, which is for clips.
        """
        return self._look({"path": os.fspath(film), "calm": calm})

    def sound(self, film: Path) -> Sound | None:
        """What is on a film's sound track; None when it cannot be told."""
        try:
            found = self.ask({"path": os.fspath(film), "only": "sound"}, self._wall_s).get("sound")
        except ChildError:
            return None
        return cast(Sound, found) if found in SOUNDS else None

    def picture(self, film: Path, poster: Path, preview: Path) -> Look | None:
        """The same, and a poster and a moving preview of it; None: the film cannot be decoded.

        Raises:
            OSError: the pictures cannot be written.
        """
        question = {"path": os.fspath(film), "poster": os.fspath(poster), "preview": os.fspath(preview)}
        try:
            answer = self.ask(question, self._wall_s)
            if "unwritten" in answer:
                raise OSError(answer["unwritten"], os.strerror(answer["unwritten"]))
            return from_json(answer)
        except (ChildError, ValueError):
            return None

    def _look(self, question: dict[str, Any]) -> Look | None:
        try:
            return from_json(self.ask(question, self._wall_s))
        except (ChildError, ValueError):
            return None
