"""Compares how things look with how they looked: for drives that announce nothing, and for what was not announced."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kling_render.watch.settle import Sight, What
from kling_render.watch.stamps import MISSING, Stamp, names_in, stamp


@dataclass(slots=True)
class Snapshot:
    """How files and folders looked when they last counted. Any thread may use it."""

    _files: dict[str, Stamp] = field(default_factory=dict)
    _folders: dict[str, frozenset[str]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add_files(self, stamps: Mapping[str, Stamp]) -> None:
        """Follow files from how they looked then."""
        with self._lock:
            self._files.update(stamps)

    def add_folders(self, listings: Mapping[str, frozenset[str]]) -> None:
        """Follow the entries of folders, from what they were."""
        with self._lock:
            self._folders.update(listings)

    def remove(self, files: Iterable[str], folders: Iterable[str]) -> None:
        """No longer follow these."""
        with self._lock:
            for name in files:
                self._files.pop(name, None)
            for name in folders:
                self._folders.pop(name, None)

    def known(self, path: Path) -> Stamp | None:
        """How a followed file looked; None for one that is not followed."""
        return self._files.get(str(path))

    def accept(self, found: Mapping[Path, Stamp]) -> None:
        """These changes were seen by other means."""
        with self._lock:
            for path, after in found.items():
                name = str(path)
                if name in self._files:
                    self._files[name] = after
                folder, _, entry = name.rpartition(os.sep)
                names = self._folders.get(folder)
                if names is not None:
                    there = after != MISSING or os.path.lexists(name)  # a link may lead nowhere
                    self._folders[folder] = names | {entry} if there else names - {entry}

    def compare(self, counts: Callable[[Path], bool], at: Callable[[], float]) -> list[Sight]:
        """What is different now; it counts as seen from then on. `counts` says which new or gone entries matter."""
        return [*self._changed_files(at), *self._changed_entries(counts, at)]

    def _changed_files(self, at: Callable[[], float]) -> list[Sight]:
        with self._lock:
            files = list(self._files.items())
        suspects = [name for name, before in files if stamp(name) != before]
        sights = []
        for name in suspects:
            with self._lock:  # looked at once more: what was announced meanwhile is known by now
                after = stamp(name)
                if name in self._files and self._files[name] != after:
                    self._files[name] = after
                    sights.append(_sight(Path(name), after, at()))
        return sights

    def _changed_entries(self, counts: Callable[[Path], bool], at: Callable[[], float]) -> list[Sight]:
        with self._lock:
            folders = list(self._folders.items())
        suspects = [name for name, before in folders if names_in(name) != before]
        sights = []
        for name in suspects:
            with self._lock:
                before, after = self._folders.get(name), names_in(name)
                if before is None:
                    continue
                self._folders[name] = after
            folder = Path(name)
            entries = [folder / entry for entry in sorted(before ^ after)]
            sights += [_sight(path, stamp(path), at(), entry=True) for path in entries if counts(path)]
        return sights


def _sight(path: Path, after: Stamp, at: float, *, entry: bool = False) -> Sight:
    return Sight(path, What.GONE if after == MISSING else What.CHANGED, after, at, entry)


class Patrol:
    """A thread that goes round every now and then, or at once when called."""

    def __init__(self, go_round: Callable[[], float]) -> None:
        """`go_round` says in how many seconds to come again."""
        self._go_round = go_round
        self._called = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch-patrol", daemon=True)
        self._thread.start()

    def call(self) -> None:
        """Go round soon."""
        self._called.set()

    def close(self) -> None:
        """End the thread."""
        self._ended.set()
        self._called.set()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        pause = 0.0
        while not self._ended.is_set():
            self._called.wait(pause)
            self._called.clear()
            if self._ended.is_set():
                return
            started = time.monotonic()
            pause = self._go_round()
            # Folders that move all the time must not keep a core busy.
            self._ended.wait(min(time.monotonic() - started, 1.0))
