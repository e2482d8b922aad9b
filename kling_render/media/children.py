"""A few child processes that share the questions of several threads."""

from __future__ import annotations

import queue
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from kling_render.media.child import Child


class Children:
    """As many children as there may be questions at once; each is started when it is first needed."""

    def __init__(self, command: Sequence[str], workers: int) -> None:
        self._children = [Child(command) for _ in range(workers)]
        # Last in, first out: a single caller keeps using the one child that is warm already.
        self._idle: queue.LifoQueue[Child] = queue.LifoQueue()
        for child in self._children:
            self._idle.put(child)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ask(self, question: Mapping[str, Any], wall_s: float) -> dict[str, Any]:
        """What a child answers; see `Child.ask`. Waits for one that is free; safe to use from several threads."""
        child = self._idle.get()
        try:
            return child.ask(question, wall_s)
        finally:
            self._idle.put(child)

    def close(self) -> None:
        """End them."""
        for child in self._children:
            child.close()
