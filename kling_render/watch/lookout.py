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
from kling_render.watch.noise import is_noise
from kling_render.watch.observer import LimitReached, NativeObserver
from kling_render.watch.placing import place
from kling_render.watch.polling import Patrol, Snapshot
from kling_render.watch.scope import Scope
from kling_render.watch.settle import Sight, What
from kling_render.watch.stamps import Stamp, identity, is_folder, listed_at, names_in, stamp
from kling_render.watch.targets import CAME_OR_WENT, Targets, find_targets
from kling_render.watch.tracing import Tracer

How = Literal["native", "polling"]

POLLING_S = 2.0
"""How often it is looked when the system refuses to announce."""
_IDENTITY_S = 2.0
_LOOK_S = 60.0
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
        look_s: float = _LOOK_S,
        identity_s: float = _IDENTITY_S,
    ) -> None:
        """`report` gets what was seen, in the thread that saw it; it must neither block nor call back."""
        self._polling_s = polling_s
        self._ignored = ignored
        self._report = report
        self._now = now
        self._look_s, self._identity_s = look_s, identity_s
        self._scope = Scope()
        self._tracer = Tracer()
        self._targets = Targets({}, {}, frozenset(), frozenset())
        self._snapshot = Snapshot()
        self._observer: NativeObserver | None = None
        self._warnings: dict[str, str] = {}
        #: Entries of watched folders that came up since the last batch; and folders among them, watched at once.
        self._new: set[Path] = set()
        self._adopted: set[Path] = set()
        self._arrived: deque[Path] = deque()
        self._identities: dict[str, tuple[int, int] | None] = {}
        self._looked_at = time.monotonic()
        self._closed = False
        #: Never taken by the observer's threads, which `arm` waits for.
        self._arming = threading.RLock()
        self._patrol: Patrol | None = None

    @property
    def native(self) -> bool:
        """Whether the system announces changes."""
        return self._polling_s is None

    @property
    def watched(self) -> Watched:
        """What is watched now."""
        with self._arming:
            scope, how, every = self._scope, self._polling_s, self._polling_s or self._look_s
            files, folders = sorted(scope.files), sorted({*scope.folders, *self._adopted})
            said = tuple(self._warnings.values())
        return Watched(tuple(files), tuple(folders), "native" if how is None else "polling", every, said)

    def look_at(self, scope: Scope) -> None:
        """Watch this from now on. What a stamp of the scope shows to be changed already is reported."""
        folders = frozenset(folder for folder in scope.folders if not self._ignored(folder))
        scope = replace(scope, folders=folders)
        with self._arming:
            before, self._scope = self._scope, scope
            if not self._new:
                self._forget_adopted()
            if scope.files != before.files or scope.folders != before.folders:
                self._arm()
                self._follow(before, scope)
            if self._patrol is None:
                self._looked_at = time.monotonic()
                self._patrol = Patrol(self._go_round)

    def settled(self, found: Mapping[Path, Stamp]) -> None:
        """A batch was handed over: these changes are known, and what was new in it is new no more."""
        self._snapshot.accept(found)
        self._new.difference_update(found)

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
        if any(seen is not None for seen in new.values()) and self.native:
            late += self._snapshot.compare(self._counts, self._now)
        self._tell(late)

    def _forget_adopted(self) -> None:
        self._snapshot.remove((), [str(folder) for folder in self._adopted - self._scope.folders])
        self._adopted.clear()

    def _arm(self) -> None:
        """Ask for announcements where they are needed now."""
        if not self.native or self._closed:
            return
        self._targets = find_targets(self._scope.files, self._scope.folders | self._adopted, self._tracer)
        placed = place(self._targets.folders, self._holds_outputs)
        if placed is None:
            self._fall_back("the folders are too many and too far apart")
            return
        try:
            if self._observer is None:
                self._observer = NativeObserver(self._seen, self._lost)
            refused = self._observer.arm(placed)
        except LimitReached as limit:
            self._fall_back(str(limit))
            return
        self._identities = {name: identity(name) for name in self._places()}
        self._warn(refused)

    def _places(self) -> set[str]:
        """Folders whose replacement by another one would not be announced everywhere."""
        named = {str(path.parent) for path in self._scope.files} | {str(path) for path in self._scope.folders}
        return named | self._targets.folders

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

    def _seen(self, path: str, what: What, folder: bool) -> None:
        """An announcement, in the observer's thread; most mean nothing."""
        meaning = self._targets.meaning(path, what)
        entry = meaning.entry
        if entry is not None and (what in CAME_OR_WENT or entry in self._new) and not self._ignored(entry):
            sight = Sight(entry, what, stamp(path), self._now(), entry=True)
            self._note_new(sight)
            self._report([sight])
        if meaning.changed:
            self._report([s for named in meaning.changed if (s := self._sight(named, what)) is not None])
        if meaning.moved and self._patrol is not None:
            self._patrol.call()

    def _sight(self, named: Path, what: What) -> Sight | None:
        after = stamp(named)
        if what is What.CHANGED and after == self._snapshot.known(named):
            return None  # an attribute that is not the file's
        if is_folder(after) and what not in CAME_OR_WENT:
            return None
        return Sight(named, what, after, self._now())

    def _note_new(self, sight: Sight) -> None:
        if sight.what is What.GONE:
            self._new.discard(sight.path)
            return
        self._new.add(sight.path)
        if is_folder(sight.stamp) and sight.path not in self._adopted:
            self._arrived.append(sight.path)
            if self._patrol is not None and self.native:
                self._patrol.call()

    def _lost(self) -> None:
        """Announcements were dropped, in a thread of the observer's."""
        self._looked_at = float("-inf")
        if self._patrol is not None:
            self._patrol.call()

    def _tell(self, sights: Sequence[Sight]) -> None:
        for sight in sights:
            if sight.entry:
                self._note_new(sight)
        if sights:
            self._report(sights)

    # -- the patrol ----------------------------------------------------------------------------------------

    def _go_round(self, called: bool) -> float:
        """Look whether folders were replaced, and from time to time at everything; seconds until the next round."""
        with self._arming:
            if self._closed:
                return 0.0
            if self.native:
                self._check_places(called)
            late = time.monotonic() - self._looked_at >= self._look_pace()
            if called or late or not self.native:
                self._look()
            self._adopt()
            if self._polling_s is not None:
                return self._polling_s
            return max(self._identity_s, len(self._identities) / 200)

    def _look_pace(self) -> float:
        return max(self._look_s, len(self._scope.files) / 500)

    def _check_places(self, called: bool) -> None:
        if called or any(identity(name) != known for name, known in self._identities.items()):
            self._tracer.forget()
            self._arm()
            self._looked_at = float("-inf")

    def _look(self) -> None:
        self._tell(self._snapshot.compare(self._counts, self._now))
        self._looked_at = time.monotonic()

    def _counts(self, path: Path) -> bool:
        return not is_noise(path.name) and not self._ignored(path)

    def _adopt(self) -> None:
        """Watch new folders in watched ones at once: what is copied into them is to be followed to its end."""
        while self._arrived and len(self._adopted) < _MOST_NEW_FOLDERS:
            fresh = {self._arrived.popleft() for _ in range(len(self._arrived))} - self._adopted - self._scope.folders
            if not fresh:
                return
            self._adopted |= fresh
            self._arm()
            self._snapshot.add_folders({str(folder): frozenset() for folder in fresh})
            self._look()
        self._arrived.clear()
