"""Keeps watch over a scope, by the system's announcements or by looking again and again, and reports what it sees."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from kling_render.disk.places import file_system, is_network, mounts
from kling_render.watch.observer import LimitReached, NativeObserver, Observe, Observing
from kling_render.watch.placing import place
from kling_render.watch.polling import Patrol, Snapshot
from kling_render.watch.scope import Scope
from kling_render.watch.settle import Sight, What
from kling_render.watch.sightings import Sightings
from kling_render.watch.stamps import Stamp, identity, is_folder, listed_at, names_in, stamp
from kling_render.watch.targets import find_targets
from kling_render.watch.tracing import Tracer

How = Literal["native", "polling"]

POLLING_S = 2.0
"""How often it is looked when the system refuses to announce."""
_IDENTITY_S = 2.0
LOOK_S = 60.0
"""How often it is looked beside announcements, for those that get lost."""
_AGAIN_S = 0.2
"""Where folders moved, more may have moved while it was looked."""
_SLEEP_S = 5.0
_MOST_NEW_FOLDERS = 4096


@dataclass(frozen=True, slots=True)
class Watched:
    """What is watched, and how."""

    files: tuple[Path, ...]
    folders: tuple[Path, ...]
    how: How
    #: Seconds between two looks; of native watching, until lost announcements are noticed.
    every_s: float
    #: What the user should know about it, a sentence each.
    warnings: tuple[str, ...]


class Lookout:
    """Reports changes of a scope from its own threads. All methods may be called from any thread."""

    def __init__(
        self,
        *,
        polling_s: float | None,
        ignored: Callable[[Path], bool],
        report: Callable[[Sequence[Sight]], None],
        now: Callable[[], float],
        look_s: float = LOOK_S,
        identity_s: float = _IDENTITY_S,
        observe: Observe = NativeObserver,
    ) -> None:
        """`report` gets what was seen, in the thread that saw it; it must neither block nor call back."""
        self._polling_s = polling_s
        self._ignored = ignored
        self._report = report
        self._now = now
        self._look_s, self._identity_s = look_s, identity_s
        self._observe = observe
        self._scope = Scope()
        self._tracer = Tracer()
        self._snapshot = Snapshot()
        self._sightings = Sightings(look=stamp, known=self._snapshot.known, ignored=ignored, now=now)
        self._observer: Observing | None = None
        self._placed: dict[str, bool] = {}
        self._warnings: dict[str, str] = {}
        #: Folders that came up in watched ones since the last batch: watched at once, and those still to be watched.
        self._adopted: frozenset[Path] = frozenset()
        self._arrived: deque[Path] = deque()
        #: What settled since it was last looked where files stand.
        self._settled: deque[str] = deque()
        #: Folders that went since announcements were last asked for: what has their name now is another one.
        self._gone: deque[str] = deque()
        self._moved = threading.Event()
        self._ahead = time.time() - time.monotonic()
        self._identities: dict[str, tuple[int, int] | None] = {}
        self._looked_at = time.monotonic()
        self._closed = False
        #: Never taken by the observer's threads, which `arm` waits for, and never held while everything is looked at.
        self._arming = threading.RLock()
        self._patrol: Patrol | None = None

    @property
    def native(self) -> bool:
        """Whether the system announces changes."""
        return self._polling_s is None

    @property
    def watched(self) -> Watched:
        """What is watched now."""
        scope, every = self._scope, self._polling_s
        files, folders = tuple(sorted(scope.files)), tuple(sorted(scope.folders | frozenset(self._adopted)))
        warnings = tuple(self._warnings.values())
        if every is None:
            return Watched(files, folders, "native", self._look_s, warnings)
        return Watched(files, folders, "polling", every, warnings)

    def look_at(self, scope: Scope) -> None:
        """Watch this from now on. What a stamp of the scope shows to be changed already is reported."""
        folders = frozenset(folder for folder in scope.folders if not self._ignored(folder))
        scope = replace(scope, folders=folders)
        with self._arming:
            before, self._scope = self._scope, scope
            if not self._sightings.new:
                self._forget_adopted()
            if scope.files != before.files or scope.folders != before.folders:
                self._tracer.forget_entries(map(str, before.files - scope.files))
                self._arm()
                self._follow(before, scope)
            if self._patrol is None:
                self._looked_at = time.monotonic()
                self._patrol = Patrol(self._go_round)

    def settled(self, found: Mapping[Path, Stamp]) -> None:
        """A batch was handed over: these changes are known, and what was new in it is new no more."""
        self._snapshot.accept(found)
        self._sightings.new.difference_update(found)
        self._settled.extend(map(str, found))

    def close(self) -> None:
        """End all threads and give back all handles."""
        with self._arming:
            self._closed = True
            patrol, self._patrol = self._patrol, None
        if patrol is not None:
            patrol.close()
        with self._arming:
            if self._observer is not None:
                self._observer.close()
                self._observer = None

    # -- what is watched -----------------------------------------------------------------------------------

    def _follow(self, before: Scope, scope: Scope) -> None:
        gone_folders = before.folders - scope.folders - self._adopted
        self._snapshot.remove(map(str, before.files - scope.files), map(str, gone_folders))
        stamps = scope.stamps
        new = {path: stamps.get(path) for path in scope.files - before.files}
        self._snapshot.add_files({str(path): stamp(path) if seen is None else seen for path, seen in new.items()})
        late = []
        for folder in scope.folders - before.folders:
            self._snapshot.add_folders({str(folder): names_in(folder)})
            seen_at = scope.listed.get(folder)
            if seen_at is not None and seen_at != listed_at(folder):
                late.append(Sight(folder, What.CHANGED, stamp(folder), self._now()))
        if self.native and any(seen is not None for seen in new.values()):
            late += self._snapshot.compare(self._sightings.counts, self._now)
        self._tell(late)
        if not self.native and self._patrol is not None:
            self._patrol.call()

    def _forget_adopted(self) -> None:
        self._snapshot.remove((), [str(folder) for folder in self._adopted - self._scope.folders])
        self._adopted = frozenset()

    def _arm(self) -> None:
        """Ask for announcements where they are needed now."""
        if not self.native or self._closed:
            return
        # Before it is looked where everything stands: what comes up after that must differ from what is noted here.
        identities = {name: identity(name) for name in self._named_folders()}
        self._tracer.forget_entries(self._settled.popleft() for _ in range(len(self._settled)))
        targets = find_targets(self._scope.files, self._scope.folders | self._adopted, self._tracer)
        self._sightings.targets = targets
        self._identities = {name: identity(name) for name in targets.folders} | identities
        placed = place(targets.folders, self._holds_outputs)
        if placed is None:
            self._fall_back("the folders are too many and too far apart")
            return
        try:
            if self._observer is None:
                self._observer = self._observe(self._seen, self._lost)
            refused = self._observer.arm(placed, [self._gone.popleft() for _ in range(len(self._gone))])
        except LimitReached as limit:
            self._fall_back(str(limit))
            return
        if any(placed.get(folder) != deep for folder, deep in self._placed.items() if folder in targets.folders):
            self._look_around()  # what the old watch had heard and not told yet is lost
        self._placed = placed
        self._warn(refused)

    def _named_folders(self) -> set[str]:
        """Folders whose replacement by another one would not be announced everywhere."""
        return {str(path.parent) for path in self._scope.files} | {str(path) for path in self._scope.folders}

    def _holds_outputs(self, folder: str) -> bool:
        return any(self._ignored(Path(folder, name)) for name in names_in(folder))

    def _fall_back(self, reason: str) -> None:
        self._polling_s = POLLING_S
        self._warnings["limit"] = (
            f"the system does not announce changes here ({reason}); looking every {POLLING_S:g} s instead"
        )
        if self._observer is not None:
            self._observer.close()
            self._observer = None
        if self._patrol is not None:
            self._patrol.call()

    def _warn(self, refused: Iterable[str]) -> None:
        self._warnings = {
            folder: f"{folder} cannot be watched (check its permissions); it is looked at every {self._look_s:g} s"
            for folder in refused
            if os.path.isdir(folder)
        }
        table = mounts()
        devices = {known[0]: name for name, known in self._identities.items() if known is not None}
        for folder in devices.values():
            kind = file_system(Path(folder), table)
            if is_network(kind):
                self._warnings["network"] = (
                    f"{folder} is on a network drive ({kind}): what other machines change there is noticed only every "
                    f"{self._look_s:g} s, unless polling is switched on"
                )
                break

    # -- what is seen --------------------------------------------------------------------------------------

    def _seen(self, path: str, what: What) -> None:
        """An announcement, in the observer's thread; most mean nothing."""
        sights, moved = self._sightings.of(path, what)
        self._tell(sights)
        if moved:
            if what is What.GONE:
                self._gone.append(path)
            self._look_around()

    def _lost(self) -> None:
        """Announcements were dropped, in a thread of the observer's."""
        self._look_around()

    def _look_around(self) -> None:
        self._moved.set()
        if self._patrol is not None:
            self._patrol.call()

    def _tell(self, sights: Sequence[Sight]) -> None:
        if not sights:
            return
        self._sightings.note(sights)
        arrived = [s.path for s in sights if s.entry and is_folder(s.stamp) and s.path not in self._adopted]
        if arrived:
            self._arrived += arrived
            if self._patrol is not None and self.native:
                self._patrol.call()
        self._report(sights)

    # -- the patrol ----------------------------------------------------------------------------------------

    def _go_round(self) -> float:
        """Look whether folders were replaced, and from time to time at everything; seconds until the next round."""
        moved = self._slept()
        if self._moved.is_set():
            self._moved.clear()
            moved = True
        if self.native:
            moved = self._check_places(moved)
        if moved or not self.native or time.monotonic() - self._looked_at >= self._look_pace():
            self._look()
        self._adopt()
        if self._polling_s is not None:
            return self._polling_s
        if moved:
            return _AGAIN_S
        return min(max(self._identity_s, len(self._identities) / 200), self._look_pace())

    def _slept(self) -> bool:
        """Whether the machine slept: its wall clock went on, the other did not."""
        before, self._ahead = self._ahead, time.time() - time.monotonic()
        return abs(self._ahead - before) > _SLEEP_S

    def _look_pace(self) -> float:
        return max(self._look_s, len(self._scope.files) / 500)

    def _check_places(self, moved: bool) -> bool:
        """Ask for announcements anew when a folder was replaced by another one, or may have been."""
        moved = moved or any(identity(name) != known for name, known in self._identities.items())
        with self._arming:
            if moved or (self._observer is not None and not self._observer.alive()):
                self._tracer.forget()
                self._arm()
                return True
        return False

    def _look(self) -> None:
        self._tell(self._snapshot.compare(self._sightings.counts, self._now))
        self._looked_at = time.monotonic()

    def _adopt(self) -> None:
        """Watch new folders in watched ones at once: what is copied into them is to be followed to its end."""
        while self._arrived and len(self._adopted) < _MOST_NEW_FOLDERS:
            fresh = {self._arrived.popleft() for _ in range(len(self._arrived))} - self._adopted - self._scope.folders
            if not fresh:
                return
            with self._arming:
                self._adopted |= fresh
                self._arm()
                self._snapshot.add_folders({str(folder): frozenset() for folder in fresh})
            self._look()
        self._arrived.clear()
