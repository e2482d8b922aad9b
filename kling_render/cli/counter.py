"""A counter on one terminal line for local work that may take long, such as reading gigabytes of clips."""

from __future__ import annotations

import time
from typing import TextIO

_AFTER_S = 0.5
_EVERY_S = 0.1


class Counter:
    """Shows nothing for work that is quick."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._started: dict[str, float] = {}
        self._shown = 0.0

    def __call__(self, what: str, done: int, count: int) -> None:
        """Show that `done` of `count` are done."""
        now = time.monotonic()
        started = self._started.setdefault(what, now)
        if now - started < _AFTER_S or (now - self._shown < _EVERY_S and done < count):
            return
        self._shown = now
        self._stream.write("\r\x1b[K" if done >= count else f"\r\x1b[K{what}: {done} of {count}")
        self._stream.flush()
