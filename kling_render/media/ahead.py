"""Works out what comes next while the present is being used. Runs in a child only."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import TypeVar

T = TypeVar("T")

_DEPTH = 4


def ahead(values: Iterator[T]) -> Iterator[T]:
    """The same values in the same order, up to four of them made in a thread before they are asked for.

    What the values' own making raises is raised here. When the caller stops early, so does the thread.
    """
    made: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(_DEPTH)
    left = threading.Event()

    def make() -> None:
        end: BaseException = StopIteration()
        try:
            for value in values:
                made.put((value, None))
                if left.is_set():
                    return
        except BaseException as error:  # told to whoever waits
            end = error
        made.put((None, end))

    thread = threading.Thread(target=make, name="ahead", daemon=True)
    thread.start()
    try:
        while True:
            value, end = made.get()
            if isinstance(end, StopIteration):
                return
            if end is not None:
                raise end
            yield value  # type: ignore[misc] # a value of T, which None may be
    finally:
        left.set()
        while thread.is_alive():
            try:
                made.get(timeout=0.05)
            except queue.Empty:
                continue
        thread.join()
