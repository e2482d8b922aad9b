"""When a picture is drawn: soon after something changed, and while something in it moves by itself."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from contextlib import suppress

_SOON_S = 0.1
"""Seconds between two drawings at least."""


class Pace:
    """Calls `draw` as often as a person can make use of it, and not at all while nothing changes.

    Without a running event loop it is called at every change.

    Args:
        draw: draws the picture.
        ticks: seconds until the picture changes by itself, from the monotonic time it gets; None: it does not.
        monotonic: seconds that only grow.
    """

    def __init__(
        self, draw: Callable[[], None], ticks: Callable[[float], float | None], monotonic: Callable[[], float]
    ) -> None:
        self._draw = draw
        self._ticks = ticks
        self._monotonic = monotonic
        self._loop: asyncio.AbstractEventLoop | None = None
        self._due: asyncio.TimerHandle | None = None
        self._drawn_at = -_SOON_S

    def start(self) -> None:
        """Draw, and again when the terminal changes its size."""
        with suppress(RuntimeError):
            self._loop = asyncio.get_running_loop()
        if self._loop is not None and sys.platform != "win32":
            with suppress(ValueError, RuntimeError):  # not the main thread: then the next change shows it
                self._loop.add_signal_handler(signal.SIGWINCH, self.now)
        self.now()

    def stop(self) -> None:
        """Draw no more."""
        self._cancel()
        if self._loop is not None and sys.platform != "win32":
            with suppress(ValueError, RuntimeError):
                self._loop.remove_signal_handler(signal.SIGWINCH)
        self._loop = None

    def now(self) -> None:
        """Draw at once."""
        self._cancel()
        self._draw()
        self._drawn_at = self._monotonic()
        due = self._ticks(self._drawn_at)
        if due is not None:
            self._after(due)

    def soon(self) -> None:
        """Something has changed: draw it, with what else changes in the same moment."""
        if self._loop is None:
            self.now()
            return
        wait = max(self._drawn_at + _SOON_S - self._monotonic(), 0.0)
        if self._due is None or self._due.when() > self._loop.time() + wait:
            self._cancel()
            self._after(wait)

    def _after(self, seconds: float) -> None:
        if self._loop is not None:
            self._due = self._loop.call_later(seconds, self.now)

    def _cancel(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None
