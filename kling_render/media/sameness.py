"""Whether two files hold the same pictures and the same sound, decoded side by side in a child process."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from kling_render.media import limits
from kling_render.media.child import Child, ChildError, ChildTimeoutError

_CHILD = "kling_render.media.content"
_WALL_S = 300.0
#: Containers round times to their own ticks; a frame that is shown a millisecond earlier is the same frame.
_TICK_S = 0.001


class Decoder:
    """Compares files; every file is decoded once. Close it."""

    def __init__(self) -> None:
        self._child = Child(limits.command(_CHILD))
        self._known: dict[Path, dict[str, Any]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.close()

    def difference(self, old: Path, new: Path) -> str:
        """In words, what differs between pictures and sound of two files; empty when nothing does."""
        before, after = self._content(old), self._content(new)
        problem = before.get("problem") or after.get("problem")
        return f"it cannot be decoded: {problem}" if problem else difference(before, after)

    def _content(self, path: Path) -> dict[str, Any]:
        if path not in self._known:
            try:
                self._known[path] = self._child.ask({"path": os.fspath(path)}, _WALL_S)
            except ChildTimeoutError:
                self._known[path] = {"problem": f"decoding {path.name} took longer than {_WALL_S:g} s"}
            except ChildError:
                self._known[path] = {"problem": f"the decoder gave up on {path.name}"}
        return self._known[path]


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """What differs between two contents; empty when nothing does."""
    if before["kind"] != after["kind"]:
        return "one is an image, the other a clip"
    if before["picture"] != after["picture"]:
        return "its pixels differ"
    if before["sound"] != after["sound"]:
        return "its sound differs"
    if len(before["times"]) != len(after["times"]) or any(
        abs(old - new) > _TICK_S for old, new in zip(before["times"], after["times"], strict=True)
    ):
        return "its timing differs"
    return ""
